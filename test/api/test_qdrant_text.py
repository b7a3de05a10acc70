"""Text queries: BM25 over a field's text index, against the client's in-memory mode and against figures worked out by hand."""
import json
import math
import random
import uuid

import grpc as grpclib
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

WORDS = ["red", "green", "blue", "apple", "pear", "Plum", "tree", "Éclair", "of", "and", "pie", "x1"]
SCORING = models.TextIndexParams(type="text", scoring=True)


def fault(run):
    try:
        run()
    except UnexpectedResponse as error:
        return error.status_code, json.loads(error.content)["status"]["error"]
    except grpclib.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError("no error")


def text_of(rng):
    return " ".join(rng.choices(WORDS, k=rng.choice([0, 1, 2, 5, 9, 30])))


def payload_of(rng):
    kind = rng.randrange(10)
    if kind == 0:
        return {"n": rng.randrange(5)}
    if kind == 1:
        return {"n": rng.randrange(5), "body": [text_of(rng), 7, text_of(rng)]}
    if kind == 2:
        return {"body": rng.choice([5, None, {"red": "apple"}, []])}
    return {"n": rng.randrange(5), "body": text_of(rng)}


def make(client, points=(), **options):
    name = f"text-{uuid.uuid4().hex[:12]}"
    client.create_collection(name, vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    if points:
        client.upsert(name, points)
    client.create_payload_index(name, "body", models.TextIndexParams(type="text", **{"scoring": True, **options}))
    return name


@pytest.fixture
def name(client):
    made = make(client, [models.PointStruct(id=i, vector=[1.0, i], payload={"body": body, "n": i}) for i, body in enumerate([
        "red apple", "green apple pie apple", "blue", "red pear"], 1)])
    yield made
    client.delete_collection(made)


def bm25(documents, query, k=1.2, b=0.75):
    """Scores by place; documents are lists of words."""
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for term in set(query.split()):
            df = sum(term in d for d in documents)
            tf = document.count(term)
            score += math.log(1 + (len(documents) - df + 0.5) / (df + 0.5)) * tf * (k + 1) / (tf + k * (1 - b + b * len(document) / mean))
        scores.append(score)
    return scores


def ask(client, name, text, **options):
    return client.query_points(name, query=models.TextQuery(text=text), **{"using": "body", "limit": 10, **options}).points


def scoring(query, **params):
    return models.TextQueryInput(query=query, scoring=models.Bm25Scoring(bm25=models.Bm25Params(**params)))


@pytest.mark.parametrize("seed", range(3))
def test_as_the_in_memory_client(client, seed):
    rng = random.Random(seed)
    judge = QdrantClient(":memory:")
    points = [models.PointStruct(id=i, vector=[1.0, float(i)], payload=payload_of(rng)) for i in range(120)]
    names = [(side, make(side, points)) for side in (judge, client)]
    for step in range(60):
        if step % 3 == 0:
            changed = [models.PointStruct(id=rng.randrange(130), vector=[0.0, 1.0], payload=payload_of(rng)) for _ in range(3)]
            gone = [rng.randrange(130) for _ in range(2)]
            for side, name in names:
                side.upsert(name, changed)
                side.delete(name, gone)
        query = " ".join(rng.choices(WORDS + ["nothing", "RED"], k=rng.randrange(4)))
        text = rng.choice([query, scoring(query, k=rng.choice([0.0, 0.5, 2.0]), b=rng.choice([0.0, 0.5, 1.0])), models.TextQueryInput(query=query)])
        flt = rng.choice([None, models.Filter(must=[models.FieldCondition(key="n", range=models.Range(gte=rng.randrange(5)))])])
        options = {"query_filter": flt, "with_payload": rng.choice([True, False, ["n"]]), "with_vectors": rng.choice([True, False])}
        threshold = rng.choice([None, 0.5])
        wanted, got = (ask(side, name, text, score_threshold=threshold, limit=200, **options) for side, name in names)
        full = {p.id: p for p in wanted}
        assert [p.score for p in got] == pytest.approx([p.score for p in wanted], rel=1e-6)
        assert full.keys() == {p.id for p in got}
        for point in got:
            other = full[point.id]
            assert point.score == pytest.approx(other.score, rel=1e-6)
            assert (point.payload or {}, point.vector) == (other.payload or {}, other.vector)
        limit, offset = rng.randrange(1, 8), rng.randrange(8)
        page = ask(client, names[1][1], text, score_threshold=threshold, limit=limit, offset=offset, **options)
        assert [p.id for p in page] == [p.id for p in got[offset:offset + limit]]
    client.delete_collection(names[1][1])


def test_figures(client, name):
    documents = [text.split() for text in ("red apple", "green apple pie apple", "blue", "red pear")]
    wanted = sorted(((score, -i) for i, score in enumerate(bm25(documents, "red apple"), 1) if score > 0), reverse=True)
    got = ask(client, name, "red apple")
    assert [(-p.id) for p in got] == [i for _, i in wanted]
    assert [p.score for p in got] == pytest.approx([s for s, _ in wanted], rel=1e-6)
    assert ask(client, name, "") == [] and ask(client, name, "unheard of") == []
    assert [p.id for p in ask(client, name, "Blue, blue!")] == [3]


def test_corpus(client, name):
    """Statistics of a corpus; points outside of it are scored all the same."""
    def asked(text, **bounds):
        corpus = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(**bounds))])
        params = models.SearchParams(idf=models.IdfCorpusParams(corpus=corpus))
        return {p.id: p.score for p in ask(client, name, text, search_params=params)}

    idf, mean = math.log(1 + (2 - 1 + 0.5) / 1.5), 3.0
    wanted = idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / mean))
    assert asked("red", lte=2) == pytest.approx({1: wanted, 4: wanted}, rel=1e-6)
    # A corpus of nobody: every term is as rare as can be, every text of average length.
    assert asked("red", gte=100) == pytest.approx({1: math.log(2), 4: math.log(2)}, rel=1e-6)
    assert asked("blue red", gte=3, lte=3) == pytest.approx({1: 0.98382175, 4: 0.98382175, 3: 0.28768211}, rel=1e-6)


