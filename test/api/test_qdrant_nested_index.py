"""Indexes whose option `nested` makes each element of an array an entry of its own. Figures are those of Qdrant's engine (qdrant-edge-py)."""
import random
import uuid

import pytest
from qdrant_client import models

from test.api.conftest import connect
from test.api.test_qdrant_text import bm25, fault
from test.lib.server import Server

DOCS = [
    {"o": [{"t": "red apple"}, {"t": "green apple apple pie"}]}, {"o": [{"t": "red"}, {"x": 1}]}, {"o": []}, {},
    {"o": [{"t": ["apple red", "apple"]}, {"t": None}, {"t": []}]}, {"o": {"t": "apple"}}, {"o": "str"}, {"o": ["red", {"t": 5}]}, {"o": None},
    {"t": "red apple red"}, {"o": [{"t": "red apple red"}]},
]
TEXT = models.TextIndexParams(type="text", scoring=True, nested="o")
KINDS = [
    models.KeywordIndexParams(type="keyword", nested="o[]"), models.IntegerIndexParams(type="integer", nested="o"), models.FloatIndexParams(type="float", nested="o"),
    models.GeoIndexParams(type="geo", nested="o"), models.TextIndexParams(type="text", nested="o"), models.BoolIndexParams(type="bool", nested="o"),
    models.DatetimeIndexParams(type="datetime", nested="o"), models.UuidIndexParams(type="uuid", nested="o[]"), TEXT,
]


def make(client, payloads):
    name = f"nested-{uuid.uuid4().hex[:12]}"
    client.create_collection(name, vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert(name, [models.PointStruct(id=i, vector=[1.0, i], payload=p) for i, p in enumerate(payloads, 1)])
    return name


@pytest.fixture
def name(client):
    made = make(client, DOCS)
    yield made
    client.delete_collection(made)


def found(client, name, **lists):
    return [p.id for p in client.scroll(name, scroll_filter=models.Filter(**lists), limit=1000)[0]]


def empty(key="o[].t"):
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=key))


def ranked(client, name, text, limit=50):
    return {p.id: p.score for p in client.query_points(name, query=models.TextQuery(text=text), using="o[].t", limit=limit).points}


def test_is_empty(client, name):
    everything = list(range(1, len(DOCS) + 1))
    plain = [3, 4, 6, 7, 9, 10]
    assert found(client, name, must=[empty()]) == plain
    for kind in KINDS:
        client.create_payload_index(name, "o[].t", kind)
        assert client.get_collection(name).payload_schema["o[].t"].params.nested == kind.nested
        assert found(client, name, must=[empty()]) == [2, 5], kind
        assert found(client, name, must_not=[empty()]) == [i for i in everything if i not in (2, 5)]
        assert client.count(name, models.Filter(must=[empty()])).count == 2
        assert found(client, name, must=[models.IsNullCondition(is_null=models.PayloadField(key="o[].t"))]) == [5]
        inner = models.NestedCondition(nested=models.Nested(key="o", filter=models.Filter(must=[empty("t")])))
        assert found(client, name, must=[inner]) == [2, 5]
        several = models.FieldCondition(key="o[].t", values_count=models.ValuesCount(gte=2))
        assert found(client, name, must=[several]) == [5]
    client.delete_payload_index(name, "o[].t")
    assert found(client, name, must=[empty()]) == plain


def test_writes_by_such_filters(client, name):
    client.create_payload_index(name, "o[].t", KINDS[0])
    client.set_payload(name, {"mark": True}, models.Filter(must=[empty()]))
    assert found(client, name, must=[models.FieldCondition(key="mark", match=models.MatchValue(value=True))]) == [2, 5]
    client.delete(name, models.Filter(must=[empty()]))
    assert found(client, name, must=[empty()]) == []


