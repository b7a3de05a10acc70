"""A data folder written through one vector device is opened, read and continued by the other; after kill -9 too.

Runs where both devices are: servers inside the machine of VEXFS_TEST_VM.
"""
import random
import threading

import pytest
import requests
from qdrant_client import models

from test.api.conftest import connect
from test.lib.server import GUEST, Server

DIMENSIONS = 19  # no multiple of a vector register
TYPES = {"f32": models.Datatype.FLOAT32, "f16": models.Datatype.FLOAT16, "u8": models.Datatype.UINT8}
DISTANCES = (models.Distance.DOT, models.Distance.EUCLID, models.Distance.COSINE, models.Distance.MANHATTAN)

pytestmark = pytest.mark.skipif(GUEST is None, reason="the kernel device is inside the test machine only (make kernel-test)")


def serve(server, device):
    """Starts the server on a device and makes sure that it is the one that serves."""
    server.args = ["--device", device]
    server.start(60)
    health = requests.get(f"http://127.0.0.1:{server.native_port}/vexfs/v1/health", timeout=30).json()
    assert device in health["device"], health
    return connect(server, True)


def vectors(rng):
    return {name: [rng.randrange(0, 200) for _ in range(DIMENSIONS)] for name in TYPES}


def upsert(client, rng, ids):
    points = [models.PointStruct(id=i, vector=vectors(rng), payload={"n": i}) for i in ids]
    client.upsert("both", points, wait=True)


def contents(client):
    """All that can be read, in a form that compares: points with vectors, and exact answers of each vector."""
    points, offset = {}, None
    while True:
        page, offset = client.scroll("both", limit=100, offset=offset, with_vectors=True)
        points.update({p.id: (p.payload, {k: tuple(v) for k, v in p.vector.items()}) for p in page})
        if offset is None:
            break
    answers = []
    for name in TYPES:
        for seed in range(3):
            query = [random.Random(seed * 31 + i).randrange(0, 200) for i in range(DIMENSIONS)]
            found = client.query_points("both", query=query, using=name, limit=20, search_params=models.SearchParams(exact=True))
            answers.append([(hit.id, hit.score) for hit in found.points])
    return points, answers


def write_until_killed(server, client, rng, first):
    """Keeps writing while the server is killed; the ids of which the server said that they are stored."""
    acknowledged, begun = [], threading.Event()

    def write():
        try:
            for i in range(first, first + 100000, 10):
                upsert(client, rng, range(i, i + 10))
                acknowledged.extend(range(i, i + 10))
                if len(acknowledged) >= 30:
                    begun.set()
        except Exception:  # noqa: BLE001: the server is gone, as it should be
            pass

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(60)
    server.kill()
    writer.join(60)
    assert not writer.is_alive()
    return acknowledged


@pytest.mark.parametrize("number", range(len(DISTANCES)))
def test_a_folder_goes_from_one_device_to_the_other(number):
    order = ("embedded", "kernel") if number % 2 else ("kernel", "embedded")
    rng = random.Random(7)
    server = Server()
    try:
        client = serve(server, order[0])
        config = {name: models.VectorParams(size=DIMENSIONS, distance=DISTANCES[number], datatype=kind) for name, kind in TYPES.items()}
        client.create_collection("both", vectors_config=config)
        upsert(client, rng, range(1, 301))
        client.delete("both", [3, 4, 5], wait=True)
        before = contents(client)
        client.close()
        assert server.stop() == 0

        client = serve(server, order[1])
        assert contents(client) == before
        upsert(client, rng, range(200, 401))
        client.delete("both", [250, 300, 399], wait=True)
        acknowledged = write_until_killed(server, client, rng, 1000)
        client.close()

        client = serve(server, order[0])
        after_kill = contents(client)
        assert set(acknowledged) <= set(after_kill[0])
        assert not {3, 4, 5, 250, 300, 399} & set(after_kill[0])
        acknowledged += write_until_killed(server, client, rng, 200000)
        client.close()

        client = serve(server, order[1])
        last = contents(client)
        assert set(acknowledged) <= set(last[0])
        assert {i: p for i, p in last[0].items() if i < 200000} == after_kill[0]
        client.close()
        assert server.stop() == 0
    finally:
        server.close()
