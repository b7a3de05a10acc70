"""What a node tells of itself (telemetry, metrics, optimizations, warnings), and settings that change answers afterwards."""
import json
import math
import struct
import urllib.error
import urllib.request
import uuid

import pytest
from qdrant_client import models


def ask(server, method, path, body=None):
    """Status and answer of a REST call; texts that are no JSON as they are."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.http_port}{path}", method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    return status, json.loads(text) if text.startswith("{") else text


def good(server, method, path, body=None):
    status, answer = ask(server, method, path, body)
    assert status == 200, answer
    return answer["result"] if isinstance(answer, dict) else answer


@pytest.fixture
def name(server):
    made = f"node-{uuid.uuid4().hex[:12]}"
    yield made
    good(server, "DELETE", f"/collections/{made}")


def put_points(server, name, points):
    good(server, "PUT", f"/collections/{name}/points?wait=true", {"points": points})


def plain(server, name, count=3):
    good(server, "PUT", f"/collections/{name}", {"vectors": {"size": 2, "distance": "Dot"}})
    put_points(server, name, [{"id": i, "vector": [i, 1], "payload": {"n": i}} for i in range(1, count + 1)])


def telemetry(server, level):
    return good(server, "GET", f"/telemetry?details_level={level}")


def subject(server, name, level):
    return next(c for c in telemetry(server, level)["collections"]["collections"] if c["id"] == name)


def test_telemetry_grows_with_its_level(server, name):
    plain(server, name)
    least = telemetry(server, 0)
    assert set(least) == {"id", "app", "collections", "cluster", "requests", "quota"}
    assert list(least["collections"]) == ["number_of_collections"]
    more = telemetry(server, 1)
    assert set(more["collections"]["collections"][0]) == {"vectors", "optimizers_status", "params"}
    assert set(subject(server, name, 2)) == {"id", "init_time_ms", "config"}
    local = subject(server, name, 3)["shards"][0]["local"]
    assert local["num_points"] == 3 and local["num_vectors_by_name"] == {"": 3} and "segments" not in local
    segment = subject(server, name, 10)["shards"][0]["local"]["segments"][0]
    assert segment["info"]["num_points"] == 3 and segment["info"]["vectors_size_bytes"] == 3 * 2 * 4
    assert segment["info"]["payloads_size_bytes"] > 0
    assert segment["config"]["vector_data"][""]["size"] == 2
    assert ask(server, "GET", "/telemetry?details_level=many")[0] == 400
    assert name not in json.dumps(good(server, "GET", "/telemetry?details_level=10&per_collection=true&anonymize=true"))


def test_operations_are_numbered(server, name):
    plain(server, name, 1)
    first = subject(server, name, 3)["shards"][0]["local"]["update_queue"]
    put_points(server, name, [{"id": 1, "vector": [1, 1]}])
    second = subject(server, name, 3)["shards"][0]["local"]["update_queue"]
    assert first == {"length": 0, "op_num": 1} and second == {"length": 0, "op_num": 2}


def test_answers_are_counted(server, name):
    plain(server, name)
    endpoint = "POST /collections/{collection_name}/points/scroll"
    before = telemetry(server, 0)["requests"]["rest"]["responses"].get(endpoint, {}).get("200", {"count": 0})["count"]
    for _ in range(3):
        good(server, "POST", f"/collections/{name}/points/scroll", {"limit": 1})
    assert ask(server, "POST", f"/collections/{name}-none/points/scroll", {"limit": 1})[0] == 404
    requests = good(server, "GET", "/telemetry?per_collection=true")["requests"]["rest"]
    tally = requests["responses"][endpoint]["200"]
    assert tally["count"] == before + 3
    assert 0 < tally["min_duration_micros"] <= tally["avg_duration_micros"] <= tally["max_duration_micros"]
    assert requests["per_collection_responses"][name][endpoint]["200"]["count"] == 3
    assert f"{name}-none" not in requests["per_collection_responses"]
    row = f'rest_responses_total{{method="POST",endpoint="/collections/{{collection_name}}/points/scroll",'
    assert f'{row}collection="{name}",status="200"}} 3\n' in good(server, "GET", "/metrics?per_collection=true")
    assert f'collection="{name}"' not in "".join(
        line for line in good(server, "GET", "/metrics").splitlines() if line.startswith("rest_"))


def test_optimizations(server, name):
    plain(server, name)
    path = f"/collections/{name}/optimizations"
    assert set(good(server, "GET", path)) == {"summary", "running"}
    told = good(server, "GET", path + "?with=queued,completed,%20idle_segments")
    assert told["running"] == told["queued"] == told["completed"] == []
    assert told["idle_segments"][0]["points_count"] == 3 and told["summary"]["idle_segments"] == 1
    assert ask(server, "GET", f"/collections/{name}-none/optimizations")[0] == 404


@pytest.mark.parametrize("settings, words", [
    ({}, None),
    ({"hnsw_config": {"inline_storage": True}, "quantization_config": {"scalar": {"type": "int8"}}}, None),
    ({"hnsw_config": {"inline_storage": True}}, "requires quantization"),
    ({"hnsw_config": {"inline_storage": True}, "multivector_config": {"comparator": "max_sim"}}, "not compatible with multivectors"),
])
def test_settings_without_effect_are_warned_of(server, name, settings, words):
    good(server, "PUT", f"/collections/{name}", {"vectors": {"v": {"size": 2, "distance": "Dot", **settings}}})
    told = [w["message"] for w in good(server, "GET", f"/collections/{name}").get("warnings", [])]
    told = [text for text in told if "inline_storage" in text]
    assert (len(told) == 1 and words in told[0]) if words else told == []


def test_quantization_by_its_short_name(server, name):
    good(server, "PUT", f"/collections/{name}", {
        "vectors": {"v": {"size": 2, "distance": "Dot", "quantization": {"scalar": {"type": "int8", "always_ram": True}}}},
        "quantization": {"scalar": {"type": "int8", "quantile": 0.5}}})
    config = good(server, "GET", f"/collections/{name}")["config"]
    assert config["quantization_config"] == {"scalar": {"type": "int8", "quantile": 0.5}}
    assert config["params"]["vectors"]["v"]["quantization_config"] == {"scalar": {"type": "int8", "always_ram": True}}


# ---- sparse vectors ----

def idf(points, having):
    return math.log((points - having + 0.5) / (having + 0.5) + 1)


TENANTS = [("a", [0, 1]), ("a", [0]), ("b", [0, 1, 2]), ("b", [1])]


def tenants(server, name, modifier="idf"):
    good(server, "PUT", f"/collections/{name}", {
        "vectors": {"d": {"size": 2, "distance": "Dot"}}, "sparse_vectors": {"s": {"modifier": modifier}}})
    put_points(server, name, [
        {"id": i, "vector": {"d": [1, 0], "s": {"indices": terms, "values": [1.0] * len(terms)}}, "payload": {"tenant": tenant}}
        for i, (tenant, terms) in enumerate(TENANTS)])


def scores(server, name, **more):
    body = {"query": {"indices": [0, 1, 2], "values": [1.0, 1.0, 1.0]}, "using": "s", **more}
    return {p["id"]: p["score"] for p in good(server, "POST", f"/collections/{name}/points/query", body)["points"]}


def match(tenant):
    return {"must": [{"key": "tenant", "match": {"value": tenant}}]}


def test_terms_are_counted_over_the_corpus(server, name):
    tenants(server, name)
    got = scores(server, name, params={"idf": {"corpus": match("a")}})
    weights = [idf(2, 2), idf(2, 1), idf(2, 0)]
    for i, (_, terms) in enumerate(TENANTS):
        assert got[i] == pytest.approx(sum(weights[t] for t in terms))
    nobody = scores(server, name, params={"idf": {"corpus": match("c")}})
    assert nobody[2] == pytest.approx(3 * idf(0, 0))
    everybody = scores(server, name)
    assert everybody == scores(server, name, params={"idf": "global"}) and everybody != got
    narrow = scores(server, name, filter=match("b"), params={"idf": {"corpus": match("a")}})
    assert narrow == {i: got[i] for i in (2, 3)}
    batch = good(server, "POST", f"/collections/{name}/points/query/batch", {"searches": [
        {"query": {"indices": [0], "values": [1.0]}, "using": "s", **({"params": {"idf": {"corpus": match(t)}}} if t else {})}
        for t in ("a", None, "b")]})
    assert [b["points"][0]["score"] for b in batch] == [pytest.approx(idf(*n)) for n in ((2, 2), (4, 3), (2, 1))]


def test_idf_asks_for_the_modifier(server, name):
    tenants(server, name)
    status, answer = ask(server, "POST", f"/collections/{name}/points/query", {
        "query": [1.0, 0.0], "using": "d", "params": {"idf": {"corpus": match("a")}}})
    assert status == 400 and "requires a sparse vector with the `idf` modifier" in answer["status"]["error"]


def test_modifier_can_be_changed(server, client, name):
    tenants(server, name)
    client.update_collection(name, sparse_vectors_config={"s": models.SparseVectorParams(modifier=models.Modifier.NONE)})
    assert scores(server, name)[2] == 3.0
    client.update_collection(name, sparse_vectors_config={"s": models.SparseVectorParams(modifier=models.Modifier.IDF)})
    assert scores(server, name)[2] == pytest.approx(2 * idf(4, 3) + idf(4, 1))


def test_sparse_vectors_are_no_turbo4(server):
    status, answer = ask(server, "PUT", "/collections/never", {"sparse_vectors": {"s": {"index": {"datatype": "turbo4"}}}})
    assert status in (400, 422) and "sparse vectors do not support the `turbo4` datatype" in answer["status"]["error"]


# ---- vectors of few bits, and of few dimensions ----

def test_rows_hold_what_their_type_holds(server, name):
    good(server, "PUT", f"/collections/{name}", {"vectors": {
        kind: {"size": 2, "distance": "Dot", "datatype": kind, "multivector_config": {"comparator": "max_sim"}}
        for kind in ("uint8", "float16", "float32")}})
    rows = [[256.19, 1.81], [2.75, 0.1]]
    put_points(server, name, [{"id": 1, "vector": {kind: rows for kind in ("uint8", "float16", "float32")}}])
    got = good(server, "GET", f"/collections/{name}/points/1")["vector"]
    assert got == {"uint8": [[255, 1], [2, 0]], "float16": [[256.25, 1.8095703], [2.75, 0.099975586]], "float32": rows}
    hit = good(server, "POST", f"/collections/{name}/points/query", {"query": [[1, 1]], "using": "uint8"})["points"][0]
    assert hit["score"] == 256.0


def test_few_dimensions_score_as_a_plain_loop(server, client, name):
    client.create_collection(name, vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT))
    client.upsert(name, [models.PointStruct(id=1, vector=[0.36, 0.55, 0.47, 0.94])], wait=True)
    hit = client.query_points(name, query=[0.05, 0.61, 0.76, 0.74]).points[0]
    assert struct.pack("f", hit.score) == struct.pack("f", 1.4063001)  # not 1.4063, as other orders of adding give


# ---- the model of our own ----

def document(text, **options):
    return {"model": "qdrant/bm25", "text": text, **({"options": options} if options else {})}


def test_bm25_model(server, name):
    good(server, "PUT", f"/collections/{name}", {"sparse_vectors": {"s": {"modifier": "idf"}}})
    put_points(server, name, [
        {"id": 1, "vector": {"s": document("The foxes are jumping over a fox")}},
        {"id": 2, "vector": {"s": document("Hello, world!")}},
        {"id": 3, "vector": {"s": document("hello hello test", k=1.2, b=0.75, avg_len=3, language="none")}}])
    vectors = {p["id"]: p["vector"].get("s") for p in good(
        server, "POST", f"/collections/{name}/points", {"ids": [1, 2, 3], "with_vector": True})}
    assert len(vectors[1]["indices"]) == 2  # fox twice, jump; the rest are stop words
    # MurmurHash3 of "hello" is 0x248bfa47; of "test" 0xba6bd213, whose sign goes
    terms = dict(zip(vectors[3]["indices"], vectors[3]["values"]))
    assert terms[0x248BFA47] == pytest.approx(2 * 2.2 / (1.2 + 2)) and terms[0x45942DED] == pytest.approx(1.0)
    found = good(server, "POST", f"/collections/{name}/points/query", {"query": document("jumps"), "using": "s"})
    assert [p["id"] for p in found["points"]] == [1]


def test_other_models_are_not_ours(server, name):
    good(server, "PUT", f"/collections/{name}", {"sparse_vectors": {"s": {}}})
    status, answer = ask(server, "PUT", f"/collections/{name}/points?wait=true", {
        "points": [{"id": 1, "vector": {"s": {"model": "somebody/else", "text": "x"}}}]})
    assert status == 500 and "InferenceService" in answer["status"]["error"]
    status, answer = ask(server, "PUT", f"/collections/{name}/points?wait=true", {
        "points": [{"id": 1, "vector": {"s": document("x", tokenizer="axe")}}]})
    assert status == 400 and "tokenizer" in answer["status"]["error"]
