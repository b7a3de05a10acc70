"""Queries over prefetches, compared with the client's in-memory mode: random trees of rankings, fusions, MMR, formulas, groups of them,
over gRPC and REST; and the older recommend and discover requests, compared with the queries they stand for.

TREES sets the number of trees of one run (default 150), SEED another sequence.
"""
import http.client
import json
import os

import grpc
import pytest
from qdrant_client import QdrantClient
from qdrant_client import grpc as messages
from qdrant_client import models

from test.api.conftest import connect
from test.api.qdrant_random import IDS, Filters, Shape, Vector, draw_payload, seeded

TREES = int(os.environ.get("TREES", "150"))
SEED = os.environ.get("SEED", "1")
NAME = "trees"


class Fine(Vector):
    """Vectors whose scores are not equal by chance."""

    def draw(self, rng):
        if self.kind != "sparse":
            return super().draw(rng)
        indices = rng.sample(range(12), rng.randint(2, 5))
        return models.SparseVector(indices=indices, values=[round(rng.uniform(-1, 1), 4) for _ in indices])

    def draw_dense(self, rng):
        return [round(rng.uniform(-1, 1), 7) for _ in range(self.size)]


SHAPE = Shape({
    "a": Fine("dense", 8, models.Distance.COSINE),
    "b": Fine("dense", 3, models.Distance.EUCLID),
    "d": Fine("dense", 4, models.Distance.DOT),
    "l": Fine("dense", 4, models.Distance.MANHATTAN),
    "s": Fine("sparse"),
    "m": Fine("multi", 4, models.Distance.DOT),
})
DENSE = ["a", "b", "d", "l"]
NOTHING_FITS = models.Filter(must=[models.FieldCondition(key="city", match=models.MatchValue(value="Atlantis"))])


# ---- the collection ----

def fill(client, name):
    """Each point has a number of its own (`place`) to be put in order by; some have a number (`rate`) for formulas."""
    rng = seeded(SEED, "points")
    places = rng.sample(range(1000), len(IDS))
    points = []
    for i, place in zip(IDS, places, strict=True):
        payload = {**draw_payload(rng), "place": place}
        if rng.random() < 0.7:
            payload["rate"] = rng.randint(-80, 80) / 8
        points.append(models.PointStruct(id=i, vector=SHAPE.draw_vectors(rng), payload=payload))
    SHAPE.create(client, name)
    client.upsert(name, points, wait=True)
    return points


@pytest.fixture(scope="module")
def judge():
    client = QdrantClient(":memory:")
    fill(client, NAME)
    return client


@pytest.fixture(scope="module")
def filled(server):
    client = connect(server, True)
    points = fill(client, NAME)
    client.create_payload_index(NAME, "place", "integer", wait=True)
    client.close()
    return points


# ---- trees ----

