"""Recall floors of small graphs for every metric, datatype and quantization, through deletes, updates and a restart; and that the
parameters of a search do what they say.

The truth is the server's own exact search. One server holds all collections; the restart is one for all.
"""
import time

import grpc as grpclib
import numpy
import pytest
from qdrant_client import grpc

from test.lib.server import Server

POINTS, DIMENSIONS, QUERIES, K = 1000, 64, 20, 10
METRICS = ("Cosine", "Dot", "Euclid", "Manhattan")
DATATYPES = ("Float32", "Float16", "Uint8")
BITS = {"binary": grpc.OneBit, "binary-1.5": grpc.OneAndHalfBits, "binary-2": grpc.TwoBits}
# quantization: floors by default, and with oversampling 30
FLOORS = {"none": (0.97, 0.97), "scalar": (0.95, 0.97), "binary-2": (0.93, 0.97), "binary-1.5": (0.90, 0.96), "binary": (0.85, 0.95)}
ALL = [(m, d, q) for m in METRICS for d in DATATYPES for q in FLOORS]


def quantization(kind):
    if kind == "none":
        return None
    if kind == "scalar":
        return grpc.QuantizationConfig(scalar=grpc.ScalarQuantization(type=grpc.QuantizationType.Int8, quantile=0.99))
    return grpc.QuantizationConfig(binary=grpc.BinaryQuantization(encoding=BITS[kind]))


class Collection:
    def __init__(self, world, metric, datatype, kind):
        self.world, self.kind, self.name = world, kind, f"{metric}-{datatype}-{kind}".lower()
        params = grpc.VectorParams(size=DIMENSIONS, distance=grpc.Distance.Value(metric), datatype=grpc.Datatype.Value(datatype))
        create = grpc.CreateCollection(collection_name=self.name, vectors_config=grpc.VectorsConfig(params=params))
        create.hnsw_config.full_scan_threshold = 1
        create.optimizers_config.indexing_threshold = 1
        if kind != "none":
            create.quantization_config.CopyFrom(quantization(kind))
        self.call("Collections/Create", create)
        self.seed = len(self.name)
        self.rng = numpy.random.default_rng(self.seed)
        self.centres = self.rng.uniform(60, 200, (30, DIMENSIONS))
        self.alive = numpy.ones(POINTS, bool)

    def call(self, method, message):
        return self.world.channel.unary_unary(f"/qdrant.{method}", lambda m: m.SerializeToString(), lambda b: b)(message, timeout=60)

    def draw(self, count):
        """Bytes hold them too."""
        near = self.centres[self.rng.integers(0, 30, count)] + 18 * self.rng.standard_normal((count, DIMENSIONS))
        return numpy.clip(numpy.rint(near), 0, 255)

    def fill(self, drawn):
        """Collections of one seed begin with the same points, which are made once."""
        vectors = self.draw(POINTS)
        if self.seed not in drawn:
            drawn[self.seed] = self.points(range(POINTS), vectors)
        self.put(range(POINTS), drawn[self.seed])

    @staticmethod
    def points(ids, vectors):
        return [
            grpc.PointStruct(id=grpc.PointId(num=int(i)), vectors=grpc.Vectors(vector=grpc.Vector(dense=grpc.DenseVector(data=v))))
            for i, v in zip(ids, vectors.tolist())
        ]

    def upsert(self, ids):
        self.put(ids, self.points(ids, self.draw(len(ids))))

    def put(self, ids, points):
        self.call("Points/Upsert", grpc.UpsertPoints(collection_name=self.name, wait=True, points=points))
        self.alive[list(ids)] = True

    def delete(self, ids):
        selector = grpc.PointsSelector(points=grpc.PointsIdsList(ids=[grpc.PointId(num=int(i)) for i in ids]))
        self.call("Points/Delete", grpc.DeletePoints(collection_name=self.name, wait=True, points=selector))
        self.alive[list(ids)] = False

    def info(self):
        message = grpc.GetCollectionInfoRequest(collection_name=self.name)
        return grpc.GetCollectionInfoResponse.FromString(self.call("Collections/Get", message)).result

    def settle(self):
        until = time.monotonic() + 60
        while self.info().status != grpc.CollectionStatus.Green or self.info().indexed_vectors_count != self.alive.sum():
            assert time.monotonic() < until, "the graph is not finished"
            time.sleep(0.02)

    def search(self, query, params):
        nearest = grpc.Query(nearest=grpc.VectorInput(dense=grpc.DenseVector(data=query)))
        message = grpc.QueryPoints(collection_name=self.name, query=nearest, limit=K, params=params)
        return [(p.id.num, p.score) for p in grpc.QueryResponse.FromString(self.call("Points/Query", message)).result]

    def truths(self):
        """Queries, and what an exact search says of them."""
        return [(query, dict(self.search(query, grpc.SearchParams(exact=True)))) for query in self.draw(QUERIES).tolist()]

    def recall(self, truths=None, **codes):
        """And how many scores differ from the exact ones of the same points."""
        params = grpc.SearchParams(quantization=grpc.QuantizationSearchParams(**codes)) if codes else None
        right = other = 0
        for query, truth in truths or self.truths():
            got = self.search(query, params)
            assert len({i for i, _ in got}) == K, "too few, or one twice"
            assert all(self.alive[i] for i, _ in got), "a point that is deleted"
            right += sum(i in truth for i, _ in got)
            other += sum(i in truth and abs(truth[i] - score) > 1e-5 * abs(truth[i]) for i, score in got)
        return right / QUERIES / K, other


