"""The native dialect, and one collection seen through all the dialects."""
import chromadb
import numpy as np
import pytest
import requests

from test.lib.server import Server


@pytest.fixture(scope="module")
def server():
    with Server() as running:
        yield running


@pytest.fixture
def url(server):
    url = f"http://127.0.0.1:{server.native_port}/vexfs/v1"
    for collection in requests.get(url + "/collections", timeout=30).json()["collections"]:
        assert requests.delete(f"{url}/collections/{collection['name']}", timeout=30).status_code == 200
    return url


def made(url, name="docs", **more):
    answer = requests.post(url + "/collections", json={"name": name, **more}, timeout=30)
    assert answer.status_code == 201, answer.text
    documents = [{"id": "a", "vector": [1, 0], "metadata": {"n": 1}, "text": "alpha"},
                 {"id": 7, "vector": [0, 2], "metadata": {"n": 2, "tags": ["x"]}},
                 {"id": "c", "vector": [3, 3]}]
    answer = requests.post(f"{url}/collections/{name}/documents", json={"documents": documents}, timeout=30)
    assert answer.status_code == 200 and answer.json() == {"upserted": 3}
    return f"{url}/collections/{name}"


def test_health_and_metrics(server, url):
    for path in (url + "/health", f"http://127.0.0.1:{server.native_port}/health"):
        health = requests.get(path, timeout=30).json()
        assert health["status"] == "ok" and health["device"] and health["version"] and health["collections"] == 0
        assert health["uptime_seconds"] >= 0
    metrics = requests.get(f"http://127.0.0.1:{server.native_port}/metrics", timeout=30)
    assert metrics.headers["content-type"].startswith("text/plain") and "vexfs_wal_records_total" in metrics.text


def test_collections(url):
    made(url, "first", dimension=2, distance="l2")
    made(url, "second")
    listed = requests.get(url + "/collections", timeout=30).json()["collections"]
    assert [(c["name"], c["dimension"], c["distance"], c["documents"]) for c in listed] == \
        [("first", 2, "l2", 3), ("second", 2, "cosine", 3)]
    assert requests.get(url + "/collections/first", timeout=30).json() == listed[0]
    again = requests.post(url + "/collections", json={"name": "first"}, timeout=30)
    assert again.status_code == 409 and "already exists" in again.json()["message"]
    assert requests.delete(url + "/collections/first", timeout=30).json() == {"deleted": 1}
    for method in (requests.get, requests.delete):
        assert method(url + "/collections/first", timeout=30).status_code == 404


def test_documents(url):
    docs = made(url)
    assert requests.get(docs + "/documents/a", timeout=30).json() == \
        {"id": "a", "metadata": {"n": 1}, "text": "alpha", "vector": [1.0, 0.0]}
    got = requests.get(docs + "/documents/7", timeout=30).json()
    assert got["id"] == "7" and got["text"] is None and np.allclose(got["vector"], [0, 2])
    # a document is replaced as a whole
    body = {"documents": [{"id": "a", "vector": [5, 0]}]}
    assert requests.post(docs + "/documents", json=body, timeout=30).status_code == 200
    got = requests.get(docs + "/documents/a", timeout=30).json()
    assert got["metadata"] is None and got["text"] is None and np.allclose(got["vector"], [5, 0])
    assert requests.delete(docs + "/documents/a", timeout=30).json() == {"deleted": 1}
    assert requests.delete(docs + "/documents/a", timeout=30).json() == {"deleted": 0}
    assert requests.get(docs + "/documents/a", timeout=30).status_code == 404


@pytest.mark.parametrize("distance, scores", [
    ("cosine", {"a": 1.0, "c": 0.5**0.5, "7": 0.0}),
    ("dot", {"c": 3.0, "a": 1.0, "7": 0.0}),
    ("l2", {"a": 1.0, "7": -4.0, "c": -12.0}),
])
def test_search(url, distance, scores):
    docs = made(url, distance=distance)
    results = requests.post(docs + "/search", json={"vector": [1, 0]}, timeout=30).json()["results"]
    assert [r["id"] for r in results] == list(scores)
    assert np.allclose([r["score"] for r in results], list(scores.values()), atol=1e-5)
    assert "vector" not in results[0] and "text" in results[0]
    body = {"vector": [1, 0], "filters": {"n": {"$gte": 2}}, "include": ["vector"], "limit": 5}
    results = requests.post(docs + "/search", json=body, timeout=30).json()["results"]
    assert [r["id"] for r in results] == ["7"] and np.allclose(results[0]["vector"], [0, 2])
    assert "metadata" not in results[0]
    assert requests.post(docs + "/search", json={"vector": [1, 0], "limit": 0}, timeout=30).json() == {"results": []}


