"""The Python client of Chroma against our server: every operation a self-hosted Chroma has."""
import base64
import concurrent.futures
import json
import struct
import uuid

import chromadb
import numpy as np
import pytest
import requests
from chromadb.config import Settings
from chromadb.errors import ChromaError, InvalidArgumentError, InternalError, NotFoundError

from test.lib.server import Server


@pytest.fixture(scope="module")
def server():
    with Server(env={"ALLOW_RESET": "true"}) as running:
        yield running


@pytest.fixture
def client(server):
    client = chromadb.HttpClient("127.0.0.1", server.chroma_port,
                                 settings=Settings(allow_reset=True, anonymized_telemetry=False))
    assert client.reset()
    return client


def base(server):
    return f"http://127.0.0.1:{server.chroma_port}/api/v2/tenants/default_tenant/databases/default_database"


def filled(client, name="docs", space="l2", **more):
    collection = client.create_collection(name, embedding_function=None, configuration={"hnsw": {"space": space}}, **more)
    collection.add(
        ids=["a", "b", "c", "d"],
        embeddings=[[1, 0, 0], [0, 2, 0], [0, 0, 3], [1, 1, 0]],
        documents=["alpha one", "beta two", None, "delta two"],
        metadatas=[{"n": 1, "s": "x", "t": True}, {"n": 2.5, "s": "y"}, None, {"n": 3, "tags": ["p", "q"]}],
        uris=["u1", None, None, "u4"],
    )
    return collection


# ---- service, tenants, databases ----


def test_service(client):
    assert client.heartbeat() > 10**18
    assert client.get_version() == "1.0.0"
    assert client.get_max_batch_size() == 5461
    assert client.get_user_identity().tenant == "default_tenant"


def test_reset_needs_leave():
    with Server() as server:
        answer = requests.post(f"http://127.0.0.1:{server.chroma_port}/api/v2/reset", timeout=30)
    assert answer.status_code == 403 and answer.json()["message"] == "Reset is disabled by config"


def test_tenants_and_databases(server, client):
    admin = chromadb.AdminClient(Settings(chroma_api_impl="chromadb.api.fastapi.FastAPI", chroma_server_host="127.0.0.1",
                                          chroma_server_http_port=server.chroma_port, anonymized_telemetry=False))
    admin.create_tenant("tenant_a")
    with pytest.raises(ChromaError, match="already exists"):
        admin.create_tenant("tenant_a")
    assert admin.get_tenant("tenant_a")["name"] == "tenant_a"
    with pytest.raises(NotFoundError):
        admin.get_tenant("tenant_b")
    admin.create_database("first", "tenant_a")
    admin.create_database("second", "tenant_a")
    with pytest.raises(ChromaError, match="already exists"):
        admin.create_database("first", "tenant_a")
    assert [d["name"] for d in admin.list_databases(tenant="tenant_a")] == ["first", "second"]
    assert [d["name"] for d in admin.list_databases(limit=1, offset=1, tenant="tenant_a")] == ["second"]

    other = chromadb.HttpClient("127.0.0.1", server.chroma_port, tenant="tenant_a", database="first")
    other.create_collection("shared_name", embedding_function=None)
    client.create_collection("shared_name", embedding_function=None)
    assert other.count_collections() == 1 and client.count_collections() == 1
    theirs = other.get_collection("shared_name", embedding_function=None)
    assert theirs.id != client.get_collection("shared_name", embedding_function=None).id
    # a collection is reached through its own database only
    assert requests.get(f"{base(server)}/collections/{theirs.id}/count", timeout=30).status_code == 404

    admin.delete_database("first", "tenant_a")
    with pytest.raises(NotFoundError):
        admin.get_database("first", "tenant_a")
    assert [d["name"] for d in admin.list_databases(tenant="tenant_a")] == ["second"]


# ---- collections ----


