"""A slow query keeps nobody waiting: while batches that take long run on all workers, short searches are answered and writes applied.

Nothing is timed. Each slow batch counts what the others got done between its begin and its end."""
import itertools
import statistics
import threading

import numpy
import pytest
from qdrant_client import models

from test.api.conftest import connect
from test.lib.server import Server

POINTS = 20_000
DIM = 256
SLOW_QUERIES = 400  # each of them exact, and of another limit than the one before: nothing is shared between them
SLOW_CLIENTS = 4  # more than there are workers on a small machine
SLOW_BATCHES = 2  # of each client
SEVERAL = 4


@pytest.fixture(scope="module")
def big():
    with Server(env={"VEXFS__SERVICE__MAX_WORKERS": "2"}) as running:
        client = connect(running, True)
        draw = numpy.random.default_rng(8)
        for name in ("big", "small"):
            client.create_collection(
                name,
                vectors_config=models.VectorParams(size=DIM, distance=models.Distance.EUCLID),
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0),
            )
        for first in range(0, POINTS, 1000):
            vectors = draw.standard_normal((1000, DIM), dtype=numpy.float32)
            client.upsert("big", models.Batch(ids=list(range(first, first + 1000)), vectors=vectors.tolist(),
                                              payloads=[{"n": first + i} for i in range(1000)]), wait=True)
        client.upsert("small", [models.PointStruct(id=1, vector=[1.0] * DIM)], wait=True)
        client.close()
        yield running
        assert running.process.poll() is None, f"the server ended by itself:\n{running.log()}"


class Slow(threading.Thread):
    """Asks slow batches; for each it notes how far every counter went meanwhile."""

    def __init__(self, server, over_grpc, counters):
        super().__init__()
        self.client = connect(server, over_grpc)
        self.counters = counters
        self.steps = {name: [] for name in counters}
        self.failure = None

    def run(self):
        try:
            query = [0.25] * DIM
            batch = [
                models.QueryRequest(query=query, limit=1 + i % 2, params=models.SearchParams(exact=True))
                for i in range(SLOW_QUERIES)
            ]
            for _ in range(SLOW_BATCHES):
                before = dict(self.counters)
                answers = self.client.query_batch_points("big", batch)
                for name, steps in self.steps.items():
                    steps.append(self.counters[name] - before[name])
                assert [len(a.points) for a in answers] == [1 + i % 2 for i in range(SLOW_QUERIES)]
        except Exception as failure:  # told by the test
            self.failure = failure
        finally:
            self.client.close()


def while_slow(server, works):
    """Calls each of `works` again and again beside slow batches; the steps of each during each batch."""
    counters = dict.fromkeys(works, 0)
    slow = [Slow(server, i % 2 == 0, counters) for i in range(SLOW_CLIENTS)]
    failures = []

    def repeat(name, work):
        client = connect(server, True)
        try:
            for turn in itertools.count():
                if not any(thread.is_alive() for thread in slow):
                    break
                work(client, turn)
                counters[name] += 1
        except Exception as failure:
            failures.append(failure)
        client.close()

    for thread in slow:
        thread.start()
    others = [threading.Thread(target=repeat, args=item) for item in works.items()]
    for thread in others:
        thread.start()
    for thread in (*slow, *others):
        thread.join()
    failures += [thread.failure for thread in slow if thread.failure]
    assert not failures, failures
    return {name: [step for thread in slow for step in thread.steps[name]] for name in works}


def search_small(client, turn):
    found = client.query_points("small", query=[1.0] * DIM, limit=1).points
    assert [p.id for p in found] == [1]


def search_by_filter(client, turn):
    """Not short enough for the thread that received it: a worker's, but nowhere near as long as a slow batch."""
    wanted = turn % POINTS
    only = models.Filter(must=[models.FieldCondition(key="n", match=models.MatchValue(value=wanted))])
    found = client.query_points("big", query=[0.5] * DIM, limit=3, query_filter=only).points
    assert [p.id for p in found] == [wanted]


def write_small(client, turn):
    client.upsert("small", [models.PointStruct(id=2, vector=[3.0] * DIM, payload={"turn": turn})], wait=True)
    assert client.retrieve("small", [2])[0].payload == {"turn": turn}


def test_others_are_answered(big):
    steps = while_slow(big, {"search": search_small, "filter": search_by_filter, "write": write_small})
    for name, counts in steps.items():
        assert statistics.median(counts) >= SEVERAL, (name, steps)


def write_big(client, turn):
    client.upsert("big", [models.PointStruct(id=POINTS, vector=[900.0] * DIM, payload={"n": -turn})], wait=True)
    assert client.retrieve("big", [POINTS])[0].payload == {"n": -turn}


def search_big(client, turn):
    """Short: one candidate."""
    only = models.Filter(must=[models.HasIdCondition(has_id=[turn % POINTS])])
    assert len(client.query_points("big", query=[0.5] * DIM, limit=1, query_filter=only).points) == 1


def test_the_same_collection_is_written(big):
    """A write waits for the long queries under way, no longer; short ones don't wait for it meanwhile."""
    steps = while_slow(big, {"write": write_big, "search": search_big})
    assert sum(steps["write"]) > 0, steps
    assert statistics.median(steps["search"]) >= 5 * SEVERAL, steps
