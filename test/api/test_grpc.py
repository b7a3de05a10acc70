"""The gRPC server as clients of all kinds meet it: headers, bodies, streams, the schema it tells about itself."""
import time
import urllib.request

import grpc as grpclib
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from qdrant_client import grpc

from test.lib.server import Server

MB = 1 << 20
HEALTH = "/grpc.health.v1.Health/Check"
SERVICES = {
    "qdrant.Collections", "qdrant.Points", "qdrant.Snapshots", "qdrant.Qdrant", "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
}


def connect(server):
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    return grpclib.insecure_channel(f"127.0.0.1:{server.grpc_port}", options=options)


@pytest.fixture(scope="module")
def channel(server):
    with connect(server) as connected:
        yield connected


def call(channel, method, message=b"", **more):
    return channel.unary_unary(method)(message, timeout=more.pop("timeout", 30), **more)


def refusal(function):
    with pytest.raises(grpclib.RpcError) as caught:
        function()
    return caught.value.code().name, caught.value.details()


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


# Plain calls


def test_health(channel):
    assert call(channel, HEALTH) == b"\x08\x01"
    assert call(channel, HEALTH, field(1, b"qdrant.Points")) == b"\x08\x01"
    reply = grpc.HealthCheckReply.FromString(call(channel, "/qdrant.Qdrant/HealthCheck"))
    assert reply.version == "1.20.0" and reply.title and len(reply.commit) == 40


@pytest.mark.parametrize("method", ["/qdrant.Points/Nothing", "/nothing.At/All", "/grpc.health.v1.Health/Watch"])
def test_unknown_method_is_refused_at_once(channel, method):
    start = time.monotonic()
    assert refusal(lambda: call(channel, method, b"abc", timeout=20)) == ("UNIMPLEMENTED", f"unknown method {method}")
    assert time.monotonic() - start < 10  # not at its deadline


def test_many_calls_at_once_on_one_connection(channel):
    health = channel.unary_unary(HEALTH)
    assert {future.result(30) for future in [health.future(b"") for _ in range(3000)]} == {b"\x08\x01"}


def test_metadata_of_odd_kinds(channel):
    headers = [("x-any", "a" * 1000), ("x-bin", bytes(range(256))), ("user-agent", "test")]
    assert call(channel, HEALTH, metadata=headers) == b"\x08\x01"


def test_deadlines_that_pass_on_the_way(channel):
    """A call either made it or is over in time; nothing else, and the server goes on."""
    for timeout in [1e-6, 1e-4, 1e-3] * 30:
        try:
            assert call(channel, HEALTH, timeout=timeout) == b"\x08\x01"
        except grpclib.RpcError as error:
            assert error.code().name == "DEADLINE_EXCEEDED", error
    assert call(channel, HEALTH) == b"\x08\x01"


def test_message_over_the_cap():
    with Server(env={"QDRANT__SERVICE__MAX_GRPC_MESSAGE_MB": "2"}) as server, connect(server) as channel:
        body = field(1, b"a" * (3 * MB))
        code, text = refusal(lambda: call(channel, HEALTH, body))
        assert code == "RESOURCE_EXHAUSTED" and "2097152" in text
        code, text = refusal(lambda: call(channel, HEALTH, body, compression=grpclib.Compression.Gzip))
        assert code == "RESOURCE_EXHAUSTED" and "2097152" in text
        assert call(channel, HEALTH, field(1, b"a" * MB)) == b"\x08\x01"


@pytest.mark.parametrize("compression", [grpclib.Compression.NoCompression, grpclib.Compression.Gzip, grpclib.Compression.Deflate])
def test_compressed_both_ways(channel, compression):
    name = f"packed{int(compression)}"
    create = grpc.CreateCollection(
        collection_name=name, vectors_config=grpc.VectorsConfig(params=grpc.VectorParams(size=2, distance=grpc.Distance.Dot))
    )
    call(channel, "/qdrant.Collections/Create", create.SerializeToString(), compression=compression)
    text = "abcdefgh" * 1000
    point = grpc.PointStruct(
        id=grpc.PointId(num=1), vectors=grpc.Vectors(vector=grpc.Vector(data=[1, 2])), payload={"t": grpc.Value(string_value=text)}
    )
    upsert = grpc.UpsertPoints(collection_name=name, wait=True, points=[point]).SerializeToString()
    call(channel, "/qdrant.Points/Upsert", upsert, compression=compression)
    get = grpc.GetPoints(collection_name=name, ids=[grpc.PointId(num=1)], with_payload=grpc.WithPayloadSelector(enable=True))
    answer = grpc.GetResponse.FromString(call(channel, "/qdrant.Points/Get", get.SerializeToString(), compression=compression))
    assert answer.result[0].payload["t"].string_value == text