class World:
    def __init__(self, server):
        self.server, self.collections = server, {}
        self.connect()

    def connect(self):
        self.channel = grpclib.insecure_channel(f"127.0.0.1:{self.server.grpc_port}")

    def restart(self):
        self.channel.close()
        self.server.stop()
        self.server.start()
        self.connect()


@pytest.fixture(scope="module")
def world():
    with Server() as server:
        world = World(server)
        for key in ALL:
            world.collections[key] = Collection(world, *key)
        drawn = {}
        for collection in world.collections.values():
            collection.fill(drawn)
        yield world
        world.channel.close()


def check(world):
    low = []
    for (metric, datatype, kind), collection in world.collections.items():
        collection.settle()
        truths = collection.truths()
        default, other = collection.recall(truths)
        wide, _ = collection.recall(truths, oversampling=30.0)
        assert other == 0, "scores are those of the originals"
        if default < FLOORS[kind][0] or wide < FLOORS[kind][1]:
            low.append((metric, datatype, kind, default, wide))
    assert low == []


def test_fresh(world):
    check(world)


def test_after_deletes_and_updates(world):
    for collection in world.collections.values():
        gone = collection.rng.choice(POINTS, POINTS * 3 // 10, replace=False)
        collection.delete(gone)
        collection.upsert([*gone[: len(gone) // 2], *collection.rng.choice(numpy.flatnonzero(collection.alive), POINTS // 10, replace=False)])
    check(world)


def test_after_a_restart(world):
    world.restart()
    check(world)


@pytest.mark.parametrize("kind", FLOORS)
def test_parameters(world, kind):
    """`ignore` is exact where codes are coarse; without rescoring, scores come from codes."""
    collection = world.collections["Euclid", "Float32", kind]
    recall, other = collection.recall(ignore=True)
    assert other == 0 and (recall == 1 or kind in ("none", "scalar"))
    recall, other = collection.recall(rescore=False)
    assert (other > 0) == (kind in BITS)
    assert recall >= 0.3


def test_change(world):
    """Another quantization takes its place in the background; searches go on."""
    collection = world.collections["Cosine", "Float32", "none"]
    assert collection.recall(rescore=False)[1] == 0
    diff = grpc.QuantizationConfigDiff(binary=grpc.BinaryQuantization(encoding=grpc.TwoBits))
    collection.call("Collections/Update", grpc.UpdateCollection(collection_name=collection.name, quantization_config=diff))
    until = time.monotonic() + 60
    while collection.recall(rescore=False)[1] == 0:
        assert time.monotonic() < until, "the codes stay what they were"
    collection.settle()
    assert collection.recall(oversampling=30.0)[0] >= FLOORS["binary-2"][1]
    diff = grpc.QuantizationConfigDiff(disabled=grpc.Disabled())
    collection.call("Collections/Update", grpc.UpdateCollection(collection_name=collection.name, quantization_config=diff))
    until = time.monotonic() + 60
    while collection.recall(rescore=False)[1] != 0:
        assert time.monotonic() < until, "the codes stay what they were"


def test_a_worse_index_would_be_seen(world):
    """Floors are no formality: with scores of one bit alone they aren't reached."""
    collection = world.collections["Euclid", "Float32", "binary"]
    assert collection.recall(rescore=False)[0] < FLOORS["binary"][0]
