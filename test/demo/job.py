"""A real job through real clients: upload, search, extend from the other dialect, crash, restart, count.

Used by `make demo` (5,000 texts) and by the tests (fewer). Raises AssertionError when anything acknowledged is missing.
"""
import threading
import time
import warnings

import chromadb
import numpy as np
from qdrant_client import QdrantClient, models

# Without it channels of one process share connections, and with them the back-off after a crash.
OWN_CONNECTION = {"grpc.use_local_subchannel_pool": 1}
warnings.filterwarnings("ignore", message=".*primary_user_agent")
COLLECTION = "debian"


def connect(server):
    return QdrantClient(
        host="127.0.0.1", port=server.http_port, grpc_port=server.grpc_port, prefer_grpc=True, timeout=60, check_compatibility=False,
        grpc_options=OWN_CONNECTION
    )


def points(payloads, vectors, first, last):
    return [models.PointStruct(id=i, vector=vectors[i].tolist(), payload=payloads[i]) for i in range(first, last)]


def upload_until_killed(server, payloads, vectors, acknowledged, batch):
    """Uploads on one thread while another kills the server in the middle; returns ids that were acknowledged."""
    client = connect(server)
    half = threading.Event()

    def kill_in_the_middle():
        half.wait()
        server.kill()

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    try:
        for first in range(0, len(payloads), batch):
            last = min(first + batch, len(payloads))
            if first >= len(payloads) // 2:
                half.set()
            client.upsert(COLLECTION, points(payloads, vectors, first, last), wait=True)
            acknowledged.update(range(first, last))
    except Exception:  # the client's own error types differ by transport; the journal is what counts
        pass
    finally:
        half.set()
        killer.join()
    assert len(acknowledged) < len(payloads), "the server was to be killed before the upload ended"


def check_search(client, payloads, vectors, say):
    """Exact neighbours under a filter, against numpy."""
    sections = sorted({p["section"] for p in payloads})
    wrong = 0
    for section in sections[:5]:
        members = [i for i, p in enumerate(payloads) if p["section"] == section]
        query = vectors[members[0]]
        answer = client.query_points(
            COLLECTION,
            query=query.tolist(),
            query_filter=models.Filter(must=[models.FieldCondition(key="section", match=models.MatchValue(value=section))]),
            limit=5,
            with_payload=True,
        ).points
        truth = sorted(members, key=lambda i: -float(vectors[i] @ query))[:5]
        scores = [float(vectors[i] @ query) for i in truth]
        wrong += sum(abs(a.score - s) > 1e-4 for a, s in zip(answer, scores)) + abs(len(answer) - len(truth))
        assert all(a.payload["section"] == section for a in answer)
        say(f"  {section:12} nearest to {payloads[members[0]]['package']}: " + ", ".join(a.payload["package"] for a in answer[1:4]))
    assert wrong == 0, f"{wrong} neighbours differ from the exact answer"


def extend_from_chroma(server, payloads, vectors, say):
    """The same collection through the Chroma client: read, query, add."""
    chroma = chromadb.HttpClient(host="127.0.0.1", port=server.chroma_port)
    collection = chroma.get_collection(COLLECTION)
    count = collection.count()
    assert count == len(payloads), f"Chroma counts {count} records, Qdrant wrote {len(payloads)} points"
    got = collection.get(ids=["0"], include=["metadatas"])
    assert got["metadatas"][0]["package"] == payloads[0]["package"]
    answer = collection.query(query_embeddings=[vectors[7].tolist()], n_results=3, where={"section": payloads[7]["section"]})
    assert answer["ids"][0][0] == "7", answer["ids"]
    collection.add(
        ids=["note-1", "note-2"],
        embeddings=[vectors[1].tolist(), vectors[2].tolist()],
        documents=["added through the other dialect", "so is this"],
        metadatas=[{"section": "notes", "size": 1}, {"section": "notes", "size": 2}],
    )
    assert collection.count() == len(payloads) + 2
    say(f"  Chroma read {count} records, queried them and added two of its own")


def run(server, payloads, vectors, say=print, batch=100):
    vectors = np.asarray(vectors, np.float32)
    client = connect(server)
    client.create_collection(COLLECTION, vectors_config=models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE))
    acknowledged = set()
    say(f"uploading {len(payloads)} points over gRPC; the server is killed with -9 in the middle")
    upload_until_killed(server, payloads, vectors, acknowledged, batch)
    started = time.monotonic()
    server.start()
    client = connect(server)
    found = {p.id for p in client.retrieve(COLLECTION, ids=sorted(acknowledged), with_payload=False)}
    missing = acknowledged - found
    assert not missing, f"{len(missing)} acknowledged points are missing: {sorted(missing)[:10]}"
    total = client.count(COLLECTION).count
    assert total in range(len(acknowledged), len(acknowledged) + batch + 1)
    say(f"  restarted in {time.monotonic() - started:.2f} s: all {len(acknowledged)} acknowledged points are there ({total} in all)")
    for first in range(0, len(payloads), batch):
        client.upsert(COLLECTION, points(payloads, vectors, first, min(first + batch, len(payloads))), wait=True)
    assert client.count(COLLECTION).count == len(payloads)
    say("continued and counted; searching by section:")
    check_search(client, payloads, vectors, say)
    client.set_payload(COLLECTION, payload={"seen": True}, points=[1, 2, 3])
    assert client.count(COLLECTION, count_filter=models.Filter(must=[models.FieldCondition(key="seen", match=models.MatchValue(value=True))])).count == 3
    extend_from_chroma(server, payloads, vectors, say)
    assert client.count(COLLECTION).count == len(payloads) + 2
    server.stop()
    server.start()
    assert connect(server).count(COLLECTION).count == len(payloads) + 2
    say("stopped, started again: nothing is missing")