@pytest.mark.parametrize("path, body, status", [
    ("/search", {"vector": [1, 2, 3]}, 400), ("/search", {"vector": []}, 422), ("/search", {}, 422),
    ("/search", {"vector": [1e99, 0]}, 422), ("/search", {"vector": [1, 0], "filters": {}}, 400),
    ("/search", {"vector": [1, 0], "include": ["zz"]}, 422), ("/search", {"vector": [1, 0], "limit": -1}, 422),
    ("/documents", {"documents": [{"id": "x"}]}, 422), ("/documents", {"documents": [{"id": "", "vector": [1, 2]}]}, 400),
    ("/documents", {"documents": [{"id": "x", "vector": [1]}]}, 400), ("/documents", {"documents": {}}, 422),
    ("/documents", {"documents": [{"id": -1, "vector": [1, 2]}]}, 422),
])
def test_refusals(url, path, body, status):
    docs = made(url)
    answer = requests.post(docs + path, json=body, timeout=30)
    assert answer.status_code == status and answer.json()["message"]
    assert requests.get(docs, timeout=30).json()["documents"] == 3


def test_all_dialects_see_one_collection(server, url):
    docs = made(url, distance="l2")
    client = chromadb.HttpClient("127.0.0.1", server.chroma_port)
    collection = client.get_collection("docs", embedding_function=None)
    assert collection.get()["ids"] == ["a", "7", "c"]
    assert collection.get(ids=["a"])["documents"] == ["alpha"]
    got = collection.query(query_embeddings=[[1, 0]], n_results=1)
    assert got["ids"] == [["a"]] and got["distances"] == [[0.0]]
    collection.upsert(ids=["8"], embeddings=[[1, 1]], metadatas=[{"from": "chroma"}])
    assert requests.get(docs + "/documents/8", timeout=30).json()["metadata"] == {"from": "chroma"}
    point = requests.get(f"{server.url}/collections/docs/points/8", timeout=30).json()["result"]
    assert point["id"] == 8 and point["payload"] == {"from": "chroma"} and point["vector"] == [1.0, 1.0]
    body = {"points": [{"id": 9, "vector": [2, 2], "payload": {"k": "v", "nested": {"x": 1}, "nothing": None}}]}
    assert requests.put(f"{server.url}/collections/docs/points?wait=true", json=body, timeout=30).status_code == 200
    got = collection.get(ids=["9"], include=["metadatas", "embeddings"])
    assert got["metadatas"] == [{"k": "v"}] and np.allclose(got["embeddings"], [[2, 2]])
    assert collection.count() == 5


def test_collections_made_by_qdrant_through_chroma(server, url):
    client = chromadb.HttpClient("127.0.0.1", server.chroma_port)
    for name, vectors in {"manhattan": {"size": 2, "distance": "Manhattan"}, "dots": {"size": 2, "distance": "Dot"},
                          "named": {"image": {"size": 2, "distance": "Cosine"}}}.items():
        answer = requests.put(f"{server.url}/collections/{name}", json={"vectors": vectors}, timeout=30)
        assert answer.status_code == 200, answer.text
    dots = client.get_collection("dots", embedding_function=None)
    assert dots.configuration["hnsw"]["space"] == "ip" and dots.metadata is None
    dots.add(ids=["a"], embeddings=[[3, 4]])
    assert dots.query(query_embeddings=[[1, 0]])["distances"] == [[-2.0]]
    manhattan = client.get_collection("manhattan", embedding_function=None)
    manhattan.add(ids=["a"], embeddings=[[3, 4]])
    assert manhattan.get(include=["embeddings"])["embeddings"].tolist() == [[3, 4]]
    with pytest.raises(Exception, match="Manhattan"):
        manhattan.query(query_embeddings=[[1, 0]])
    named = client.get_collection("named", embedding_function=None)
    for refused in (lambda: named.add(ids=["a"], embeddings=[[3, 4]]), lambda: named.query(query_embeddings=[[1, 0]])):
        with pytest.raises(Exception, match="default"):
            refused()
    assert named.get()["ids"] == []
    for name in ("manhattan", "dots", "named"):
        requests.delete(f"{server.url}/collections/{name}", timeout=30)
