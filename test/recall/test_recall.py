"""Recall floors: searches with default settings against a full scan by numpy, on vectors that lie in clusters as embeddings do.

POINTS sets the size of each collection (default 20000). Deletes and replaced vectors are part of the data, since they are what an index
suffers from; filters of several widths, since they are where it is tempted to give up.
"""
import os
import time

import grpc as grpclib
import numpy
import pytest
from qdrant_client import grpc

from test.lib.server import Server

POINTS, DIMENSIONS, QUERIES, K, FLOOR = int(os.environ.get("POINTS", "20000")), 64, 60, 10, 0.97
GROUPS = 1000  # payload "g" is the id modulo this


@pytest.fixture(scope="module")
def server():
    with Server() as running:
        yield running


def clustered(count, rng):
    centres = rng.standard_normal((50, DIMENSIONS)).astype("f4")
    return centres, (centres[rng.integers(0, 50, count)] + 0.6 * rng.standard_normal((count, DIMENSIONS))).astype("f4")


class Collection:
    """A filled collection, and what it has to hold."""

    def __init__(self, channel, name, distance, graph):
        self.channel, self.name, self.distance, self.graph = channel, name, distance, graph
        params = grpc.VectorParams(size=DIMENSIONS, distance=distance)
        create = grpc.CreateCollection(collection_name=name, vectors_config=grpc.VectorsConfig(params=params))
        if graph:
            create.hnsw_config.full_scan_threshold = 1
            create.optimizers_config.indexing_threshold = 1
        self.call("Collections/Create", create)
        rng = numpy.random.default_rng(distance)
        centres, self.vectors = clustered(POINTS, rng)
        self.alive = numpy.ones(POINTS, bool)
        self.upsert(range(POINTS))
        # three in ten are deleted, half of these come back elsewhere, and some others move
        gone = rng.choice(POINTS, POINTS * 3 // 10, replace=False)
        selector = grpc.PointsSelector(points=grpc.PointsIdsList(ids=[grpc.PointId(num=int(i)) for i in gone]))
        self.call("Points/Delete", grpc.DeletePoints(collection_name=name, wait=True, points=selector))
        self.alive[gone] = False
        moved = numpy.concatenate([gone[: len(gone) // 2], rng.choice(numpy.flatnonzero(self.alive), POINTS // 10, replace=False)])
        self.vectors[moved] = clustered(len(moved), rng)[1]
        self.alive[moved] = True
        self.upsert(moved)
        self.settle()
        self.queries = (centres[rng.integers(0, 50, QUERIES)] + 0.6 * rng.standard_normal((QUERIES, DIMENSIONS))).astype("f4")

    def call(self, method, message):
        return self.channel.unary_unary(f"/qdrant.{method}", lambda m: m.SerializeToString(), lambda b: b)(message, timeout=120)

    def info(self):
        message = grpc.GetCollectionInfoRequest(collection_name=self.name)
        return grpc.GetCollectionInfoResponse.FromString(self.call("Collections/Get", message)).result

    def settle(self):
        """Waits for what goes on in the background."""
        until = time.monotonic() + 120
        while self.info().status != grpc.CollectionStatus.Green:
            assert time.monotonic() < until, "the graph is not finished"
            time.sleep(0.05)

    def upsert(self, ids):
        ids = [int(i) for i in ids]
        for at in range(0, len(ids), 1000):
            points = [
                grpc.PointStruct(
                    id=grpc.PointId(num=i), payload={"g": grpc.Value(integer_value=i % GROUPS)},
                    vectors=grpc.Vectors(vector=grpc.Vector(dense=grpc.DenseVector(data=self.vectors[i].tolist()))),
                )
                for i in ids[at : at + 1000]
            ]
            self.call("Points/Upsert", grpc.UpsertPoints(collection_name=self.name, wait=True, points=points))

    def scores(self, query):
        """Larger is nearer."""
        if self.distance == grpc.Distance.Dot:
            return self.vectors @ query
        if self.distance == grpc.Distance.Cosine:
            return self.vectors @ query / numpy.linalg.norm(self.vectors, axis=1)
        difference = numpy.abs(self.vectors - query)
        return -difference.sum(axis=1) if self.distance == grpc.Distance.Manhattan else -(difference**2).sum(axis=1)

    def recall(self, width, keep=lambda ids: ids):
        """Share of the true neighbours that are found among the groups below `width`."""
        allowed = self.alive & (numpy.arange(POINTS) % GROUPS < width)
        narrow = None
        if width < GROUPS:
            condition = grpc.Condition(field=grpc.FieldCondition(key="g", range=grpc.Range(lt=width)))
            narrow = grpc.Filter(must=[condition])
        right = total = 0
        for query in self.queries:
            scores = numpy.where(allowed, self.scores(query), -numpy.inf)
            truth = {int(i) for i in numpy.argsort(-scores)[:K] if allowed[i]}
            nearest = grpc.Query(nearest=grpc.VectorInput(dense=grpc.DenseVector(data=query.tolist())))
            answer = self.call("Points/Query", grpc.QueryPoints(collection_name=self.name, query=nearest, limit=K, filter=narrow))
            found = [hit.id.num for hit in grpc.QueryResponse.FromString(answer).result]
            assert len(found) == len(set(found)) == len(truth), "too few, or one twice"
            assert all(allowed[i] for i in found), "a point that is deleted or filtered away"
            right, total = right + len(truth & set(keep(found))), total + len(truth)
        return right / total


@pytest.fixture(scope="module", params=["Cosine", "Cosine graph", "Dot graph", "Euclid graph", "Manhattan graph"])
def collection(server, request):
    distance, _, graph = request.param.partition(" ")
    with grpclib.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield Collection(channel, request.param.lower().replace(" ", "-"), grpc.Distance.Value(distance), bool(graph))


def test_graph(collection):
    assert collection.info().indexed_vectors_count == (collection.alive.sum() if collection.graph else 0)


@pytest.mark.parametrize("width", [1, 10, 100, 500, 900, GROUPS])
def test_recall(collection, width):
    assert collection.recall(width) >= FLOOR


def test_a_worse_index_would_be_seen(collection):
    assert collection.recall(GROUPS, keep=lambda ids: ids[: K - 1]) < FLOOR
