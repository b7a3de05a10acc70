"""Collections, aliases, configuration, ids, errors and restarts, through the official client and through bare requests."""
import time
import uuid

import grpc as grpclib
import pytest
import requests
from qdrant_client import grpc, models
from qdrant_client.http.exceptions import UnexpectedResponse

from test.api.conftest import connect
from test.lib.server import Server

DENSE = models.VectorParams(size=4, distance=models.Distance.DOT)


def call(server, method, path, body=None, **options):
    return requests.request(method, server.url + path, json=body, timeout=30, **options)


def fault(run):
    """(HTTP status or gRPC code name, text) of the error a client call raises."""
    try:
        run()
    except UnexpectedResponse as error:
        return error.status_code, error.content.decode()
    except grpclib.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError("no error")


def until(condition, seconds=20):
    """Waits for what is bound to come; says so when it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def name(client):
    made = f"c-{uuid.uuid4().hex[:12]}"
    client.create_collection(made, vectors_config=DENSE)
    yield made
    client.delete_collection(made)


# Collections and their configuration


def test_life_of_a_collection(client):
    name = f"life-{uuid.uuid4().hex}"
    assert not client.collection_exists(name)
    assert client.create_collection(name, vectors_config=DENSE) is True
    assert client.collection_exists(name)
    assert name in [c.name for c in client.get_collections().collections]
    code, text = fault(lambda: client.create_collection(name, vectors_config=DENSE))
    assert code in (409, "ALREADY_EXISTS") and f"Wrong input: Collection `{name}` already exists!" in text
    assert client.delete_collection(name) is True
    assert client.delete_collection(name) is False
    code, text = fault(lambda: client.get_collection(name))
    assert code in (404, "NOT_FOUND") and f"Not found: Collection `{name}` doesn't exist!" in text


def test_defaults_over_rest(server, client, name):
    got = call(server, "GET", f"/collections/{name}").json()["result"]
    assert got["status"] == "green" and got["optimizer_status"] == "ok" and got["points_count"] == 0
    assert got["payload_schema"] == {}
    config = got["config"]
    assert config["params"] == {
        "vectors": {"size": 4, "distance": "Dot"}, "shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, "on_disk_payload": True,
    }
    hnsw = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0, "on_disk": False}
    assert config["hnsw_config"] == hnsw
    assert config["optimizer_config"] == {
        "deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "default_segment_number": 0, "max_segment_size": None,
        "memmap_threshold": None, "indexing_threshold": 10000, "flush_interval_sec": 5, "max_optimization_threads": None, "prevent_unoptimized": None,
    }
    assert config["wal_config"] == {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}
    assert config["quantization_config"] is None
    for absent in ("strict_mode_config", "metadata"):
        assert absent not in config


def test_configuration_is_kept_and_shown(client):
    name = f"conf-{uuid.uuid4().hex}"
    client.create_collection(
        name,
        vectors_config={
            "a": models.VectorParams(size=8, distance=models.Distance.EUCLID, on_disk=True, hnsw_config=models.HnswConfigDiff(m=32)),
            "m": models.VectorParams(
                size=2, distance=models.Distance.COSINE, datatype=models.Datatype.FLOAT16,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            ),
        },
        sparse_vectors_config={"s": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        hnsw_config=models.HnswConfigDiff(ef_construct=77),
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=5),
        quantization_config=models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.75)),
        metadata={"team": "red", "n": 3},
    )
    config = client.get_collection(name).config
    vectors = config.params.vectors
    assert (vectors["a"].size, vectors["a"].distance, vectors["a"].on_disk, vectors["a"].hnsw_config.m) == (8, models.Distance.EUCLID, True, 32)
    assert vectors["m"].datatype == models.Datatype.FLOAT16
    assert vectors["m"].multivector_config.comparator == models.MultiVectorComparator.MAX_SIM
    assert config.params.sparse_vectors["s"].modifier == models.Modifier.IDF
    assert (config.hnsw_config.ef_construct, config.hnsw_config.m) == (77, 16)
    assert config.optimizer_config.indexing_threshold == 5
    assert config.quantization_config.scalar.quantile == 0.75
    assert config.metadata == {"team": "red", "n": 3}
    client.delete_collection(name)


def test_patch_merges(client):
    name = f"patch-{uuid.uuid4().hex}"
    client.create_collection(
        name, vectors_config={"a": DENSE, "b": DENSE}, hnsw_config=models.HnswConfigDiff(m=24), metadata={"keep": 1, "change": 1},
        quantization_config=models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)),
    )
    client.update_collection(
        name,
        vectors_config={"a": models.VectorParamsDiff(on_disk=True, hnsw_config=models.HnswConfigDiff(ef_construct=50))},
        hnsw_config=models.HnswConfigDiff(ef_construct=60),
        optimizers_config=models.OptimizersConfigDiff(deleted_threshold=0.5),
        collection_params=models.CollectionParamsDiff(replication_factor=2),
        metadata={"change": 2, "new": 3},
    )
    config = client.get_collection(name).config
    assert (config.hnsw_config.m, config.hnsw_config.ef_construct) == (24, 60)
    assert config.optimizer_config.deleted_threshold == 0.5 and config.optimizer_config.vacuum_min_vector_number == 1000
    assert config.params.replication_factor == 2
    a, b = config.params.vectors["a"], config.params.vectors["b"]
    assert a.on_disk is True and a.hnsw_config.ef_construct == 50 and a.hnsw_config.m is None
    assert b.on_disk is None and b.hnsw_config is None
    assert config.metadata == {"keep": 1, "change": 2, "new": 3}
    assert config.quantization_config.scalar is not None
    client.update_collection(name, quantization_config=models.Disabled.DISABLED)
    assert client.get_collection(name).config.quantization_config is None
    code, text = fault(lambda: client.update_collection(name, vectors_config={"none": models.VectorParamsDiff(on_disk=True)}))
    assert code in (400, "INVALID_ARGUMENT") and "Not existing vector name error: none" in text
    client.delete_collection(name)


def test_aliases(client, name):
    one, two = f"al-{uuid.uuid4().hex}", f"al-{uuid.uuid4().hex}"
    create = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=name, alias_name=one))
    assert client.update_collection_aliases([create]) is True
    client.upsert(one, [models.PointStruct(id=1, vector=[1, 2, 3, 4])], wait=True)
    assert client.count(name).count == client.count(one).count == 1
    assert client.collection_exists(one)
    assert [(a.alias_name, a.collection_name) for a in client.get_collection_aliases(name).aliases] == [(one, name)]
    client.update_collection_aliases([models.RenameAliasOperation(rename_alias=models.RenameAlias(old_alias_name=one, new_alias_name=two))])
    assert (two, name) in [(a.alias_name, a.collection_name) for a in client.get_aliases().aliases]
    code, text = fault(lambda: client.count(one))
    assert code in (404, "NOT_FOUND") and f"Collection `{one}` doesn't exist!" in text
    code, text = fault(lambda: client.create_collection(two, vectors_config=DENSE))
    assert code in (400, "INVALID_ARGUMENT") and "Alias with the same name already exists" in text
    wrong = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="absent", alias_name="zz"))
    drop = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=two))
    code, text = fault(lambda: client.update_collection_aliases([drop, wrong]))
    assert code in (404, "NOT_FOUND") and "Collection `absent` doesn't exist!" in text
    assert client.count(two).count == 1, "half of a refused list of actions was applied"
    client.update_collection_aliases([drop])
    assert not client.collection_exists(two)


def test_vector_names_added_and_removed(client):
    name = f"vn-{uuid.uuid4().hex}"
    client.create_collection(name, vectors_config={"a": DENSE})
    client.upsert(name, [models.PointStruct(id=1, vector={"a": [1, 2, 3, 4]})], wait=True)
    client.create_vector_name(name, "b", models.DenseVectorNameConfig(dense=models.DenseVectorConfig(size=2, distance=models.Distance.DOT)))
    client.update_vectors(name, [models.PointVectors(id=1, vector={"b": [5, 6]})], wait=True)
    assert client.retrieve(name, [1], with_vectors=True)[0].vector == {"a": [1, 2, 3, 4], "b": [5, 6]}
    client.delete_vector_name(name, "b")
    assert client.retrieve(name, [1], with_vectors=True)[0].vector == {"a": [1, 2, 3, 4]}
    client.create_vector_name(name, "b", models.DenseVectorNameConfig(dense=models.DenseVectorConfig(size=3, distance=models.Distance.DOT)))
    assert client.retrieve(name, [1], with_vectors=True)[0].vector == {"a": [1, 2, 3, 4]}, "old data came back"
    client.update_vectors(name, [models.PointVectors(id=1, vector={"b": [7, 8, 9]})], wait=True)
    assert client.retrieve(name, [1], with_vectors=["b"])[0].vector == {"b": [7, 8, 9]}
    client.delete_collection(name)


# Points


def test_spellings_of_ids(server, client, name):
    plain = "936da01f-9abd-4d9d-80c7-02af85c822a8"
    spellings = [plain, plain.upper(), plain.replace("-", ""), "urn:uuid:" + plain, "{" + plain + "}"]
    for i, spelling in enumerate(spellings):
        client.upsert(name, [models.PointStruct(id=spelling, vector=[i, 0, 0, 0])], wait=True)
        assert client.count(name).count == 1, f"{spelling} is a point of its own"
        assert client.retrieve(name, [spelling], with_vectors=True)[0].vector == [i, 0, 0, 0]
        assert client.scroll(name)[0][0].id == plain
    for big in (0, 2**53 + 1, 2**64 - 1):
        client.upsert(name, [models.PointStruct(id=big, vector=[1, 0, 0, 0])], wait=True)
    assert [p.id for p in client.scroll(name)[0]] == [0, 2**53 + 1, 2**64 - 1, plain]
    assert call(server, "GET", f"/collections/{name}/points/{2**64 - 1}").json()["result"]["id"] == 2**64 - 1
    assert call(server, "GET", f"/collections/{name}/points/{plain}").json()["result"]["id"] == plain
    code, _ = fault(lambda: client.upsert(name, [models.PointStruct(id="abc", vector=[1, 0, 0, 0])], wait=True))
    assert code in (400, "INVALID_ARGUMENT")


def test_wait_false_and_true(client, name):
    points = [models.PointStruct(id=i, vector=[i, 0, 0, 0], payload={"n": i}) for i in range(100)]
    numbers = []
    for point in points:
        done = client.upsert(name, [point], wait=False)
        assert done.status == models.UpdateStatus.ACKNOWLEDGED
        numbers.append(done.operation_id)
    assert numbers == sorted(set(numbers)), "operation numbers don't grow"
    last = client.upsert(name, [models.PointStruct(id=1000, vector=[1, 1, 1, 1])], wait=True)
    assert last.status == models.UpdateStatus.COMPLETED and last.operation_id > numbers[-1]
    assert client.count(name).count == 101, "a write that was acknowledged before is not seen"
    newest = client.query_points(name, query=[1, 1, 1, 1], limit=1, query_filter=models.Filter(must=[models.HasIdCondition(has_id=[1000])]))
    assert newest.points[0].version == last.operation_id


def test_batch_update_in_order(client, name):
    operations = [
        models.UpsertOperation(upsert=models.PointsList(points=[models.PointStruct(id=i, vector=[i, 1, 0, 0], payload={"n": i}) for i in range(4)])),
        models.SetPayloadOperation(set_payload=models.SetPayload(payload={"x": 1}, points=[0, 1])),
        models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload={"y": 2}, points=[1])),
        models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["n"], points=[0])),
        models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[2])),
        models.UpdateVectorsOperation(update_vectors=models.UpdateVectors(points=[models.PointVectors(id=2, vector=[9, 9, 9, 9])])),
        models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(points=[0], vector=[""])),
        models.DeleteOperation(delete=models.PointIdsList(points=[3])),
    ]
    results = client.batch_update_points(name, operations, wait=True)
    assert len(results) == len(operations) and all(r.status == models.UpdateStatus.COMPLETED for r in results)
    assert [r.operation_id for r in results] == sorted({r.operation_id for r in results})
    points = {p.id: p for p in client.scroll(name, with_vectors=True)[0]}
    assert {i: p.payload for i, p in points.items()} == {0: {"x": 1}, 1: {"y": 2}, 2: {}}
    assert not points[0].vector and points[1].vector == [1, 1, 0, 0] and points[2].vector == [9, 9, 9, 9]


def test_refused_write_changes_nothing(client, name):
    good = models.PointStruct(id=1, vector=[1, 2, 3, 4], payload={"a": 1})
    client.upsert(name, [good], wait=True)
    for bad in (
        [models.PointStruct(id=1, vector=[9, 9, 9, 9]), models.PointStruct(id=2, vector=[1, 2])],
        [models.PointStruct(id=1, vector=[9, 9, 9, 9]), models.PointStruct(id=2, vector={"none": [1, 2, 3, 4]})],
    ):
        code, _ = fault(lambda: client.upsert(name, bad, wait=True))
        assert code in (400, "INVALID_ARGUMENT")
    found = client.retrieve(name, [1, 2], with_vectors=True)
    assert [(p.id, p.vector, p.payload) for p in found] == [(1, [1, 2, 3, 4], {"a": 1})]


def test_payload_keeps_its_types(client, name):
    payload = {
        "null": None, "yes": True, "int": -5, "big": 2**62 + 1, "float": 0.1, "round": 2.0, "text": "grüße \U0001f980 \"q\"\n", "empty": {},
        "list": [1, "two", [3.5, None], {"four": False}], "deep": {"a": {"b": {"c": [[]]}}}, "key with.dot": 1, "": 2,
    }
    client.upsert(name, [models.PointStruct(id=1, vector=[1, 2, 3, 4], payload=payload)], wait=True)
    found = client.retrieve(name, [1])[0].payload
    assert found == payload
    assert type(found["int"]) is int and type(found["float"]) is float and type(found["round"]) is float and found["yes"] is True


def test_payload_schema(client, name):
    client.create_payload_index(name, "city", models.PayloadSchemaType.KEYWORD, wait=True)
    client.create_payload_index(name, "n", models.IntegerIndexParams(type="integer", lookup=True, range=False), wait=True)
    client.upsert(name, [models.PointStruct(id=i, vector=[i, 0, 0, 0], payload={"city": "Rome", "n": i}) for i in range(5)], wait=True)
    schema = client.get_collection(name).payload_schema
    assert schema["city"].data_type == models.PayloadSchemaType.KEYWORD and schema["city"].params is None
    assert schema["n"].params.range is False
    client.delete_payload_index(name, "city", wait=True)
    assert set(client.get_collection(name).payload_schema) == {"n"}
    assert client.count(name, count_filter=models.Filter(must=[models.FieldCondition(key="city", match=models.MatchValue(value="Rome"))])).count == 5


def test_two_dialects_see_each_other_at_once(server):
    over_grpc, over_rest = connect(server, True), connect(server, False)
    name = f"two-{uuid.uuid4().hex}"
    over_grpc.create_collection(name, vectors_config=DENSE)
    for i in range(50):
        writer, reader = (over_grpc, over_rest) if i % 2 else (over_rest, over_grpc)
        writer.upsert(name, [models.PointStruct(id=i, vector=[i, 1, 0, 0], payload={"n": i})], wait=True)
        assert reader.count(name).count == i + 1
        found = reader.retrieve(name, [i], with_vectors=True)[0]
        assert (found.vector, found.payload) == ([i, 1, 0, 0], {"n": i})
        assert reader.query_points(name, query=[1, 0, 0, 0], limit=1).points[0].id == i
    over_rest.delete_collection(name)
    assert not over_grpc.collection_exists(name)


def test_restart_keeps_everything():
    with Server() as server:
        for grpc_first in (True, False):
            client = connect(server, grpc_first)
            name = "kept-grpc" if grpc_first else "kept-rest"
            client.create_collection(
                name, vectors_config={"a": DENSE, "c": models.VectorParams(size=2, distance=models.Distance.COSINE)},
                sparse_vectors_config={"s": models.SparseVectorParams(modifier=models.Modifier.IDF)}, hnsw_config=models.HnswConfigDiff(m=20),
            )
            points = [
                models.PointStruct(
                    id=i if i % 2 else str(uuid.UUID(int=i + 1)),
                    vector={"a": [i, 1, 2, 3], "c": [i, 1.0], "s": models.SparseVector(indices=[i, 500], values=[1.0, 0.5])},
                    payload={"n": i, "text": "x" * i},
                )
                for i in range(200)
            ]
            client.upsert(name, points, wait=True)
            client.delete(name, [1, 3, 5], wait=True)
            client.set_payload(name, {"new": True}, points=[7, 9], wait=True)
            client.upsert(name, [models.PointStruct(id=999, vector={"a": [4, 4, 4, 4]}, payload={"late": 1})], wait=False)
            alias = models.CreateAlias(collection_name=name, alias_name="alias-" + name)
            client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
        until(lambda: client.count("kept-rest").count == 198 and client.count("kept-grpc").count == 198)

        def everything():
            both = connect(server, True)
            return {
                name: (
                    both.scroll(name, limit=1000, with_vectors=True)[0],
                    both.get_collection(name).config,
                    [(p.id, p.score) for p in both.query_points(name, query=[1, 1, 0, 0], using="a", limit=20).points],
                    [(p.id, p.score) for p in both.query_points(name, query=models.SparseVector(indices=[500, 7], values=[1, 2]), using="s").points],
                )
                for name in ("kept-grpc", "kept-rest", "alias-kept-grpc")
            }

        before = everything()
        assert len(before["kept-rest"][0]) == 198
        assert server.stop() == 0, server.log()
        server.start()
        assert everything() == before, "an orderly stop lost something"
        server.kill()
        server.start()
        assert everything() == before, "a crash lost something"


# Errors: codes and texts

REST_ERRORS = [
    ("PUT", "/collections/bad", {"vectors": {"size": 65537, "distance": "Dot"}}, 422,
     "Validation error in JSON body: [vectors.size: value 65537 invalid, must be from 1 to 65536]"),
    ("PUT", "/collections/bad", {"vectors": {"size": 4, "distance": "Dot"}, "hnsw_config": {"ef_construct": 2}}, 422,
     "Validation error in JSON body: [hnsw_config.ef_construct: value 2 invalid, must be 4 or larger]"),
    ("PUT", "/collections/bad", {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 0}, 422,
     "Validation error in JSON body: [shard_number: value 0 invalid, must be 1 or larger]"),
    ("PUT", "/collections/a%3Ab", {"vectors": {"size": 4, "distance": "Dot"}}, 422,
     'Validation error in path parameters: [collection_name: collection name cannot contain ":" char]'),
    ("PUT", "/collections/bad", {"vectors": {"size": 4, "distance": "Cos"}}, 400, "Format error in JSON body: "),
    ("PUT", "/collections/bad", [1], 400, "Format error in JSON body: "),
    ("GET", "/collections/absent", None, 404, "Not found: Collection `absent` doesn't exist!"),
    ("PATCH", "/collections/absent", {}, 404, "Not found: Collection `absent` doesn't exist!"),
    ("PUT", "/collections/err/points?wait=true", {"points": [{"id": 1, "vector": [1, 2, 3]}]}, 400,
     "Wrong input: Vector dimension error: expected dim: 4, got 3"),
    ("PUT", "/collections/err/points?wait=true", {"points": [{"id": -1, "vector": [1, 2, 3, 4]}]}, 400,
     "Format error in JSON body: value -1 is not a valid point ID, valid values are either an unsigned integer or a UUID"),
    ("PUT", "/collections/err/points?wait=true", {"points": [{"id": 1, "vector": []}]}, 422,
     "Validation error in JSON body: [points[0].vector.vector: dense vector must not be empty]"),
    ("PUT", "/collections/err/points?wait=true", {"points": [{"id": 1, "vector": {"x": [1, 2, 3, 4]}}]}, 400,
     "Wrong input: Not existing vector name error: x"),
    ("PUT", "/collections/err/points?wait=true", {"points": []}, 400, "Bad request: Empty update request"),
    ("PUT", "/collections/err/points?wait=maybe", {"points": []}, 400, "Deserialize error in query parameters: "),
    ("PUT", "/collections/err/points?wait=true", {"batch": {"ids": [1, 2], "vectors": [[1, 2, 3, 4]]}}, 422,
     "Validation error in JSON body: [batch.batch: number of ids and vectors must be equal (2 != 1)]"),
    ("PUT", "/collections/absent/points", {"points": [{"id": 1, "vector": [1]}]}, 404, "Not found: Collection `absent` doesn't exist!"),
    ("GET", "/collections/err/points/777", None, 404, "Not found: Point with id 777 does not exists!"),
    ("GET", "/collections/err/points/abc", None, 400, 'Wrong input: Can not recognize "abc" as point id'),
    ("POST", "/collections/err/points/query", {"query": 777}, 404, "Not found: No point with id 777 found"),
    ("POST", "/collections/err/points/query", {"query": [1, 0, 0]}, 400, "Wrong input: Vector dimension error: expected dim: 4, got 3"),
    ("POST", "/collections/err/points/query", {"query": [1, 0, 0, 1], "using": "zz"}, 400, "Wrong input: Not existing vector name error: zz"),
    ("POST", "/collections/err/points/query", {"query": [1, 0, 0, 1], "limit": 0}, 422,
     "Validation error in JSON body: [internal.limit: value 0 invalid, must be 1 or larger]"),
    ("POST", "/collections/err/points/query", {"query": {"indices": [1], "values": [1.0]}}, 400,
     "Wrong input: Conversion between sparse and regular vectors failed"),
    ("POST", "/collections/err/points/payload?wait=true", {"payload": {"x": 1}, "points": [777]}, 404, "Not found: No point with id 777 found"),
    ("POST", "/collections/err/points/payload?wait=true", {"payload": {"x": 1}}, 400, "Format error in JSON body: "),
    ("PUT", "/collections/err/points/vectors?wait=true", {"points": [{"id": 777, "vector": [9, 8, 7, 6]}]}, 404,
     "Not found: No point with id 777 found"),
    ("POST", "/collections/err/points/scroll", {"filter": {"must": [{"key": "n"}]}}, 422, "Validation error in JSON body: "),
    ("POST", "/collections/err/points/scroll", {"filter": {"must": [{"bogus": "n"}]}}, 400, "Format error in JSON body: "),
]


@pytest.fixture(scope="module")
def err(server):
    client = connect(server, True)
    client.create_collection("err", vectors_config=DENSE)
    client.upsert("err", [models.PointStruct(id=1, vector=[1, 2, 3, 4])], wait=True)
    return server


@pytest.mark.parametrize(("method", "path", "body", "status", "text"), REST_ERRORS)
def test_rest_errors(err, method, path, body, status, text):
    answer = call(err, method, path, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    got = answer.json()["status"]["error"]
    assert got.startswith(text) if text.endswith(": ") else got == text


def test_rest_surroundings(server):
    root = call(server, "GET", "/").json()
    assert root["version"].count(".") == 2 and root["version"].startswith("1.20.")
    for path, text in (("/healthz", "healthz check passed"), ("/livez", "healthz check passed"), ("/readyz", "all shards are ready")):
        answer = call(server, "GET", path)
        assert (answer.status_code, answer.text) == (200, text) and answer.headers["content-type"].startswith("text/plain")
    assert call(server, "GET", "/no/such/path").status_code == 404
    assert call(server, "PATCH", "/healthz").status_code in (404, 405)
    assert call(server, "GET", "/collections/").status_code == 200, "a trailing slash"
    for raw in (b'{"vectors":', b"", b"\xff\xfe{}", b"[" * 100_000):
        answer = requests.put(server.url + "/collections/raw", data=raw, headers={"content-type": "application/json"}, timeout=30)
        assert answer.status_code == 400 and answer.json()["status"]["error"].startswith("Format error in JSON body: "), (raw[:20], answer.text[:200])


POINT = {"collection_name": "err", "wait": True}
NUM = grpc.PointId(num=2)
FLAT = grpc.Vectors(vector=grpc.Vector(data=[1, 2, 3]))
GRPC_ERRORS = [
    ("Collections", "Get", grpc.GetCollectionInfoRequest(collection_name="absent"), "NOT_FOUND", "Not found: Collection `absent` doesn't exist!"),
    ("Collections", "Create", grpc.CreateCollection(collection_name="x/y"), "INVALID_ARGUMENT",
     'Validation error in body: [collection_name: collection name cannot contain "/" char]'),
    ("Collections", "Create", grpc.CreateCollection(), "INVALID_ARGUMENT",
     'Validation error in body: [collection_name: value "" invalid, must be from 1 to 255 characters]'),
    ("Collections", "Create", grpc.CreateCollection(
        collection_name="c", vectors_config=grpc.VectorsConfig(params=grpc.VectorParams(distance=grpc.Distance.Dot))), "INVALID_ARGUMENT",
     "Validation error in body: [vectors_config.config.size: value 0 invalid, must be from 1 to 65536]"),
    ("Points", "Upsert", grpc.UpsertPoints(**POINT), "INVALID_ARGUMENT", "Bad request: Empty update request"),
    ("Points", "Upsert", grpc.UpsertPoints(**POINT, points=[grpc.PointStruct(id=NUM, vectors=FLAT)]), "INVALID_ARGUMENT",
     "Wrong input: Vector dimension error: expected dim: 4, got 3"),
    ("Points", "Upsert", grpc.UpsertPoints(**POINT, points=[grpc.PointStruct(vectors=FLAT)]), "INVALID_ARGUMENT", "Empty ID is not allowed"),
    ("Points", "Upsert", grpc.UpsertPoints(**POINT, points=[grpc.PointStruct(id=grpc.PointId(uuid="nope"), vectors=FLAT)]), "INVALID_ARGUMENT",
     "Unable to parse UUID: nope"),
    ("Points", "Upsert", grpc.UpsertPoints(**POINT, points=[grpc.PointStruct(id=NUM)]), "INVALID_ARGUMENT", "Expected some vectors"),
    ("Points", "Scroll", grpc.ScrollPoints(collection_name="err", limit=0), "INVALID_ARGUMENT",
     "Validation error in body: [limit: value 0 invalid, must be 1 or larger]"),
    ("Points", "Query", grpc.QueryPoints(collection_name="err", query=grpc.Query(nearest=grpc.VectorInput(id=grpc.PointId(num=77)))), "NOT_FOUND",
     "Not found: No point with id 77 found"),
    ("Points", "Query", grpc.QueryPoints(collection_name="err", query=grpc.Query()), "INVALID_ARGUMENT", "Query variant is missing"),
    ("Points", "Delete", grpc.DeletePoints(**POINT), "INVALID_ARGUMENT", "PointSelector is missing"),
    ("Points", "UpdateBatch", grpc.UpdateBatchPoints(**POINT, operations=[grpc.PointsUpdateOperation()]), "INVALID_ARGUMENT", "Operation is missing"),
    ("Points", "SetPayload", grpc.SetPayloadPoints(**POINT, payload={"q": grpc.Value(integer_value=1)}), "INVALID_ARGUMENT", "points_selector is expected"),
    ("Points", "Count", grpc.CountPoints(collection_name="err", filter=grpc.Filter(must=[grpc.Condition(field=grpc.FieldCondition(key="n"))])),
     "INVALID_ARGUMENT",
     "Validation error in body: [filter.must[0].condition_one_of.match: Validation error: At least one field condition must be specified [{}]]"),
]


@pytest.mark.parametrize(("service", "method", "request_", "code", "text"), GRPC_ERRORS)
def test_grpc_errors(err, service, method, request_, code, text):
    with grpclib.insecure_channel(f"127.0.0.1:{err.grpc_port}") as channel:
        run = channel.unary_unary(f"/qdrant.{service}/{method}", lambda m: m.SerializeToString(), lambda b: b)
        assert fault(lambda: run(request_, timeout=30)) == (code, text)


def test_key_is_asked_for():
    with Server(env={"QDRANT__SERVICE__API_KEY": "secret", "QDRANT__SERVICE__READ_ONLY_API_KEY": "reader"}) as server:
        assert call(server, "GET", "/collections").status_code == 401
        assert call(server, "GET", "/collections").text == "Must provide an API key or an Authorization bearer token"
        assert call(server, "GET", "/collections", headers={"api-key": "wrong"}).text == "Invalid API key or JWT"
        assert call(server, "GET", "/collections", headers={"api-key": "secret"}).status_code == 200
        assert call(server, "GET", "/collections", headers={"authorization": "Bearer reader"}).status_code == 200
        body = {"vectors": {"size": 4, "distance": "Dot"}}
        assert call(server, "PUT", "/collections/k", body, headers={"api-key": "reader"}).status_code == 403
        assert call(server, "PUT", "/collections/k", body, headers={"api-key": "secret"}).status_code == 200
        for path in ("/", "/healthz", "/readyz"):
            assert call(server, "GET", path).status_code == 200
        with grpclib.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            listing = channel.unary_unary("/qdrant.Collections/List", lambda b: b, lambda b: b)
            assert fault(lambda: listing(b"", timeout=30))[0] == "UNAUTHENTICATED"
            assert fault(lambda: listing(b"", timeout=30, metadata=[("api-key", "wrong")]))[0] == "UNAUTHENTICATED"
            assert b"k" in listing(b"", timeout=30, metadata=[("api-key", "reader")])
            create = channel.unary_unary("/qdrant.Collections/Delete", grpc.DeleteCollection.SerializeToString, lambda b: b)
            refused = fault(lambda: create(grpc.DeleteCollection(collection_name="k"), timeout=30, metadata=[("api-key", "reader")]))
            assert refused[0] == "PERMISSION_DENIED"
            for health in ("/qdrant.Qdrant/HealthCheck", "/grpc.health.v1.Health/Check"):
                channel.unary_unary(health, lambda b: b, lambda b: b)(b"", timeout=30)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none(server, bad):
    """Over gRPC any float can come; none but finite ones are stored or compared with."""
    client = connect(server, True)
    name = f"finite-{uuid.uuid4().hex[:12]}"
    client.create_collection(
        name, vectors_config={"d": models.VectorParams(size=20, distance="Dot"), "m": models.VectorParams(
            size=2, distance="Dot", multivector_config=models.MultiVectorConfig(comparator="max_sim"))},
        sparse_vectors_config={"s": models.SparseVectorParams()})
    for place in range(20):
        values = [0.0] * 20
        values[place] = bad
        for key, vector in {"d": values, "m": [[1.0, 2.0], [3.0, bad]], "s": models.SparseVector(indices=[1, 5], values=[1.0, bad])}.items():
            with pytest.raises(grpclib.RpcError) as refused:
                client.upsert(name, [models.PointStruct(id=1, vector={key: vector})])
            assert refused.value.code() == grpclib.StatusCode.INVALID_ARGUMENT
            with pytest.raises(grpclib.RpcError) as refused:
                client.query_points(name, query=vector, using=key)
            assert refused.value.code() == grpclib.StatusCode.INVALID_ARGUMENT
    client.upsert(name, [models.PointStruct(id=1, vector={"d": [3.4e38] * 20})])
    assert client.count(name).count == 1
    client.delete_collection(name)
    client.close()