def test_collections(client):
    names = [f"col{i}" for i in range(5)]
    for name in names:
        client.create_collection(name, embedding_function=None)
    assert [c.name for c in client.list_collections()] == names
    assert [c.name for c in client.list_collections(limit=2, offset=1)] == names[1:3]
    assert client.count_collections() == 5
    with pytest.raises(ChromaError, match="already exists"):
        client.create_collection("col1", embedding_function=None)
    kept = client.get_or_create_collection("col1", metadata={"new": 1}, embedding_function=None)
    assert kept.metadata is None
    client.delete_collection("col1")
    with pytest.raises(NotFoundError, match="does not exist"):
        client.get_collection("col1", embedding_function=None)
    with pytest.raises(NotFoundError):
        client.delete_collection("col1")
    assert client.count_collections() == 4


def test_modify(client):
    collection = client.create_collection("before", metadata={"a": 1, "b": 2}, embedding_function=None)
    client.create_collection("taken", embedding_function=None)
    collection.modify(name="after", metadata={"c": 3})
    again = client.get_collection("after", embedding_function=None)
    assert again.id == collection.id and again.metadata == {"c": 3}
    with pytest.raises(ChromaError, match="already exists"):
        collection.modify(name="taken")
    collection.modify(configuration={"hnsw": {"ef_search": 77}})
    again = client.get_collection("after", embedding_function=None)
    assert again.configuration["hnsw"]["ef_search"] == 77 and again.metadata == {"c": 3}


@pytest.mark.parametrize("metadata", [{}, {"hnsw:zz": 1}, {"hnsw:space": "zz"}, {"a": None}])
def test_refused_collection_metadata(server, client, metadata):
    answer = requests.post(f"{base(server)}/collections", json={"name": "refused", "metadata": metadata}, timeout=30)
    assert answer.status_code in (400, 422) and answer.json()["message"]
    assert client.count_collections() == 0


def test_legacy_space_and_configuration(client):
    by_metadata = client.create_collection("by_metadata", metadata={"hnsw:space": "ip", "hnsw:M": 5}, embedding_function=None)
    hnsw = client.get_collection("by_metadata", embedding_function=None).configuration["hnsw"]
    assert hnsw["space"] == "ip" and hnsw["max_neighbors"] == 5 and by_metadata.metadata["hnsw:space"] == "ip"


def test_survives_restart(tmp_path):
    with Server(data_dir=tmp_path / "data") as server:
        client = chromadb.HttpClient("127.0.0.1", server.chroma_port)
        filled(client, space="cosine", metadata={"k": [1, 2]})
        server.stop()
        server.start()
        collection = client.get_collection("docs", embedding_function=None)
        assert collection.metadata == {"k": [1, 2]} and collection.count() == 4
        assert collection.configuration["hnsw"]["space"] == "cosine"
        got = collection.get(ids=["b"], include=["embeddings", "documents", "metadatas"])
        assert np.allclose(got["embeddings"], [[0, 2, 0]]) and got["documents"] == ["beta two"]


# ---- writes ----


def test_add_keeps_the_first(client):
    collection = client.create_collection("docs", embedding_function=None)
    collection.add(ids=["a"], embeddings=[[1, 2]], documents=["first"])
    collection.add(ids=["a", "b"], embeddings=[[3, 4], [5, 6]], documents=["second", "b"])
    got = collection.get(include=["embeddings", "documents"])
    assert got["ids"] == ["a", "b"] and got["documents"] == ["first", "b"]
    assert np.allclose(got["embeddings"], [[1, 2], [5, 6]])


def test_upsert_merges(client):
    collection = filled(client)
    collection.upsert(ids=["a", "e"], embeddings=[[9, 9, 9], [8, 8, 8]], metadatas=[{"n": 7, "new": "v"}, {"e": 1}])
    got = collection.get(ids=["a", "e"], include=["embeddings", "documents", "metadatas", "uris"])
    assert got["metadatas"] == [{"n": 7, "s": "x", "t": True, "new": "v"}, {"e": 1}]
    assert got["documents"] == ["alpha one", None] and got["uris"] == ["u1", None]
    assert np.allclose(got["embeddings"], [[9, 9, 9], [8, 8, 8]])


