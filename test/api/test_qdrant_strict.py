"""Strict mode: what it forbids, in the peer's words, over REST and gRPC alike; and the tokens of its rate limits."""
import json
import urllib.error
import urllib.request
import uuid

import grpc as grpclib
import pytest
from qdrant_client import grpc as grpc_models
from qdrant_client import models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import UnexpectedResponse

from test.api.conftest import connect
from test.lib.server import Server

POINTS = 10


@pytest.fixture
def name(client):
    made = f"strict-{uuid.uuid4().hex[:12]}"
    client.create_collection(
        made,
        vectors_config={"": models.VectorParams(size=2, distance=models.Distance.DOT), "m": models.VectorParams(
            size=2, distance=models.Distance.DOT, multivector_config=models.MultiVectorConfig(comparator="max_sim"))},
        sparse_vectors_config={"s": models.SparseVectorParams()},
    )
    client.upsert(made, [point(i) for i in range(1, POINTS + 1)])
    yield made
    client.delete_collection(made)


def point(number, **vectors):
    return models.PointStruct(id=number, vector={"": [1.0, float(number)], **vectors}, payload={"city": f"c{number % 3}", "n": number})


def limit(client, name, **limits):
    client.update_collection(name, strict_mode_config=models.StrictModeConfig(enabled=True, **limits))


def fault(run):
    try:
        run()
    except (UnexpectedResponse, ResourceExhaustedResponse) as error:
        return json.loads(error.content)["status"]["error"] if isinstance(error, UnexpectedResponse) else str(error)
    except grpclib.RpcError as error:
        return error.details()
    raise AssertionError("no error")


def on(key, value):
    return models.Filter(must=[models.FieldCondition(key=key, match=models.MatchValue(value=value))])


def test_off_by_default_and_off_again(client, name):
    limit(client, name, max_query_limit=2)
    assert "Limit exceeded 3 > 2" in fault(lambda: client.query_points(name, query=[1.0, 0.0], limit=3))
    client.update_collection(name, strict_mode_config=models.StrictModeConfig(enabled=False))
    assert len(client.query_points(name, query=[1.0, 0.0], limit=3).points) == 3


def test_limits_of_all_reads(client, name):
    client.create_payload_index(name, "city", "keyword")
    limit(client, name, max_query_limit=15)
    text = 'Limit exceeded {} > 15 for "limit". Help: Reduce the "limit" parameter to or below 15.'
    assert text.format(16) in fault(lambda: client.scroll(name, limit=16))
    assert text.format(16) in fault(lambda: client.query_points(name, query=[1.0, 0.0], limit=16))
    assert text.format(16) in fault(lambda: client.facet(name, "city", limit=16))
    assert text.format(30) in fault(lambda: client.query_points_groups(name, "city", query=[1.0, 0.0], limit=10, group_size=3))
    assert text.format(20) in fault(lambda: client.search_matrix_pairs(name, sample=10, limit=2))
    assert len(client.query_points_groups(name, "city", query=[1.0, 0.0], limit=5, group_size=3).groups) == 3


def test_filters_need_indexes(client, name):
    limit(client, name, unindexed_filtering_retrieve=False, unindexed_filtering_update=False)
    text = 'Index required but not found for "city" of one of the following types: [keyword]. ' \
        'Help: Create an index for this key or use a different filter.'
    assert text in fault(lambda: client.count(name, count_filter=on("city", "c1")))
    assert text in fault(lambda: client.scroll(name, scroll_filter=on("city", "c1")))
    assert text in fault(lambda: client.delete(name, on("city", "c1")))
    assert text in fault(lambda: client.set_payload(name, {"x": 1}, on("city", "c1")))
    group = 'Index required but not found for "city". Help: Create an index supporting `match` for this key.'
    assert group in fault(lambda: client.query_points_groups(name, "city", query=[1.0, 0.0]))
    client.create_payload_index(name, "city", "keyword")
    assert client.count(name, count_filter=on("city", "c1")).count == 4
    client.set_payload(name, {"x": 1}, on("city", "c1"))
    assert client.query_points_groups(name, "city", query=[1.0, 0.0]).groups


def test_sizes_of_writes(client, name):
    limit(
        client, name, upsert_max_batchsize=2, max_points_count=12,
        multivector_config={"m": models.StrictModeMultivector(max_vectors=1)}, sparse_config={"s": models.StrictModeSparse(max_length=1)},
    )
    assert 'Limit exceeded 3 > 2 for "upsert limit"' in fault(lambda: client.upsert(name, [point(i) for i in range(3)]))
    vectors = [models.PointVectors(id=i, vector=[1.0, 1.0]) for i in range(1, 4)]
    assert 'Limit exceeded 3 > 2 for "update limit"' in fault(lambda: client.update_vectors(name, vectors))
    assert "Multivector 'm' has a limit of 1 vectors, but 2 were provided!" in fault(
        lambda: client.upsert(name, [point(1, m=[[1.0, 2.0], [3.0, 4.0]])]))
    sparse = models.SparseVector(indices=[1, 2], values=[1.0, 2.0])
    assert "Sparse vector 's' has a limit of 1 indices, but 2 were provided!" in fault(lambda: client.upsert(name, [point(1, s=sparse)]))
    client.upsert(name, [point(11), point(12)])
    assert "Max points count limit of 12 reached!" in fault(lambda: client.upsert(name, [point(13)]))
    assert client.count(name).count == 12