def test_message_of_30_mb(channel):
    create = grpc.CreateCollection(
        collection_name="large", vectors_config=grpc.VectorsConfig(params=grpc.VectorParams(size=2048, distance=grpc.Distance.Dot))
    )
    call(channel, "/qdrant.Collections/Create", create.SerializeToString())
    vector = grpc.Vectors(vector=grpc.Vector(data=[0.5] * 2048))
    points = [grpc.PointStruct(id=grpc.PointId(num=i), vectors=vector) for i in range(1, 3801)]
    upsert = grpc.UpsertPoints(collection_name="large", wait=True, points=points).SerializeToString()
    assert 30 * MB > len(upsert) > 29 * MB
    call(channel, "/qdrant.Points/Upsert", upsert, timeout=100)
    count = grpc.CountPoints(collection_name="large", exact=True).SerializeToString()
    assert grpc.CountResponse.FromString(call(channel, "/qdrant.Points/Count", count)).result.count == 3800
    scroll = grpc.ScrollPoints(collection_name="large", limit=3800, with_vectors=grpc.WithVectorsSelector(enable=True))
    answer = call(channel, "/qdrant.Points/Scroll", scroll.SerializeToString(), timeout=100)
    assert len(answer) > 29 * MB and len(grpc.ScrollResponse.FromString(answer).result) == 3800


# Keys


def test_keys():
    reads, writes = "/qdrant.Collections/List", "/qdrant.Collections/Delete"
    delete = grpc.DeleteCollection(collection_name="none").SerializeToString()
    env = {"QDRANT__SERVICE__API_KEY": "full", "QDRANT__SERVICE__READ_ONLY_API_KEY": "look"}
    with Server(env=env) as server, connect(server) as channel:
        assert refusal(lambda: call(channel, reads))[0] == "UNAUTHENTICATED"
        assert refusal(lambda: call(channel, reads, metadata=[("api-key", "fullx")]))[0] == "UNAUTHENTICATED"
        for metadata in ([("api-key", "full")], [("authorization", "Bearer full")], [("api-key", "look")]):
            call(channel, reads, metadata=metadata)
        assert refusal(lambda: call(channel, writes, delete, metadata=[("api-key", "look")]))[0] == "PERMISSION_DENIED"
        call(channel, writes, delete, metadata=[("api-key", "full")])
        assert refusal(lambda: call(channel, reads, b"\x07", metadata=[("api-key", "full")]))[0] == "INVALID_ARGUMENT"
        assert call(channel, HEALTH) == b"\x08\x01"
        assert refusal(lambda: reflect(channel, field(7, b"*")))[0] == "UNAUTHENTICATED"
        assert len(reflect(channel, field(7, b"*"), metadata=[("api-key", "look")])) == 1


def most_memory(server):
    """The most KB that the server ever held."""
    return next(int(line.split()[1]) for line in server.proc("status").splitlines() if line.startswith("VmHWM"))


def test_a_stranger_cannot_send_bodies():
    """A body of 60 MB without a key is refused before it is taken in."""
    with Server(env={"QDRANT__SERVICE__API_KEY": "full"}) as server, connect(server) as channel:
        body = field(1, b"a" * (60 * MB))
        for method in ("/qdrant.Points/Upsert", "/qdrant.Collections/List"):
            assert refusal(lambda: call(channel, method, body))[0] == "UNAUTHENTICATED"
        peak = most_memory(server)
        call(channel, "/qdrant.Collections/List", body, metadata=[("api-key", "full")])
        taken = most_memory(server)
        assert taken - peak > 50 * 1024  # in KB: with a key the same body is read


# Reflection


def reflect(channel, *questions, version="v1", metadata=None):
    method = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
    return list(method(iter(questions), timeout=20, metadata=metadata))