def test_update(server, client):
    collection = filled(client)
    collection.update(ids=["a", "nope"], metadatas=[{"n": None, "m": 2}, {"x": 1}])
    collection.update(ids=["b"], documents=["changed"], embeddings=[[7, 7, 7]])
    got = collection.get(include=["embeddings", "documents", "metadatas"])
    assert got["ids"] == ["a", "b", "c", "d"]
    assert got["metadatas"][0] == {"s": "x", "t": True, "m": 2}
    assert got["documents"][:2] == ["alpha one", "changed"]
    assert np.allclose(got["embeddings"][:2], [[1, 0, 0], [7, 7, 7]])
    body = {"ids": ["a", "b"], "embeddings": [None, [1, 1, 1]]}
    assert requests.post(f"{base(server)}/collections/{collection.id}/update", json=body, timeout=30).status_code == 200
    assert np.allclose(collection.get(include=["embeddings"])["embeddings"][:2], [[1, 0, 0], [1, 1, 1]])


def test_delete(server, client):
    collection = filled(client)
    assert collection.delete(ids=["a", "nope"])["deleted"] == 2
    assert collection.delete(where={"n": {"$gt": 2}})["deleted"] == 2
    assert collection.get()["ids"] == ["c"]
    assert collection.delete(where_document={"$not_contains": "zz"})["deleted"] == 1
    assert collection.count() == 0
    collection = filled(client, "more")
    url = f"{base(server)}/collections/{collection.id}/delete"
    assert requests.post(url, json={"where": {"n": {"$gte": 0}}, "limit": 1}, timeout=30).json() == {"deleted": 1}
    assert collection.get()["ids"] == ["b", "c", "d"]
    both = {"ids": ["b", "c"], "where": {"n": {"$gte": 0}}}
    assert requests.post(url, json=both, timeout=30).json() == {"deleted": 1}
    assert collection.get()["ids"] == ["c", "d"]


def test_added_again_goes_last(client):
    collection = filled(client)
    collection.delete(ids=["a"])
    collection.add(ids=["a"], embeddings=[[0, 0, 1]])
    collection.update(ids=["b"], metadatas=[{"x": 1}])
    collection.update(ids=["c"], embeddings=[[5, 5, 5]])
    assert collection.get()["ids"] == ["b", "c", "d", "a"]