class Trees:
    def __init__(self, rng):
        self.rng = rng
        self.filters = Filters(rng, SHAPE)

    def vector(self, using):
        return SHAPE.vectors[using].draw(self.rng)

    def filter(self):
        return self.filters.draw(1) if self.rng.random() < 0.3 else None

    def pairs(self, using, count):
        return [models.ContextPair(positive=self.vector(using), negative=self.vector(using)) for _ in range(count)]

    def nearest(self, using):
        return models.NearestQuery(nearest=self.vector(using))

    def mmr(self, using):
        # A half is the default. It makes points equal that lie behind a chosen one, as Manhattan sees it.
        diversity = self.rng.choice([0.0, 0.3, 0.9, 1.0, None if using != "l" else 0.4])
        mmr = models.Mmr(diversity=diversity, candidates_limit=self.rng.choice([None, 3, 12, 100]))
        return models.NearestQuery(nearest=self.vector(using), mmr=mmr)

    def recommend(self, using):
        strategy = self.rng.choice([None, *models.RecommendStrategy])
        examples = [[self.vector(using) for _ in range(n)] for n in (self.rng.randint(1, 3), self.rng.randint(0, 2))]
        return models.RecommendQuery(recommend=models.RecommendInput(positive=examples[0], negative=examples[1], strategy=strategy))

    def discover(self, using):
        return models.DiscoverQuery(discover=models.DiscoverInput(target=self.vector(using), context=self.pairs(using, self.rng.randint(1, 3))))

    def ranking(self):
        """A query that compares vectors, and the name of these."""
        kind = self.rng.choice([self.nearest, self.nearest, self.mmr, self.recommend, self.discover])
        using = self.rng.choice(DENSE if kind in (self.recommend, self.discover) else list(SHAPE.vectors))
        return kind(using), using

    def order(self):
        direction = self.rng.choice(list(models.Direction))
        return models.OrderByQuery(order_by=models.OrderBy(key="place", direction=direction))

    def fusion(self, prefetches):
        rng = self.rng
        weights = rng.choice([None, [rng.choice([0.0, 0.5, 1.0, 3.0]) for _ in range(prefetches)]])
        return rng.choice([
            models.FusionQuery(fusion=models.Fusion.RRF), models.FusionQuery(fusion=models.Fusion.DBSF),
            models.RrfQuery(rrf=models.Rrf(k=rng.choice([None, 1, 7, 60]), weights=weights)),
        ])

    def formula(self, prefetches):
        rng = self.rng
        terms = [
            "$score", f"$score[{rng.randrange(prefetches)}]", models.MultExpression(mult=[0.01, "place"]),
            models.MultExpression(mult=[rng.choice([0.5, -1.0]), models.FieldCondition(key="flag", match=models.MatchValue(value=True))]),
            models.DivExpression(div=models.DivParams(left="rate", right=4.0)), models.AbsExpression(abs=models.NegExpression(neg="$score")),
            models.ExpDecayExpression(exp_decay=models.DecayParamsExpression(x="place", target=300.0, scale=100.0)),
        ]
        return models.FormulaQuery(formula=models.SumExpression(sum=rng.sample(terms, rng.randint(1, 4))), defaults={"rate": 0.25})

    def stage(self, depth):
        """What prefetches and the root have in common."""
        rng = self.rng
        parts = {"filter": self.filter(), "limit": rng.choice([1, 3, 10, 20])}
        if depth > 0 and rng.random() < 0.8:
            prefetch = [models.Prefetch(**self.stage(depth - 1)) for _ in range(rng.randint(1, 3))]
            parts["prefetch"] = prefetch
            kind = rng.random()
            if kind < 0.5:
                parts["query"] = self.fusion(len(prefetch)) if kind < 0.35 else self.formula(len(prefetch))
                parts["score_threshold"] = rng.choice([None, None, 0.3071])  # no sum of ranks
                return parts
        if rng.random() < 0.15:
            return {**parts, "query": self.order()}
        if rng.random() < 0.08 and "prefetch" not in parts:
            return parts
        parts["query"], parts["using"] = self.ranking()
        return parts

    def root(self):
        parts = self.stage(3)
        parts["query_filter"] = parts.pop("filter")
        return {**parts, "offset": self.rng.choice([None, None, 1, 4]), "with_payload": False}


def show(points):
    return [(p.id, round(float(p.score), 5)) for p in points]


def same(expected, got, where):
    """Points in the same order, but those whose scores are equal within what rounding does."""
    text = f"{where}\n expected {show(expected)}\n got      {show(got)}"
    assert len(expected) == len(got), text
    for a, b in zip(expected, got):
        assert abs(a.score - b.score) <= 2e-4 * max(1.0, abs(a.score)), text
    assert len({p.id for p in got}) == len({p.id for p in expected}), text
    scores = {}
    for p in expected:
        scores.setdefault(p.id, []).append(p.score)
    last = expected[-1].score if expected else 0
    for p in got:  # another point may stand at the cut
        near = [s for s in scores.get(p.id, [last]) if abs(s - p.score) <= 4e-4 * max(1.0, abs(s))]
        assert near, text


