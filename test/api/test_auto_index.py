"""Automatic payload indexes: a field that is often filtered on without an index gets one, when the setting is on."""
import time

import pytest
from qdrant_client import models

from test.api.conftest import connect
from test.lib.server import Server

POINTS, BATCH, ENOUGH = 10_500, 1_500, 101
CITY = models.Filter(must=[models.FieldCondition(key="city", match=models.MatchValue(value="city 3"))])
PRICE = models.Filter(must=[models.FieldCondition(key="price", range=models.Range(lt=10.0))])
TEXT = models.Filter(must=[models.FieldCondition(key="text", match=models.MatchText(text="dogs"))])


def fill(client, name="auto", **options):
    client.create_collection(name, vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT), **options)
    for first in range(0, POINTS, BATCH):
        points = [
            models.PointStruct(id=i, vector=[1, i], payload={"city": f"city {i % 7}", "price": i % 100 / 2, "text": "many dogs"})
            for i in range(first, min(first + BATCH, POINTS))
        ]
        client.upsert(name, points, wait=True)


def schema(client, name="auto"):
    return {field: info.data_type.value for field, info in client.get_collection(name).payload_schema.items()}


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def settled(client, name="auto"):
    info = client.get_collection(name)
    return info.status == models.CollectionStatus.GREEN and all("being built" not in w.message for w in info.warnings or [])


@pytest.fixture
def learning():
    server = Server(env={"VEXFS__ENGINE__AUTO_INDEX": "true"})
    try:
        yield server.start()
    finally:
        server.close()


def test_made_shown_kept_and_deleted(learning):
    client = connect(learning, False)
    fill(client)
    messages = [w.message for w in client.get_collection("auto").warnings or []]
    assert any("engine.auto_index" in m for m in messages)
    until(lambda: settled(client))
    expected = client.count("auto", count_filter=CITY).count
    assert expected == POINTS // 7
    page = client.scroll("auto", scroll_filter=PRICE, limit=50)
    for _ in range(ENOUGH):  # counts, pages and searches alike
        client.query_points("auto", query=[1, 0], query_filter=CITY, limit=1)
        client.scroll("auto", scroll_filter=PRICE, limit=3)
        client.count("auto", count_filter=TEXT)
    # One at a time: what was often enough while another was made comes with the next request.
    until(lambda: client.count("auto", count_filter=PRICE) and schema(client) == {"city": "keyword", "price": "float"})
    until(lambda: settled(client))
    assert client.get_collection("auto").payload_schema["city"].points == POINTS
    assert client.count("auto", count_filter=CITY).count == expected
    assert client.scroll("auto", scroll_filter=PRICE, limit=50) == page
    client.delete_payload_index("auto", "city", wait=True)
    for _ in range(2 * ENOUGH):
        assert client.count("auto", count_filter=CITY).count == expected
    assert schema(client) == {"price": "float"}
    client.close()

    learning.stop()
    learning.start()
    client = connect(learning, True)
    assert schema(client) == {"price": "float"}
    assert client.scroll("auto", scroll_filter=PRICE, limit=50)[0] == page[0]
    for _ in range(ENOUGH):
        client.count("auto", count_filter=CITY)
    until(lambda: schema(client) == {"city": "keyword", "price": "float"})
    assert client.count("auto", count_filter=CITY).count == expected
    assert "Keyword index on city is made" in learning.log()
    client.close()


def test_strict_mode_limits_it(learning):
    client = connect(learning, True)
    fill(client, strict_mode_config=models.StrictModeConfig(enabled=True, max_payload_index_count=1))
    for _ in range(ENOUGH):
        client.count("auto", count_filter=CITY)
    until(lambda: schema(client) == {"city": "keyword"})
    for _ in range(2 * ENOUGH):
        client.count("auto", count_filter=PRICE)
    assert schema(client) == {"city": "keyword"}
    client.close()


def test_off_by_default(server):
    client = connect(server, True)
    fill(client, "plain")
    for _ in range(2 * ENOUGH):
        client.count("plain", count_filter=CITY)
    assert schema(client, "plain") == {}
    assert not client.get_collection("plain").warnings
    client.delete_collection("plain")
    client.close()