@pytest.mark.parametrize("body, status, text", [
    ({"ids": ["x"], "embeddings": [[1, 2]]}, 400, "dimension of 3, got 2"),
    ({"ids": ["x", "y"], "embeddings": [[1, 2, 3], [1, 2]]}, 400, "Inconsistent dimensions"),
    ({"ids": ["x", "y"], "embeddings": [[1, 2, 3]]}, 400, "Inconsistent number"),
    ({"ids": ["x"], "embeddings": [[1, 2, 3]], "documents": ["a", "b"]}, 400, "Inconsistent number"),
    ({"ids": ["x"], "embeddings": [[]]}, 400, "at least 1 dimension"),
    ({"ids": ["x"], "embeddings": [[1e39, 0, 0]]}, 400, "NaN or Infinity"),
    ({"ids": ["x"], "embeddings": ["AACAfwAAAAAAAAAA"]}, 400, "NaN or Infinity"),
    ({"ids": ["x"], "embeddings": ["AACAPwA="]}, 400, "base64"),
    ({"ids": ["x"], "embeddings": ["####"]}, 400, "Invalid base64 string: Invalid symbol 35, offset 0."),
    ({"ids": ["x", "y"], "embeddings": [[1, 2, 3], "AACAPwAAgD8AAAAA"]}, 422, "embeddings"),
    ({"ids": ["x"], "embeddings": [[1, "2", 3]]}, 422, "embeddings"),
    ({"ids": ["x"], "embeddings": [None]}, 422, "embeddings"),
    ({"ids": [""], "embeddings": [[1, 2, 3]]}, 400, "Empty ID"),
    ({"ids": ["i" * 65536], "embeddings": [[1, 2, 3]]}, 400, "ID"),
    ({"ids": "x", "embeddings": [[1, 2, 3]]}, 422, "ids"),
    ({"ids": ["x"], "embeddings": [[1, 2, 3]], "metadatas": [{"$a": 1}]}, 400, "Invalid metadata at index 0"),
    ({"ids": ["x"], "embeddings": [[1, 2, 3]], "metadatas": [{"": 1}]}, 400, "Invalid metadata at index 0"),
    ({"ids": ["x"], "embeddings": [[1, 2, 3]], "metadatas": [{"chroma:document": "a"}]}, 400, "Invalid metadata"),
    ({"ids": ["x"], "embeddings": [[1, 2, 3]], "metadatas": [{"a": [1, "b"]}]}, 422, "metadatas[0].a"),
    ({"ids": ["x"], "embeddings": [[1, 2, 3]], "metadatas": [{"a": [[1]]}]}, 422, "metadatas[0].a"),
    ([1], 422, "expected"),
])
def test_refused_writes_leave_nothing(server, client, body, status, text):
    collection = filled(client)
    answer = requests.post(f"{base(server)}/collections/{collection.id}/add", json=body, timeout=30)
    assert answer.status_code == status and text in answer.json()["message"]
    assert answer.json()["error"] == ("InvalidArgumentError" if status == 400 else "ChromaError")
    assert collection.count() == 4


def test_metadata_values_come_back(server, client):
    metadata = {"i": 2**62, "neg": -5, "f": 2.0, "b": False, "s": "text \u00e9\u4e16", "empty": "", "ints": [1, 2],
                "mixed": [1, 2.5], "strings": ["a"], "bools": [True, False]}
    collection = client.create_collection("docs", embedding_function=None)
    body = {"ids": ["a"], "embeddings": [[1.0]], "metadatas": [metadata]}
    assert requests.post(f"{base(server)}/collections/{collection.id}/add", json=body, timeout=30).status_code == 201
    got = collection.get()["metadatas"][0]
    assert got == {**metadata, "mixed": [1.0, 2.5]}
    assert isinstance(got["f"], float) and isinstance(got["i"], int) and isinstance(got["mixed"][0], float)


def test_records_without_metadata(client):
    collection = client.create_collection("docs", embedding_function=None)
    collection.add(ids=["none", "document", "uri"], embeddings=[[1], [2], [3]], documents=[None, "d", "d"],
                   uris=[None, None, "u"])
    assert collection.get()["metadatas"] == [None, None, {}]


def test_empty_list_is_dropped(server, client):
    collection = client.create_collection("docs", embedding_function=None)
    body = {"ids": ["a"], "embeddings": [[1.0]], "metadatas": [{"none": [], "one": 1}]}
    assert requests.post(f"{base(server)}/collections/{collection.id}/add", json=body, timeout=30).status_code == 201
    assert collection.get()["metadatas"] == [{"one": 1}]


def test_ids_of_all_kinds(client):
    ids = ["1", "18446744073709551615", "007", str(uuid.uuid4()), str(uuid.uuid4()).upper(), "a/b c", "\u4e16", "-1", "1.0"]
    collection = client.create_collection("docs", embedding_function=None)
    collection.add(ids=ids, embeddings=[[float(i)] for i in range(len(ids))])
    assert collection.get()["ids"] == ids
    assert collection.query(query_embeddings=[[2.0]], n_results=1)["ids"] == [["007"]]
    collection.delete(ids=["1", "\u4e16"])
    assert collection.get()["ids"] == [i for i in ids if i not in ("1", "\u4e16")]


# ---- reads ----