def test_elements_are_documents(client, name):
    client.create_payload_index(name, "o[].t", TEXT)
    assert ranked(client, name, "red apple") == pytest.approx({5: 0.64980543, 11: 0.64980543, 1: 0.63534427, 2: 0.38447234}, rel=1e-6)
    assert ranked(client, name, "red") == pytest.approx({2: 0.38447234, 11: 0.3791571, 1: 0.31767213, 5: 0.27064833}, rel=1e-6)
    assert ranked(client, name, "apple pie") == pytest.approx({1: 1.47958314, 5: 0.3791571, 11: 0.27064833}, rel=1e-6)
    assert ranked(client, name, "nothing") == {}


def test_best_element_while_points_change(client):
    rng = random.Random(5)
    words = ["a1", "b1", "c1", "d1"]

    def payload():
        return {"o": [{"t": " ".join(rng.choices(words, k=rng.randrange(6)))} for _ in range(rng.randrange(4))]}

    points = {i: payload() for i in range(1, 61)}
    name = make(client, points.values())
    client.create_payload_index(name, "o[].t", TEXT)
    for step in range(20):
        for i in rng.sample(range(1, 70), 5):
            points[i] = payload()
            client.upsert(name, [models.PointStruct(id=i, vector=[1.0, 1.0], payload=points[i])])
        for i in rng.sample(sorted(points), 2):
            del points[i]
            client.delete(name, [i])
        query = " ".join(rng.choices(words, k=2))
        documents = [(i, element["t"].split()) for i, p in points.items() for element in p["o"] if element["t"]]
        wanted = {}
        for (i, words_of), score in zip(documents, bm25([d for _, d in documents], query)):
            if set(words_of) & set(query.split()):
                wanted[i] = max(score, wanted.get(i, 0.0))
        assert ranked(client, name, query, limit=1000) == pytest.approx(wanted, rel=1e-6)
        lacking = sorted(i for i, p in points.items() if any(element["t"] is None for element in p["o"]))
        assert found(client, name, must=[empty()]) == lacking
    client.delete_collection(name)


def test_refusals(client, name):
    def refused(field, nested):
        return fault(lambda: client.create_payload_index(name, field, models.KeywordIndexParams(type="keyword", nested=nested)))[1]

    for field in ("k", "o.t", "o[0].t", "o[]", "o", "a[].b[].c"):
        for nested in ("o", "o[]"):
            assert refused(field, nested).endswith(
                f"Validation failed: field `{field}` must be inside the elements of nested `o[]`, like `o[].price`")
    for nested in ("a[].b", "a[].b[]", "a[0].b"):
        assert refused("a[].b[].c", nested).endswith(
            f"Validation failed: nested `{nested.removesuffix('[]')}[]` must point to a single array level, like `offers` or `offers[]`")
    assert "Invalid json path" in refused("o[].t", "o[")
    assert client.get_collection(name).payload_schema == {}


def test_after_a_restart():
    with Server() as server:
        for kill in (False, True):
            client = connect(server, True)
            name = make(client, DOCS)
            client.create_payload_index(name, "o[].t", TEXT)
            before = ranked(client, name, "red apple")
            other = make(client, DOCS)
            client.create_payload_index(other, "o[].t", KINDS[0])
            client.set_payload(other, {"mark": 1}, models.Filter(must=[empty()]))
            client.delete_payload_index(other, "o[].t")
            client.set_payload(other, {"mark": 2}, models.Filter(must=[empty("mark")], must_not=[empty()]))
            marks = [(p.id, (p.payload or {}).get("mark")) for p in client.scroll(other, limit=100)[0]]
            assert [i for i, mark in marks if mark == 1] == [2, 5] and [i for i, mark in marks if mark == 2] == [1, 8, 11]
            client.close()
            if kill:
                server.kill()
            else:
                server.stop()
            server.start()
            client = connect(server, False)
            assert ranked(client, name, "red apple") == pytest.approx(before, rel=1e-6)
            assert found(client, name, must=[empty()]) == [2, 5]
            assert [(p.id, (p.payload or {}).get("mark")) for p in client.scroll(other, limit=100)[0]] == marks
            client.upsert(name, [models.PointStruct(id=2, vector=[1.0, 1.0], payload=DOCS[1])])
            assert ranked(client, name, "red apple") == pytest.approx(before, rel=1e-6)
            client.close()
