"""The client's in-memory mode as the judge: the same random operations run there and against the server, over gRPC and over REST.

Every answer has to be equal; scores within a tolerance, and hits of equal score in any order. OPS sets the number of operations of
one run over all shapes of collections (default 400), SEED another sequence.
"""
import os

import pytest
from qdrant_client import QdrantClient, models

from test.api.qdrant_browse import Browsing, Groups, Ordered
from test.api.qdrant_random import IDS, SHAPES, Filters, draw_payload, seeded

OPS = int(os.environ.get("OPS", "400"))
SEED = os.environ.get("SEED", "1")


def same(expected, got, tolerance, where=""):
    """Compares answers to any depth; numbers that are no integers within the tolerance."""
    if isinstance(expected, dict) and isinstance(got, dict):
        assert expected.keys() == got.keys(), f"{where}: keys {sorted(expected)} expected, got {sorted(got)}"
        for key in expected:
            same(expected[key], got[key], tolerance, f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(got, list):
        assert len(expected) == len(got), f"{where}: {len(expected)} entries expected, got {len(got)}: {expected} {got}"
        for i, (a, b) in enumerate(zip(expected, got)):
            same(a, b, tolerance, f"{where}[{i}]")
    elif isinstance(expected, float) or isinstance(got, float):
        assert type(got) in (int, float), f"{where}: {expected} expected, got {got!r}"
        assert abs(expected - got) <= tolerance * max(1.0, abs(expected)), f"{where}: {expected} expected, got {got}"
    else:
        assert expected == got and type(expected) is type(got), f"{where}: {expected!r} expected, got {got!r}"


def plain_vector(vector):
    """Absent and empty are one; a sparse vector is a map."""
    if vector is None or vector == {}:
        return None
    if isinstance(vector, models.SparseVector):
        return {str(i): float(v) for i, v in zip(vector.indices, vector.values)}
    if isinstance(vector, dict):
        return {name: plain_vector(v) for name, v in vector.items()}
    return [plain_vector(v) if isinstance(v, list) else float(v) for v in vector]


def plain(point):
    return {"id": point.id, "payload": point.payload or {}, "vector": plain_vector(point.vector)}


class Hits:
    """A query's answer. Compared by score at each place, then each hit by the score its id has in the judge's full list."""

    def __init__(self, found, everything):
        self.found, self.everything = found, everything

    def same(self, judge, tolerance, where):
        wanted, got = judge.found, self.found
        assert len(wanted) == len(got), f"{where}: {len(wanted)} hits expected, got {len(got)}: {[p.id for p in wanted]} {[p.id for p in got]}"
        full = {p.id: p for p in judge.everything()}
        assert len({p.id for p in got}) == len(got), f"{where}: a point came twice: {[p.id for p in got]}"
        for place, (a, b) in enumerate(zip(wanted, got)):
            same(float(a.score), float(b.score), tolerance, f"{where}[{place}].score")
            assert b.id in full, f"{where}[{place}]: point {b.id} is no match"
            same(float(full[b.id].score), float(b.score), tolerance, f"{where}[{place}].score of {b.id}")
            same(plain(full[b.id]), plain(b), tolerance, f"{where}[{place}]")


class Run(Browsing):
    """One sequence of operations on one shape of collection."""

    def __init__(self, shape_name, seed, oracle, clients):
        self.rng = seeded(seed, shape_name)
        self.shape = SHAPES[shape_name]
        self.filters = Filters(self.rng, self.shape)
        self.oracle, self.clients = oracle, clients
        self.names = {label: f"{shape_name}-{label}" for label in clients}
        self.name = shape_name
        self.done = 0
        self.shape.create(oracle, shape_name)
        for label, client in clients.items():
            self.shape.create(client, self.names[label])
        writes = [self.upsert, self.upsert, self.delete, self.set_payload, self.overwrite_payload, self.delete_payload, self.clear_payload, self.batch]
        reads = [self.scroll, self.pages, self.count, self.retrieve, self.narrow, self.narrow, self.wide, self.facet, self.order, self.order_query, self.sample]
        if self.shape.vectors:
            writes += [self.update_vectors, self.delete_vectors]
            reads += [self.query, self.query, self.query_by_id, self.query_batch, self.groups]
        if self.dense():
            reads += [self.matrix]
        self.writes, self.reads = [*writes, self.change_index, self.change_index], reads
        self.start_indexes()

    def run(self, operations):
        self.both("upsert", self.upsert_of(IDS[:30]))
        for _ in range(operations):
            kind = self.rng.choice(self.writes if self.rng.random() < 0.4 else self.reads)
            self.both(kind.__name__, kind())
            self.done += 1
        self.both("everything", lambda c, n: self.listing(c, n, None, True, True))

    def both(self, what, operation):
        """operation(client, collection) runs on the judge and on every client; an error on one side must be one on all."""
        expected, fault = self.attempt(operation, self.oracle, self.name)
        for label, client in self.clients.items():
            where = f"{self.name} over {label}, operation {self.done} ({what})"
            got, error = self.attempt(operation, client, self.names[label])
            assert (error is None) == (fault is None), f"{where}: error expected {fault!r}, got {error!r}"
            if error is not None:
                continue
            if isinstance(expected, list) and expected and isinstance(expected[0], Hits):
                assert len(expected) == len(got)
                for i, (a, b) in enumerate(zip(expected, got)):
                    b.same(a, self.shape.tolerance, f"{where}[{i}]")
            elif isinstance(expected, (Hits, Ordered, Groups)):
                got.same(expected, self.shape.tolerance, where)
            else:
                same(expected, got, self.shape.tolerance, where)

    @staticmethod
    def attempt(operation, client, name):
        try:
            return operation(client, name), None
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001: each client has error classes of its own
            return None, error

    # Writes: each draws what it needs once and returns a function for all clients.

    def known(self, most=6):
        ids = sorted((p.id for p in self.oracle.scroll(self.name, limit=1000)[0]), key=str)
        return self.rng.sample(ids, min(len(ids), self.rng.randint(1, most)))

    def points(self, ids):
        return [models.PointStruct(id=i, vector=self.shape.draw_vectors(self.rng), payload=draw_payload(self.rng)) for i in ids]

    def upsert_of(self, ids, **options):
        points = self.points(ids)

        def upsert(client, name):
            client.upsert(name, [p.model_copy(deep=True) for p in points], wait=True, **options)

        return upsert

    def upsert(self):
        options = {}
        if self.rng.random() < 0.2:
            options["update_mode"] = self.rng.choice([models.UpdateMode.INSERT_ONLY, models.UpdateMode.UPDATE_ONLY])
        elif self.rng.random() < 0.2:
            options["update_filter"] = self.filters.draw(1)
        return self.upsert_of(self.rng.sample(IDS, self.rng.randint(1, 8)), **options)

    def selector(self):
        """Points by ids or by filter; None when there is no point to name."""
        if self.rng.random() < 0.3:
            return models.FilterSelector(filter=self.filters.draw(1))
        return models.PointIdsList(points=self.known() or [IDS[0]])

    def delete(self):
        ids = models.PointIdsList(points=self.rng.sample(IDS, self.rng.randint(1, 3)))
        selector = ids if self.rng.random() < 0.8 else models.FilterSelector(filter=self.filters.draw(1))
        return lambda c, n: c.delete(n, selector, wait=True) and None

    def set_payload(self):
        payload, selector = draw_payload(self.rng), self.selector()
        key = self.rng.choice([None, None, "deep", "deep.a", "nest[0]", "new.part"])
        return lambda c, n: c.set_payload(n, payload, points=selector, key=key, wait=True) and None

    def overwrite_payload(self):
        payload, selector = draw_payload(self.rng), self.selector()
        return lambda c, n: c.overwrite_payload(n, payload, points=selector, wait=True) and None

    def delete_payload(self):
        keys = self.rng.sample(["city", "tags", "n", "deep.a", "nest[].a", "odd", "never"], self.rng.randint(1, 3))
        selector = self.selector()
        return lambda c, n: c.delete_payload(n, keys, points=selector, wait=True) and None

    def clear_payload(self):
        selector = models.PointIdsList(points=self.known(2) or [IDS[0]])
        return lambda c, n: c.clear_payload(n, selector, wait=True) and None

    def update_vectors(self):
        points = [models.PointVectors(id=i, vector=self.shape.draw_vectors(self.rng)) for i in self.known()]
        points = [p for p in points if p.vector != {}]
        if not points:
            return lambda c, n: None
        return lambda c, n: c.update_vectors(n, [p.model_copy(deep=True) for p in points], wait=True) and None

    def delete_vectors(self):
        names = self.rng.sample(list(self.shape.vectors), 1)
        ids = self.known(2)
        if not ids:
            return lambda c, n: None
        return lambda c, n: c.delete_vectors(n, names, ids, wait=True) and None

    def batch(self):
        ids = self.rng.sample(IDS, 4)
        points, payload = self.points(ids[:3]), draw_payload(self.rng)
        some = [
            models.UpsertOperation(upsert=models.PointsList(points=points)),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload=payload, points=[ids[0]])),
            models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["city", "x"], points=[ids[1]])),
            models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload={"only": 1}, points=[ids[2]])),
            models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[ids[1]])),
            models.DeleteOperation(delete=models.PointIdsList(points=[ids[2]])),
        ]
        operations = some[: self.rng.randint(1, len(some))]
        return lambda c, n: len(c.batch_update_points(n, [o.model_copy(deep=True) for o in operations], wait=True) or []) and None

    # Reads

    def shown(self):
        """Selectors for payload and vectors."""
        payload = self.rng.choice([
            True, False, ["city", "deep.a"], models.PayloadSelectorInclude(include=["nest[].a", "x"]), models.PayloadSelectorExclude(exclude=["tags", "deep.a"]),
        ])
        names = [n for n in self.shape.vectors if n]
        vectors = self.rng.choice([True, False, self.rng.sample(names, 1) if names else True])
        return payload, vectors

    @staticmethod
    def listing(client, name, filter_, payload, vectors, limit=1000, offset=None):
        points, following = client.scroll(name, scroll_filter=filter_, limit=limit, offset=offset, with_payload=payload, with_vectors=vectors)
        return {"points": [plain(p) for p in points], "next": following}

    def scroll(self):
        filter_, (payload, vectors) = self.filters.maybe(), self.shown()
        limit, offset = self.rng.randint(1, 30), self.rng.choice([None, None, self.rng.choice(IDS)])
        return lambda c, n: self.listing(c, n, filter_, payload, vectors, limit, offset)

    def pages(self):
        filter_, limit = self.filters.maybe(), self.rng.randint(1, 9)

        def run(client, name):
            found, offset = [], None
            while True:
                page = self.listing(client, name, filter_, False, False, limit, offset)
                found += [p["id"] for p in page["points"]]
                offset = page["next"]
                assert len(found) <= len(IDS), "the pages don't end"
                if offset is None:
                    return found

        return run

    def count(self):
        filter_ = self.filters.draw()
        return lambda c, n: c.count(n, count_filter=filter_, exact=True).count

    def retrieve(self):
        ids, (payload, vectors) = self.rng.sample(IDS, self.rng.randint(1, 8)), self.shown()
        return lambda c, n: [plain(p) for p in c.retrieve(n, ids, with_payload=payload, with_vectors=vectors)]

    def request(self, query, using):
        payload, vectors = self.shown()
        arguments = {
            "query": query, "using": using or None, "filter": self.filters.maybe(), "limit": self.rng.choice([1, 3, 10, 1000]),
            "offset": self.rng.choice([None, None, 1, 5]), "with_payload": payload, "with_vector": vectors,
        }
        if self.rng.random() < 0.3:
            arguments["score_threshold"] = self.rng.uniform(-1, 3)
        return models.QueryRequest(**arguments)

    @staticmethod
    def ask(client, name, request):
        def points(limit, offset):
            return client.query_points(
                name, query=request.query, using=request.using, query_filter=request.filter, limit=limit, offset=offset,
                with_payload=request.with_payload, with_vectors=request.with_vector, score_threshold=request.score_threshold,
            ).points

        return Hits(points(request.limit, request.offset), lambda: points(1000, None))

    def draw_request(self):
        using = self.rng.choice(list(self.shape.vectors))
        return self.request(self.shape.vectors[using].draw(self.rng), using)

    def query(self):
        request = self.draw_request()
        return lambda c, n: self.ask(c, n, request)

    def query_by_id(self):
        using = self.rng.choice(list(self.shape.vectors))
        has = models.Filter(must=[models.HasVectorCondition(has_vector=using)])
        ids = sorted((p.id for p in self.oracle.scroll(self.name, scroll_filter=has, limit=1000)[0]), key=str)
        request = self.request(self.rng.choice(ids) if ids else 77777, using)
        return lambda c, n: self.ask(c, n, request)

    def query_batch(self):
        requests = [self.draw_request() for _ in range(self.rng.randint(1, 4))]

        def run(client, name):
            answers = client.query_batch_points(name, requests)
            return [Hits(a.points, self.ask(client, name, r).everything) for a, r in zip(answers, requests, strict=True)]

        return run