@pytest.mark.parametrize("where, wanted", [
    ({"n": 1}, "a"), ({"n": {"$eq": 1.0}}, "a"), ({"n": {"$ne": 1}}, "bcd"), ({"n": {"$gt": 1}}, "bd"),
    ({"n": {"$gte": 2.5}}, "bd"), ({"n": {"$lt": 2.5}}, "a"), ({"n": {"$lte": 2.5}}, "ab"), ({"n": {"$in": [1, 3]}}, "ad"),
    ({"n": {"$nin": [1, 3]}}, "bc"), ({"s": {"$in": ["x"]}}, "a"), ({"t": True}, "a"), ({"t": {"$ne": True}}, "bcd"),
    ({"$and": [{"n": {"$gt": 0}}, {"s": "y"}]}, "b"), ({"$or": [{"s": "y"}, {"n": 3}]}, "bd"),
    ({"tags": {"$contains": "p"}}, "d"), ({"tags": {"$not_contains": "p"}}, "abc"), ({"missing": "x"}, ""),
])
def test_where(client, where, wanted):
    collection = filled(client)
    assert "".join(collection.get(where=where)["ids"]) == wanted
    found = collection.query(query_embeddings=[[1, 0, 0]], n_results=10, where=where)["ids"][0]
    assert "".join(sorted(found)) == wanted


@pytest.mark.parametrize("clause, wanted", [
    ({"$contains": "two"}, "bd"), ({"$not_contains": "two"}, "ac"), ({"$regex": "^[ab].*o"}, "ab"),
    ({"$not_regex": "two$"}, "ac"), ({"$and": [{"$contains": "two"}, {"$contains": "delta"}]}, "d"),
    ({"$or": [{"$contains": "alpha"}, {"$regex": "(?i)BETA"}]}, "ab"),
])
def test_where_document(client, clause, wanted):
    assert "".join(filled(client).get(where_document=clause)["ids"]) == wanted


def test_get(server, client):
    collection = filled(client)
    url = f"{base(server)}/collections/{collection.id}/get"
    assert requests.post(url, json={"ids": ["d", "a", "nope", "a"]}, timeout=30).json()["ids"] == ["a", "d"]
    assert collection.get(ids=["d", "a"], where={"n": 3})["ids"] == ["d"]
    assert collection.get(limit=2, offset=1)["ids"] == ["b", "c"]
    assert collection.get(limit=0)["ids"] == []
    assert collection.get(offset=10)["ids"] == []
    assert collection.get(where={"n": {"$gte": 0}}, limit=1, offset=1)["ids"] == ["b"]
    got = collection.get(include=[])
    assert got["ids"] == ["a", "b", "c", "d"] and got["documents"] is None and got["embeddings"] is None
    assert collection.get(include=["metadatas"])["metadatas"][2] is None
    assert len(collection.peek(2)["ids"]) == 2
    assert collection.count() == 4


@pytest.mark.parametrize("space", ["l2", "cosine", "ip"])
def test_query_distances(client, space):
    collection = client.create_collection("docs", embedding_function=None, configuration={"hnsw": {"space": space}})
    random = np.random.default_rng(7)
    vectors = random.normal(size=(200, 16)).astype(np.float32) * random.uniform(0.1, 9, size=(200, 1)).astype(np.float32)
    collection.add(ids=[str(i) for i in range(200)], embeddings=vectors)
    queries = random.normal(size=(3, 16)).astype(np.float32)
    got = collection.query(query_embeddings=queries, n_results=10, include=["distances", "embeddings"])
    for q, query in enumerate(queries.astype(np.float64)):
        v = vectors.astype(np.float64)
        distances = {"l2": ((v - query) ** 2).sum(1), "ip": 1 - v @ query,
                     "cosine": 1 - v @ query / np.linalg.norm(v, axis=1) / np.linalg.norm(query)}[space]
        order = np.argsort(distances)[:10]
        assert got["ids"][q] == [str(i) for i in order]
        assert np.allclose(got["distances"][q], distances[order], rtol=1e-4, atol=1e-5)
        assert np.allclose(got["embeddings"][q], vectors[order], rtol=1e-5)  # as they were given