def strictly(expected, got, where):
    same(expected, got, where)
    assert [p.id for p in expected] == [p.id for p in got], f"{where}\n expected {show(expected)}\n got      {show(got)}"


def ask(client, **request):
    return client.query_points(NAME, **request).points


def test_random_trees(judge, filled, client):
    rng = seeded(SEED, "trees")
    trees = Trees(rng)
    fused = 0
    for number in range(TREES):
        tree = trees.root()
        expected, got = ask(judge, **tree), ask(client, **tree)
        same(expected, got, f"tree {number}: {tree}")
        fused += bool(expected) and isinstance(tree.get("query"), (models.FusionQuery, models.RrfQuery))
    assert fused > TREES // 10, "too few trees with an answer: the comparison says little"


def test_the_comparison_sees_another_order(judge, filled):
    """The judge against itself with the last two prefetches' weights exchanged, and with one point less."""
    trees = Trees(seeded(SEED, "planted"))
    prefetch = [models.Prefetch(query=trees.nearest(name), using=name, limit=8) for name in ("a", "d")]

    def weighted(*weights):
        return ask(judge, prefetch=prefetch, query=models.RrfQuery(rrf=models.Rrf(weights=list(weights))), limit=8)

    same(weighted(1.0, 3.0), weighted(1.0, 3.0), "itself")
    with pytest.raises(AssertionError, match="expected"):
        same(weighted(1.0, 3.0), weighted(3.0, 1.0), "weights")
    with pytest.raises(AssertionError, match="expected"):
        same(weighted(1.0, 3.0), weighted(1.0, 3.0)[1:], "a point less")


