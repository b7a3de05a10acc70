"""Graphs on disk: memory of their own goes when the setting says so, comes back when it doesn't, and answers stay the same."""
import re
import time

import numpy as np
import pytest
from qdrant_client import models

from test.api.conftest import connect
from test.lib.server import Server

POINTS, DIM, BATCH = 20_000, 256, 500
RANDOM = np.random.default_rng(7)
DRAWN = (RANDOM.standard_normal((POINTS, 12)) @ RANDOM.standard_normal((12, DIM))).astype(np.float32)  # easy for narrow walks
GRAPH_KB = POINTS * (DIM + 128) // 1024  # codes and links


def fill(client, name, **hnsw):
    client.create_collection(
        name, vectors_config=models.VectorParams(size=DIM, distance=models.Distance.EUCLID),
        hnsw_config=models.HnswConfigDiff(ef_construct=32, **hnsw), optimizers_config=models.OptimizersConfigDiff(indexing_threshold=100))
    for first in range(0, POINTS, BATCH):
        client.upsert(name, models.Batch(ids=list(range(first, first + BATCH)), vectors=DRAWN[first:first + BATCH].tolist()), wait=True)


def until(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


def is_built(client, name):
    info = client.get_collection(name)
    return info.status == models.CollectionStatus.GREEN and info.indexed_vectors_count == POINTS


def anonymous(server):
    """KB that need memory of their own."""
    return int(re.search(r"RssAnon:\s+(\d+) kB", server.proc("status")).group(1))


def answers(client, name):
    batch = [models.QueryRequest(query=DRAWN[i].tolist(), limit=10) for i in range(0, POINTS, POINTS // 50)]
    return [[(hit.id, hit.score) for hit in found.points] for found in client.query_batch_points(name, batch)]


@pytest.fixture(scope="module")
def alone():
    """A server whose memory is that of one graph."""
    with Server() as running:
        yield running


def test_there_and_back(alone):
    client, name = connect(alone, True), "there"
    fill(client, name)
    until(lambda: is_built(client, name))
    expected = answers(client, name)
    assert sum(found[0][0] == i for found, i in zip(expected, range(0, POINTS, POINTS // 50))) >= 49
    before = anonymous(alone)
    client.update_collection(name, hnsw_config=models.HnswConfigDiff(on_disk=True))
    until(lambda: anonymous(alone) < before - GRAPH_KB * 0.7)
    assert client.get_collection(name).config.hnsw_config.on_disk is True
    assert answers(client, name) == expected
    low = anonymous(alone)
    client.update_collection(name, hnsw_config=models.HnswConfigDiff(on_disk=False))
    until(lambda: anonymous(alone) > low + GRAPH_KB * 0.7)
    assert answers(client, name) == expected
    client.update_collection(name, vectors_config={"": models.VectorParamsDiff(hnsw_config=models.HnswConfigDiff(on_disk=True))})
    until(lambda: anonymous(alone) < before - GRAPH_KB * 0.7)
    alone.kill()
    alone.start()
    client = connect(alone, True)
    assert answers(client, name) == expected
    assert anonymous(alone) < before - GRAPH_KB * 0.7
    client.delete_collection(name)


@pytest.mark.parametrize("hnsw, indexed", [({"m": 0, "payload_m": 16}, True), ({"m": 0}, False), ({"m": 0, "payload_m": 0}, False)])
def test_links_of_tenants(server, hnsw, indexed):
    client, name = connect(server, False), "tenants"
    client.create_collection(
        name, vectors_config=models.VectorParams(size=DIM, distance=models.Distance.EUCLID), hnsw_config=models.HnswConfigDiff(**hnsw),
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=1))
    client.upsert(name, models.Batch(ids=list(range(BATCH)), vectors=DRAWN[:BATCH].tolist()), wait=True)
    until(lambda: client.get_collection(name).status == models.CollectionStatus.GREEN)
    if indexed:
        until(lambda: client.get_collection(name).indexed_vectors_count == BATCH)
    assert client.get_collection(name).indexed_vectors_count == (BATCH if indexed else 0)
    assert client.query_points(name, query=DRAWN[3].tolist(), limit=1).points[0].id == 3
    client.delete_collection(name)