def test_cosine_of_the_zero_vector(client):
    collection = client.create_collection("docs", embedding_function=None, configuration={"hnsw": {"space": "cosine"}})
    collection.add(ids=["z", "tiny", "one"], embeddings=[[0, 0], [1e-30, 0], [1, 0]])
    got = collection.query(query_embeddings=[[1, 0]], n_results=3)
    assert dict(zip(got["ids"][0], got["distances"][0]))["z"] == 1.0
    assert np.allclose(collection.get(include=["embeddings"])["embeddings"], [[0, 0], [1e-30, 0], [1, 0]], atol=0, rtol=1e-6)


def test_query(server, client):
    collection = filled(client)
    got = collection.query(query_embeddings=[[1, 0, 0], [0, 2, 0]], n_results=2)
    assert got["ids"] == [["a", "d"], ["b", "d"]] and got["documents"][0] == ["alpha one", "delta two"]
    assert got["embeddings"] is None and got["uris"] is None
    assert len(collection.query(query_embeddings=[[1, 0, 0]], n_results=100)["ids"][0]) == 4
    assert collection.query(query_embeddings=[[1, 0, 0]], ids=["b", "c"], n_results=5)["ids"] == [["b", "c"]]
    with pytest.raises(InternalError, match="Error finding id"):
        collection.query(query_embeddings=[[1, 0, 0]], ids=["b", "deleted"])
    with pytest.raises(InvalidArgumentError, match="dimension"):
        collection.query(query_embeddings=[[1, 0]])
    url = f"{base(server)}/collections/{collection.id}/query"
    none = requests.post(url, json={"query_embeddings": [[1, 0, 0]], "n_results": 0, "where": {"n": 1}}, timeout=30)
    assert none.status_code == 200 and none.json()["ids"] == [[]]
    empty = client.create_collection("empty", embedding_function=None)
    assert empty.query(query_embeddings=[[1, 2], [3, 4]])["ids"] == [[], []]
    assert empty.get()["ids"] == [] and empty.count() == 0


def test_dimension_is_told(server, client):
    collection = client.create_collection("docs", embedding_function=None)
    url = f"{base(server)}/collections/docs"
    assert requests.get(url, timeout=30).json()["dimension"] is None
    collection.add(ids=["a"], embeddings=[[1, 2, 3, 4]])
    assert requests.get(url, timeout=30).json()["dimension"] == 4


def test_metadata_keys_join_the_schema(server, client):
    collection = client.create_collection("docs", embedding_function=None)
    collection.add(ids=["a"], embeddings=[[1]], metadatas=[{"k": 1}])
    collection.add(ids=["b"], embeddings=[[1]], metadatas=[{"k": "text", "l": [1.5]}])
    keys = requests.get(f"{base(server)}/collections/docs", timeout=30).json()["schema"]["keys"]
    assert set(keys) == {"#document", "#embedding", "k", "l"}
    assert set(keys["k"]) == {"int", "string"} and set(keys["l"]) == {"float"}


def test_indexing_status(client):
    status = filled(client).get_indexing_status()
    assert status.op_indexing_progress == 1.0 and status.num_unindexed_ops == 0 and status.total_ops == 4


def test_sparse_values_are_kept(server, client):
    collection = client.create_collection("docs", embedding_function=None)
    body = {"ids": ["a"], "embeddings": [[1.0]], "metadatas": [{"v": {"indices": [1, 5], "values": [0.5, 2]}}]}
    url = f"{base(server)}/collections/{collection.id}"
    assert requests.post(url + "/add", json=body, timeout=30).status_code == 201
    got = requests.post(url + "/get", json={}, timeout=30).json()["metadatas"][0]
    assert got == {"v": {"#type": "sparse_vector", "indices": [1, 5], "values": [0.5, 2.0]}}
    body["metadatas"][0]["v"]["indices"] = [5, 1]
    assert requests.post(url + "/upsert", json=body, timeout=30).status_code == 422