@pytest.mark.parametrize("shape", SHAPES)
def test_same_answers_as_the_judge(server, shape):
    clients = {
        label: QdrantClient(
            host="127.0.0.1", port=server.http_port, grpc_port=server.grpc_port, prefer_grpc=label == "grpc", timeout=30, check_compatibility=False
        )
        for label in ("grpc", "rest")
    }
    run = Run(shape, SEED, QdrantClient(":memory:"), clients)
    run.run(max(1, OPS // len(SHAPES)))
    for client in clients.values():
        client.close()


class Liar:
    """A client that alters its answers once in a while: what the comparison has to notice."""

    def __init__(self, method, alter):
        self.client, self.method, self.alter = QdrantClient(":memory:"), method, alter

    def __getattr__(self, name):
        real = getattr(self.client, name)
        if name != self.method:
            return real
        return lambda *args, **options: self.alter(real(*args, **options))


def one_hit_less(answer):
    answer.points = answer.points[1:]
    return answer


def other_score(answer):
    for point in answer.points[:1]:
        point.score += 0.01
    return answer


def other_payload(answer):
    for point in answer:
        point.payload = {**(point.payload or {}), "planted": 1}
    return answer


def other_count(answer):
    answer.count += 1
    return answer


def lost_write(answer):
    raise ValueError("planted")


@pytest.mark.parametrize(("method", "alter"), [
    ("query_points", one_hit_less), ("query_points", other_score), ("retrieve", other_payload), ("count", other_count), ("set_payload", lost_write),
])
def test_a_planted_fault_is_seen(method, alter):
    with pytest.raises(AssertionError, match="expected"):
        Run("mixed", SEED, QdrantClient(":memory:"), {"liar": Liar(method, alter)}).run(300)


def test_the_judge_agrees_with_itself():
    for shape in SHAPES:
        run = Run(shape, SEED, QdrantClient(":memory:"), {"itself": QdrantClient(":memory:")})
        run.run(60)
        assert run.done == 60