def test_equal_ranks_keep_the_order_of_mention(judge, filled, client):
    rng = seeded(SEED, "ties")
    trees = Trees(rng)
    for number in range(TREES // 5):
        prefetch = []
        for name in rng.sample(DENSE, rng.randint(2, 4)):
            prefetch.append(models.Prefetch(query=trees.nearest(name), using=name, limit=rng.randint(1, 12), filter=trees.filter()))
        for fusion, compare in ((models.Fusion.RRF, strictly), (models.Fusion.DBSF, same)):
            request = {"prefetch": prefetch, "query": models.FusionQuery(fusion=fusion), "limit": 30}
            compare(ask(judge, **request), ask(client, **request), f"{number} {fusion}")


def test_mmr(judge, filled, client):
    trees = Trees(seeded(SEED, "mmr"))
    for number in range(TREES // 3):
        using = trees.rng.choice(list(SHAPE.vectors))
        request = {"query": trees.mmr(using), "using": using, "limit": trees.rng.choice([3, 10, 30]), "offset": trees.rng.choice([None, 2])}
        strictly(ask(judge, **request), ask(client, **request), f"{number} {using}")


def test_batches_and_ids(judge, filled, client):
    """Queries of all kinds in one request; ids at the root are left out of everything below it too."""
    rng = seeded(SEED, "batches")
    trees = Trees(rng)
    for number in range(TREES // 10):
        requests = []
        for _ in range(rng.randint(1, 6)):
            tree = trees.root()
            tree["filter"], tree["with_vector"] = tree.pop("query_filter"), False
            if rng.random() < 0.4:
                has = models.Filter(must=[models.HasVectorCondition(has_vector="a")])
                ids = [p.id for p in judge.scroll(NAME, scroll_filter=has, limit=100)[0]]
                tree["query"], tree["using"], tree["score_threshold"] = rng.choice(ids), "a", None
            requests.append(models.QueryRequest(**tree))
        answers = zip(judge.query_batch_points(NAME, requests), client.query_batch_points(NAME, requests), strict=True)
        for place, (expected, got) in enumerate(answers):
            same(expected.points, got.points, f"batch {number}, request {place}: {requests[place]}")


def test_groups_of_trees(judge, filled, client):
    rng = seeded(SEED, "groups")
    trees = Trees(rng)
    for number in range(TREES // 3):
        tree = trees.root()
        del tree["offset"], tree["limit"]
        key, limit, size = rng.choice(["city", "tags", "n", "flag"]), rng.choice([1, 3, 20]), rng.choice([1, 2, 20])
        if isinstance(tree.get("query"), models.NearestQuery) and tree["query"].mmr is not None:
            tree["query"].mmr.candidates_limit = 10
        expected, got = (
            c.query_points_groups(NAME, group_by=key, limit=limit, group_size=size, **tree).groups for c in (judge, client)
        )
        where = f"groups {number} by {key}: {tree}\n {[(g.id, show(g.hits)) for g in expected]}\n {[(g.id, show(g.hits)) for g in got]}"
        assert len(expected) == len(got), where
        for a, b in zip(expected, got):
            assert len(a.hits) == len(b.hits) or a.id != b.id, where
            assert abs(a.hits[0].score - b.hits[0].score) <= 2e-4 * max(1.0, abs(a.hits[0].score)), where
            if a.id == b.id:
                same(a.hits, b.hits, where)


def test_empty_prefetches(judge, filled, client):
    trees = Trees(seeded(SEED, "empty"))
    empty = models.Prefetch(query=trees.nearest("a"), using="a", filter=NOTHING_FITS)
    some = models.Prefetch(query=trees.nearest("d"), using="d", limit=4)
    for prefetch in ([empty], [empty, empty], [empty, some]):
        queries = [
            trees.fusion(len(prefetch)), models.FusionQuery(fusion=models.Fusion.DBSF), trees.formula(len(prefetch)), trees.order()
        ]
        for query in queries:
            request = {"prefetch": prefetch, "query": query}
            same(ask(judge, **request), ask(client, **request), str(request))
        for query, using in ((trees.nearest("a"), "a"), (trees.mmr("b"), "b"), (trees.discover("l"), "l")):
            request = {"prefetch": prefetch, "query": query, "using": using}
            same(ask(judge, **request), ask(client, **request), str(request))


# ---- what is refused ----

def post(server, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    connection.request("POST", f"/collections/{NAME}{path}", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


A = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
LEAF = {"query": A, "using": "a", "limit": 3}
DEEP = LEAF
for _ in range(65):
    DEEP = {"prefetch": DEEP, "query": A, "using": "a"}


@pytest.mark.parametrize(("body", "text"), [
    ({"query": {"fusion": "rrf"}}, "Wrong input: Validation failed: cannot apply Fusion without prefetches"),
    ({"query": {"rrf": {"k": 3}}}, "Wrong input: Validation failed: cannot apply Fusion without prefetches"),
    ({"query": {"formula": "$score"}}, "Wrong input: Validation failed: cannot apply Formula without prefetches"),
    ({"prefetch": [LEAF], "query": {"fusion": "rrf"}, "using": "a"}, "Bad request: Fusion queries cannot be combined with the 'using' field."),
    ({"prefetch": [LEAF]}, "Bad request: A query is needed to merge the prefetches. Can't have prefetches without defining a query."),
    ({"prefetch": {"prefetch": LEAF}, "query": {"fusion": "rrf"}},
     "Bad request: A query is needed to merge the prefetches. Can't have prefetches without defining a query."),
    ({"prefetch": {"query": {"order_by": "place"}, "score_threshold": 1}, "query": {"fusion": "rrf"}},
     "Bad request: Can't use score_threshold with an order_by query."),
    ({"prefetch": [LEAF], "query": {"rrf": {"weights": [1, 2]}}},
     "Wrong input: Validation failed: Number of weights in RRF should match number of pre-fetches: got 2, expected 1"),
    ({"prefetch": [LEAF, {**LEAF, "limit": 0}], "query": {"fusion": "rrf"}},
     "Validation error in JSON body: [internal.prefetch[1].limit: value 0 invalid, must be 1 or larger]"),
    ({"prefetch": [{**LEAF, "using": "nobody"}], "query": {"fusion": "rrf"}}, "Wrong input: Not existing vector name error: nobody"),
    ({"prefetch": [{**LEAF, "query": 77777}], "query": {"fusion": "rrf"}}, "Not found: No point with id 77777 found"),
    ({"prefetch": DEEP, "query": {"fusion": "rrf"}}, "Wrong input: Validation failed: prefetches depth 65 exceeds max depth 64"),
])
def test_refusals(server, filled, body, text):
    status, answer = post(server, "/points/query", body)
    assert status in (400, 404, 422) and answer["status"]["error"] == text


# ---- the older requests ----

def vectors_of(points, name):
    return [p for p in points if isinstance(p.vector, dict) and name in p.vector]


def test_older_requests_over_rest(server, filled):
    ids = [p.id for p in vectors_of(filled, "a")][:5]
    recommend = {"positive": ids[:2], "negative": [ids[2], A], "using": "a", "limit": 5}
    discover = {"target": ids[3], "context": [{"positive": ids[0], "negative": A}], "using": "a", "limit": 5}
    for strategy in ("average_vector", "best_score", "sum_scores"):
        older = {**recommend, "strategy": strategy}
        query = {"recommend": {k: older[k] for k in ("positive", "negative", "strategy")}}
        newer = post(server, "/points/query", {"query": query, "using": "a", "limit": 5})
        assert newer[0] == 200 and len(newer[1]["result"]["points"]) == 5
        assert post(server, "/points/recommend", older)[1]["result"] == newer[1]["result"]["points"]
        assert post(server, "/points/recommend/batch", {"searches": [older, older]})[1]["result"] == [newer[1]["result"]["points"]] * 2
        grouping = {"group_by": "city", "limit": 3, "group_size": 2}
        newer = post(server, "/points/query/groups", {"query": query, "using": "a", **grouping})
        assert newer[1]["result"]["groups"]
        assert post(server, "/points/recommend/groups", {**older, **grouping})[1]["result"] == newer[1]["result"]
    query = {"discover": {k: discover[k] for k in ("target", "context")}}
    newer = post(server, "/points/query", {"query": query, "using": "a", "limit": 5})
    assert newer[0] == 200 and len(newer[1]["result"]["points"]) == 5
    assert post(server, "/points/discover", discover)[1]["result"] == newer[1]["result"]["points"]
    assert post(server, "/points/discover/batch", {"searches": [discover]})[1]["result"] == [newer[1]["result"]["points"]]
    newer = post(server, "/points/query", {"query": {"context": discover["context"]}, "using": "a", "limit": 50})
    older = post(server, "/points/discover", {**discover, "target": None, "limit": 50})
    assert older[0] == 200 and older[1]["result"] == newer[1]["result"]["points"]
    status, answer = post(server, "/points/recommend", {"positive": [], "limit": 2})
    assert (status, answer["status"]["error"]) == (400, "Bad request: At least one positive vector ID required with this strategy")


def test_older_requests_over_grpc(server, filled):
    ids = [messages.PointId(num=p.id) for p in vectors_of(filled, "a") if isinstance(p.id, int)][:4]
    inputs = [messages.VectorInput(id=i) for i in ids]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        points = messages.PointsStub(channel)
        recommend = messages.RecommendPoints(collection_name=NAME, positive=ids[:2], negative=ids[2:3], limit=5, using="a")
        query = messages.Query(recommend=messages.RecommendInput(positive=inputs[:2], negative=inputs[2:3]))
        newer = list(points.Query(messages.QueryPoints(collection_name=NAME, query=query, using="a", limit=5)).result)
        assert len(newer) == 5 and list(points.Recommend(recommend).result) == newer
        batch = messages.RecommendBatchPoints(collection_name=NAME, recommend_points=[recommend])
        assert list(points.RecommendBatch(batch).result[0].result) == newer
        grouped = messages.RecommendPointGroups(
            collection_name=NAME, positive=ids[:2], negative=ids[2:3], limit=3, group_size=2, group_by="city", using="a"
        )
        wanted = messages.QueryPointGroups(collection_name=NAME, query=query, using="a", limit=3, group_size=2, group_by="city")
        assert points.RecommendGroups(grouped).result == points.QueryGroups(wanted).result
        target = messages.TargetVector(single=messages.VectorExample(id=ids[3]))
        pair = messages.ContextExamplePair(positive=messages.VectorExample(id=ids[0]), negative=messages.VectorExample(id=ids[1]))
        discover = messages.DiscoverPoints(collection_name=NAME, target=target, context=[pair], limit=5, using="a")
        context = messages.ContextInput(pairs=[messages.ContextInputPair(positive=inputs[0], negative=inputs[1])])
        query = messages.Query(discover=messages.DiscoverInput(target=inputs[3], context=context))
        newer = list(points.Query(messages.QueryPoints(collection_name=NAME, query=query, using="a", limit=5)).result)
        assert len(newer) == 5 and list(points.Discover(discover).result) == newer
        batch = messages.DiscoverBatchPoints(collection_name=NAME, discover_points=[discover])
        assert list(points.DiscoverBatch(batch).result[0].result) == newer


# ---- strict mode ----

def strict_collection(client, limits):
    name = "strict-trees"
    client.delete_collection(name)
    SHAPE.create(client, name)
    client.upsert(name, [models.PointStruct(id=1, vector={"a": A}, payload={"n": 1})], wait=True)
    client.update_collection(name, strict_mode_config=models.StrictModeConfig(enabled=True, **limits))
    return name


def test_strict_mode_looks_at_prefetches(server, filled):
    client = connect(server, False)
    filtered = models.Filter(must=[models.FieldCondition(key="n", match=models.MatchValue(value=1))])
    leaf = models.Prefetch(query=A, using="a", limit=5)
    narrow = models.Prefetch(query=A, using="a", filter=filtered)
    fusion = models.FusionQuery(fusion=models.Fusion.RRF)

    def fault(limits, prefetch, query=fusion):
        name = strict_collection(client, limits)
        with pytest.raises(Exception) as caught:
            client.query_points(name, prefetch=prefetch, query=query, limit=1)
        client.update_collection(name, strict_mode_config=models.StrictModeConfig(enabled=False))
        assert len(client.query_points(name, prefetch=prefetch, query=query, limit=1).points) == 1
        return caught.value.content.decode()

    deep = models.Prefetch(prefetch=[leaf, models.Prefetch(query=A, using="a", limit=6)], query=fusion, limit=2)
    assert "Limit exceeded 6 > 5" in fault({"max_query_limit": 5}, [leaf, deep])
    deep = models.Prefetch(prefetch=[narrow], query=fusion)
    assert r'Index required but not found for \"n\"' in fault({"unindexed_filtering_retrieve": False}, [deep])
    exact = models.Prefetch(query=A, using="a", params=models.SearchParams(exact=True))
    assert "Exact search disabled!" in fault({"search_allow_exact": False}, [exact])
    formula = models.FormulaQuery(formula=models.SumExpression(sum=["$score", "n"]))
    text = fault({"unindexed_filtering_retrieve": False}, [leaf], formula)
    assert r'found for \"n\" of one of the following types: [float, integer]' in text and "use a different formula expression" in text
    # A token for each search and one for the condition.
    four = [leaf, models.Prefetch(prefetch=[leaf, narrow], query=fusion)]
    name = strict_collection(client, {"read_rate_limit": 7})
    client.query_points(name, prefetch=four, query=fusion)
    with pytest.raises(Exception) as caught:
        client.query_points(name, prefetch=four, query=fusion)
    assert "Operation requires 4 tokens but only 3" in str(caught.value) + getattr(caught.value, "content", b"").decode()
    client.close()