def test_base64_equals_numbers(server, client):
    collection = client.create_collection("docs", embedding_function=None)
    vector = [0.1, -2.5, 3e-8]
    text = base64.b64encode(struct.pack("<3f", *vector)).decode()
    url = f"{base(server)}/collections/{collection.id}/add"
    assert requests.post(url, json={"ids": ["t"], "embeddings": [text]}, timeout=30).status_code == 201
    assert requests.post(url, json={"ids": ["n"], "embeddings": [vector]}, timeout=30).status_code == 201
    text, numbers = collection.get(include=["embeddings"])["embeddings"]
    assert text.tolist() == numbers.tolist()


def test_first_writes_at_once(server, client):
    """Of many first writes one fixes the dimension; the others fit it or are refused."""
    collection = client.create_collection("docs", embedding_function=None)
    url = f"{base(server)}/collections/{collection.id}/add"

    def write(i):
        vector = [float(i)] * (2 + i % 2)
        body = {"ids": [str(i)], "embeddings": [vector], "metadatas": [{f"key{i}": i}]}
        return len(vector), requests.post(url, json=body, timeout=60)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(write, range(40)))
    dimension = requests.get(f"{base(server)}/collections/docs", timeout=30).json()["dimension"]
    for length, answer in answers:
        assert answer.status_code == (201 if length == dimension else 400), answer.text
        assert answer.status_code == 201 or "dimension" in answer.json()["message"]
    assert collection.count() == 20
    keys = requests.get(f"{base(server)}/collections/docs", timeout=30).json()["schema"]["keys"]
    assert sum(k.startswith("key") for k in keys) == 20


# ---- HTTP ----


def test_hostile_bodies(server, client):
    url = f"{base(server)}/collections/{filled(client).id}/get"
    deep = '{"where":' + '{"$and":[' * 5000 + "{}" + "]}" * 5000 + "}"
    assert requests.post(url, data=deep, timeout=30).status_code == 400
    near = '{"where":' + '{"$and":[' * 55 + '{"n":1}' + "]}" * 55 + "}"
    assert requests.post(url, data=near, timeout=30).status_code in (200, 400)
    assert requests.post(url, data=b'{"ids":["\xff"]}', timeout=30).status_code == 400
    assert requests.post(url, data='{"limit":1,"limit":2}', timeout=30).status_code == 422
    assert requests.post(url, json={"limit": 2**32}, timeout=30).status_code == 422
    assert requests.post(url, json={"limit": 2**32 - 1, "offset": 2**32 - 1}, timeout=30).json()["ids"] == []
    assert requests.get(f"{base(server)}/collections?limit=-1", timeout=30).status_code == 400
    assert requests.post(url, data="", timeout=30).status_code == 400


def test_body_limit():
    with Server(env={"CHROMA_MAX_PAYLOAD_SIZE_BYTES": "100000"}) as server:
        answer = requests.post(f"{base(server)}/collections", data='{"name":"' + "x" * 200000 + '"}', timeout=30)
    assert answer.status_code == 413 and json.loads(answer.text)["error"] == "ChromaError"


def test_keys():
    with Server(env={"QDRANT__SERVICE__API_KEY": "secret", "QDRANT__SERVICE__READ_ONLY_API_KEY": "reader"}) as server:
        url = base(server) + "/collections"
        assert requests.get(url, timeout=30).status_code == 401
        assert requests.get(url, headers={"X-Chroma-Token": "secret"}, timeout=30).status_code == 200
        assert requests.get(url, headers={"Authorization": "Bearer reader"}, timeout=30).status_code == 200
        refused = requests.post(url, json={"name": "docs"}, headers={"Authorization": "Bearer reader"}, timeout=30)
        assert refused.status_code == 403
        assert requests.get(f"http://127.0.0.1:{server.chroma_port}/api/v2/heartbeat", timeout=30).status_code == 200