def test_batches(client, name):
    near = models.QueryRequest(query=models.NearestQuery(nearest=[0.0, 1.0]), limit=1)
    text = models.QueryRequest(query=models.TextQuery(text="pie"), using="body", limit=3, with_payload=["n"])
    answers = client.query_batch_points(name, [near, text, near, text])
    assert [[p.id for p in a.points] for a in answers] == [[4], [2], [4], [2]]
    assert answers[1].points[0].payload == {"n": 2}


def test_index_shows_scoring(client, name):
    assert client.get_collection(name).payload_schema["body"].params.scoring == models.TextScoringParams(type="bm25")
    client.create_payload_index(name, "plain", models.TextIndexParams(type="text", scoring=False))
    assert client.get_collection(name).payload_schema["plain"].params.scoring is None
    client.create_payload_index(name, "other", models.TextIndexParams(type="text", scoring=models.TextScoringParams(type="bm25")))
    assert client.get_collection(name).payload_schema["other"].params.scoring.type == "bm25"


def test_refusals(client, name):
    assert fault(lambda: ask(client, name, "red", using="none"))[1].endswith(
        "Validation failed: BM25 requires a text index on field none, which has none")
    client.create_payload_index(name, "n", "integer")
    assert fault(lambda: ask(client, name, "red", using="n"))[1].endswith(
        "Validation failed: BM25 requires a text index on field n, which is indexed as Integer")
    client.create_payload_index(name, "title", "text")
    assert fault(lambda: ask(client, name, "red", using="title"))[1].endswith(
        "Validation failed: The text index on `title` does not score: set `scoring` on it to query it")
    assert fault(lambda: ask(client, name, "red", using=None))[1].endswith(
        "A text query needs `using` to name the payload field to search")
    assert fault(lambda: ask(client, name, "red", using="none"))[0] in (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("params,text", [({"k": -1.0}, "value -1.0 invalid, must be 0.0 or larger"), ({"b": 1.5}, "value 1.5 invalid, must be from 0.0 to 1.0")])
def test_bad_figures(client, name, params, text):
    code, message = fault(lambda: ask(client, name, scoring("red", **params)))
    assert code in (422, "INVALID_ARGUMENT") and text in message


def test_changing_the_scoring_rebuilds(client, name):
    client.create_payload_index(name, "body", "text")
    assert "does not score" in fault(lambda: ask(client, name, "red"))[1]
    client.create_payload_index(name, "body", SCORING)
    assert [p.id for p in ask(client, name, "blue")] == [3]