def test_size_of_payloads(client, name):
    """Counted in blocks of 128 bytes, with the versions that were overwritten."""
    limit(client, name, max_collection_payload_size_bytes=128 * (POINTS + 3) - 64)
    for _ in range(3):
        client.upsert(name, [point(1)], wait=True)
    text = "Max payload storage size limit of "
    assert text in fault(lambda: client.upsert(name, [point(1)]))
    assert text in fault(lambda: client.set_payload(name, {"more": 1}, points=[1]))
    client.delete(name, [2], wait=True)
    limit(client, name, max_collection_payload_size_bytes=128 * (POINTS + 4) - 64)
    client.upsert(name, [point(2)], wait=True)


def test_number_of_indexes(client, name):
    limit(client, name, max_payload_index_count=1)
    client.create_payload_index(name, "city", "keyword")
    assert "Collection already has the maximum number of payload indices (1). Help: Please delete an existing index before " \
        "creating a new one." in fault(lambda: client.create_payload_index(name, "n", "integer"))
    client.delete_payload_index(name, "city")
    client.create_payload_index(name, "n", "integer")


def test_rates(client, name):
    limit(client, name, read_rate_limit=4, write_rate_limit=3)
    assert "Read rate limit exceeded, request larger than rate limiter capacity, please try to split your request" in fault(
        lambda: client.retrieve(name, [1, 2, 3, 4, 5]))
    assert len(client.retrieve(name, [1, 2, 3, 4])) == 4
    assert "Read rate limit exceeded: Operation requires 4 tokens but only 0." in fault(lambda: client.retrieve(name, [1, 2, 3, 4]))
    client.upsert(name, [point(1), point(2), point(3)])
    assert "Write rate limit exceeded: Operation requires 3 tokens but only 0." in fault(
        lambda: client.upsert(name, [point(1), point(2), point(3)]))
    limit(client, name, read_rate_limit=4)  # new settings start with full buckets
    assert len(client.retrieve(name, [1, 2, 3, 4])) == 4


def raw_call(server, name, over):
    """A read of three points without the client's own retries: whether it was refused, and what it says about trying again."""
    if over == "rest":
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.http_port}/collections/{name}/points", json.dumps({"ids": [1, 2, 3]}).encode(), {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers.get("retry-after")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("retry-after")
    with grpclib.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        ids = [grpc_models.PointId(num=i) for i in (1, 2, 3)]
        try:
            _, call = grpc_models.PointsStub(channel).Get.with_call(grpc_models.GetPoints(collection_name=name, ids=ids), timeout=10)
            return 200, dict(call.trailing_metadata()).get("retry-after")
        except grpclib.RpcError as error:
            return error.code().name, dict(error.trailing_metadata()).get("retry-after")


def test_when_to_try_again(server, client, name):
    """A refused call says after how many seconds its tokens are there; one that is too large for the bucket says nothing."""
    for over, refused in (("rest", 429), ("grpc", "RESOURCE_EXHAUSTED")):
        limit(client, name, read_rate_limit=3)
        assert raw_call(server, name, over) == (200, None)
        code, wait = raw_call(server, name, over)
        assert code == refused and 1 <= int(wait) <= 60
        limit(client, name, read_rate_limit=2)
        assert raw_call(server, name, over) == (refused, None)


def test_by_configuration():
    """New collections begin with the configured settings; what a collection asks for goes over them."""
    section = "QDRANT__STORAGE__COLLECTION__STRICT_MODE__"
    env = {section + "ENABLED": "true", section + "MAX_QUERY_LIMIT": "5", section + "SEARCH_ALLOW_EXACT": "false", section + "SEARCH_MAX_OVERSAMPLING": "2.5"}
    with Server(env=env) as server:
        for grpc in (True, False):
            client = connect(server, grpc)
            vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
            client.create_collection(f"plain-{grpc}", vectors_config=vectors)
            client.create_collection(f"own-{grpc}", vectors_config=vectors, strict_mode_config=models.StrictModeConfig(max_query_limit=7, max_timeout=9))
            client.create_collection(f"off-{grpc}", vectors_config=vectors, strict_mode_config=models.StrictModeConfig(enabled=False))
            config = client.get_collection(f"plain-{grpc}").config.strict_mode_config
            assert (config.enabled, config.max_query_limit, config.search_allow_exact, config.search_max_oversampling) == (True, 5, False, 2.5)
            assert config.max_timeout is None
            own = client.get_collection(f"own-{grpc}").config.strict_mode_config
            assert (own.enabled, own.max_query_limit, own.max_timeout) == (True, 7, 9)
            assert "Limit exceeded 6 > 5" in fault(lambda: client.query_points(f"plain-{grpc}", query=[1.0, 0.0], limit=6))
            assert "Limit exceeded 8 > 7" in fault(lambda: client.query_points(f"own-{grpc}", query=[1.0, 0.0], limit=8))
            client.query_points(f"off-{grpc}", query=[1.0, 0.0], limit=100)
            client.close()


def test_one_vector_for_several(client, name):
    """A single vector counts as one row of a multivector."""
    client.upsert(name, [point(1, m=[3.0, 4.0])])
    client.update_vectors(name, [models.PointVectors(id=2, vector={"m": [5.0, 6.0]})])
    assert [p.vector["m"] for p in client.retrieve(name, [1, 2], with_vectors=["m"])] == [[[3.0, 4.0]], [[5.0, 6.0]]]
