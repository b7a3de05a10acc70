"""Strict mode: what it forbids, in the peer's words, over REST and gRPC alike; and the tokens of its rate limits."""
import json
import uuid

import grpc as grpclib
import pytest
from qdrant_client import models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import UnexpectedResponse

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