def schema_of(channel, symbols, version="v1"):
    """A pool of all files that the server gives for the symbols, and the classes to read its answers with."""
    answers = reflect(channel, *[field(4, symbol.encode()) for symbol in symbols], version=version)
    files = {}
    for answer in answers:
        for payload in fields_of(answer, 4):
            for encoded in fields_of(payload, 1):
                file = descriptor_pb2.FileDescriptorProto.FromString(encoded)
                files[file.name] = file
    pool = descriptor_pool.DescriptorPool()

    def add(name):
        file = files.pop(name, None)
        if file is not None:
            for imported in file.dependency:
                add(imported)
            pool.Add(file)

    for name in list(files):
        add(name)
    return pool


def fields_of(message, number):
    """Length-delimited fields of an encoded message."""
    at, found = 0, []

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = take()
        if key & 7 == 0:
            take()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or take()
            if key & 7 == 2 and key >> 3 == number:
                found.append(message[at:at + size])
            at += size
    return found


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_what_is_served(channel, version):
    (answer,) = reflect(channel, field(7, b"*"), version=version)
    listed = {fields_of(service, 1)[0].decode() for payload in fields_of(answer, 6) for service in fields_of(payload, 1)}
    assert listed == SERVICES


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_a_client_made_of_the_reflected_schema(channel, version):
    pool = schema_of(channel, sorted(SERVICES), version)
    for name in SERVICES:
        service = pool.FindServiceByName(name)
        assert service.methods
    collections = pool.FindServiceByName("qdrant.Collections")
    method = collections.FindMethodByName("List")
    request = message_factory.GetMessageClass(method.input_type)()
    answer = message_factory.GetMessageClass(method.output_type)
    call(channel, "/qdrant.Collections/List", request.SerializeToString())
    create = message_factory.GetMessageClass(collections.FindMethodByName("Create").input_type)(collection_name=f"by-reflection-{version}")
    create.vectors_config.params.size = 3
    create.vectors_config.params.distance = 1
    call(channel, "/qdrant.Collections/Create", create.SerializeToString())
    listed = answer.FromString(call(channel, "/qdrant.Collections/List", request.SerializeToString()))
    assert f"by-reflection-{version}" in [collection.name for collection in listed.collections]


def test_every_rpc_of_the_client_is_in_the_schema(channel):
    pool = schema_of(channel, sorted(SERVICES))
    for module in (grpc.points_service_pb2, grpc.collections_service_pb2, grpc.snapshots_service_pb2):
        for name, service in module.DESCRIPTOR.services_by_name.items():
            ours = pool.FindServiceByName(f"qdrant.{name}")
            assert set(service.methods_by_name) <= set(ours.methods_by_name)


def test_reflection_answers_in_order_and_refuses_by_question(channel):
    questions = [field(4, b"qdrant.PointId"), field(4, b"qdrant.Nothing"), field(3, b"health.proto"), field(3, b"no.proto"), field(7, b"")]
    answers = reflect(channel, *questions)
    assert [bool(fields_of(a, 7)) for a in answers] == [False, True, False, True, False]
    assert [fields_of(a, 2) for a in answers] == [[q] for q in questions]
    assert fields_of(answers[1], 7)[0][:2] == b"\x08\x05"  # NOT_FOUND


def test_reflection_stream_cut_by_its_client(channel):
    for _ in range(20):
        questions = iter([field(7, b"*")] * 3)
        stream = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")(questions, timeout=20)
        next(stream)
        stream.cancel()
    assert call(channel, HEALTH) == b"\x08\x01"


# Stopping


def test_stop_while_clients_are_connected():
    server = Server().start()
    try:
        with connect(server) as channel:
            waiting = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
            stream = waiting(iter([field(7, b"*")]), timeout=60)
            next(stream)
            assert call(channel, HEALTH) == b"\x08\x01"
            assert server.stop(timeout=30) == 0
    finally:
        server.close()


def test_calls_are_counted_on_the_metrics_page():
    with Server() as server:
        with grpclib.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            channel.unary_unary("/qdrant.Collections/List")(b"", timeout=10)
        page = urllib.request.urlopen(server.url + "/metrics", timeout=10).read().decode()
    assert 'grpc_responses_total{endpoint="/qdrant.Collections/List",status="0"} 1' in page
