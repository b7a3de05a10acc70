"""What a hostile or broken client may send. The server has to answer or to hang up, and to go on serving, each time."""
import json
import os
import socket
import struct
import subprocess
import threading
import time

import grpc as grpclib
import pytest
import requests
from qdrant_client import grpc, models

from test.api.conftest import connect
from test.api.test_qdrant_api import DENSE, fault, until
from test.lib.server import Server

MB = 1 << 20
PORTS = ("http_port", "chroma_port", "native_port", "grpc_port")
HUGE = 999_999_999


@pytest.fixture(scope="module")
def filled(server):
    client = connect(server, True)
    client.create_collection("lim", vectors_config=DENSE)
    client.upsert("lim", [models.PointStruct(id=i, vector=[i, 1, 2, 3], payload={"n": i}) for i in range(1, 101)], wait=True)
    yield server
    client.close()


@pytest.fixture(autouse=True)
def still_serves(request):
    """After each test: the process is there and answers on REST and gRPC with what it holds."""
    yield
    if "filled" not in request.fixturenames:
        return
    server = request.getfixturevalue("filled")
    assert server.process.poll() is None, f"the server ended:\n{server.log()}"
    for over_grpc in (True, False):
        client = connect(server, over_grpc)
        assert client.count("lim", count_filter=models.Filter(must=[models.HasIdCondition(has_id=[1, 2, 3])])).count == 3
        assert client.query_points("lim", query=[1, 0, 0, 0], limit=1).points[0].id == 100
        client.close()


def raw_grpc(server, method, message, timeout=60, compression=None):
    """Any bytes as a request; the answer's bytes."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpclib.insecure_channel(f"127.0.0.1:{server.grpc_port}", options=options) as channel:
        return channel.unary_unary(method, lambda b: b, lambda b: b)(message, timeout=timeout, compression=compression)


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def deep_filter(levels):
    """Bytes of Filter{must: [Condition{filter: ...}]}, built from the inside without a recursion."""
    heads, length = [], 0
    for _ in range(levels):
        inner = b"\x22" + varint(length)
        length += len(inner)
        outer = b"\x12" + varint(length)
        length += len(outer)
        heads.append(outer + inner)
    return b"".join(reversed(heads))


@pytest.mark.parametrize("levels", [101, 10_000])
def test_deep_filter_over_grpc(filled, levels):
    body = deep_filter(levels)
    name = b"\x0a\x03lim"
    for method, message in (
        ("Count", name + b"\x12" + varint(len(body)) + body),
        ("Scroll", name + b"\x12" + varint(len(body)) + body),
        ("Query", name + b"\x2a" + varint(len(body)) + body),
    ):
        code, text = fault(lambda: raw_grpc(filled, f"/qdrant.Points/{method}", message))
        assert code in ("INVALID_ARGUMENT", "INTERNAL"), (method, code, text)


def test_filter_of_some_depth_works(filled):
    body = deep_filter(20)
    answer = grpc.CountResponse.FromString(raw_grpc(filled, "/qdrant.Points/Count", b"\x0a\x03lim\x12" + varint(len(body)) + body + b"\x18\x01"))
    assert answer.result.count == 100


@pytest.mark.parametrize("levels", [200, 10_000])
def test_deep_filter_over_rest(filled, levels):
    for opening, closing in (('{"must":', "}"), ('{"must":[', "]}")):
        body = '{"filter":' + opening * levels + "{}" + closing * levels + "}"
        answer = requests.post(filled.url + "/collections/lim/points/count", data=body, headers={"content-type": "application/json"}, timeout=30)
        assert answer.status_code == 400 and "error" in answer.json()["status"], answer.text[:300]


def test_deep_payload(filled):
    for levels, codes in ((50, (200,)), (5_000, (400, 422))):
        payload = '{"a":' * levels + "1" + "}" * levels
        body = '{"points":[{"id":7777,"vector":[1,1,1,1],"payload":' + payload + "}]}"
        answer = requests.put(filled.url + "/collections/lim/points?wait=true", data=body, headers={"content-type": "application/json"}, timeout=30)
        assert answer.status_code in codes, answer.text[:300]
    connect(filled, True).delete("lim", [7777], wait=True)


def send_and_read(port, pieces):
    """Sends until the peer hangs up, reading meanwhile. Returns what came back."""
    got = []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:

        def read():
            try:
                while data := sock.recv(65536):
                    got.append(data)
                    if sum(map(len, got)) > MB:
                        return
            except OSError:
                pass

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for piece in pieces:
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        reader.join(60)
        assert not reader.is_alive(), "neither an answer nor an end of the connection"
    return b"".join(got)


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


@pytest.mark.parametrize("port", PORTS)
def test_64_mb_of_noise(filled, port):
    before = filled.resident()
    noise = os.urandom(MB)
    answer = send_and_read(getattr(filled, port), (noise for _ in range(64)))
    assert status_of(answer) in (None, 400), answer[:200]
    assert filled.resident() - before < 64 * MB, "noise is kept in memory"


@pytest.mark.parametrize(("port", "path"), [
    ("http_port", "/collections/lim/points?wait=true"), ("chroma_port", "/api/v2/tenants/default_tenant/databases/default_database/collections"),
])
@pytest.mark.parametrize("chunked", [False, True])
def test_64_mb_body(filled, port, path, chunked):
    before = filled.resident()
    noise = os.urandom(MB)
    method = "PUT" if port == "http_port" else "POST"
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += "transfer-encoding: chunked\r\n\r\n" if chunked else f"content-length: {64 * MB}\r\n\r\n"

    def pieces():
        yield head.encode()
        for _ in range(64):
            yield b"%x\r\n" % len(noise) + noise + b"\r\n" if chunked else noise
        if chunked:
            yield b"0\r\n\r\n"

    answer = send_and_read(getattr(filled, port), pieces())
    # the answer may be lost when the server hangs up while we still send
    assert status_of(answer) in (None, 400, 413), answer[:200]
    assert filled.resident() - before < 64 * MB, "a refused body is kept in memory"


def test_20_mb_of_noise_as_a_body(filled):
    answer = requests.put(filled.url + "/collections/lim/points", data=os.urandom(20 * MB), headers={"content-type": "application/json"}, timeout=60)
    assert answer.status_code == 400 and answer.json()["status"]["error"].startswith("Format error in JSON body: ")


def test_64_mb_message_of_noise_over_grpc(filled):
    code, text = fault(lambda: raw_grpc(filled, "/qdrant.Points/Upsert", os.urandom(64 * MB)))
    assert code in ("INVALID_ARGUMENT", "INTERNAL", "RESOURCE_EXHAUSTED"), (code, text)


def test_truncated_messages_over_grpc(filled):
    whole = grpc.UpsertPoints(
        collection_name="lim", wait=True,
        points=[grpc.PointStruct(id=grpc.PointId(num=5000), vectors=grpc.Vectors(vector=grpc.Vector(data=[1, 2, 3, 4])), payload={"a": grpc.Value(integer_value=1)})],
    ).SerializeToString()
    with grpclib.insecure_channel(f"127.0.0.1:{filled.grpc_port}") as channel:
        upsert = channel.unary_unary("/qdrant.Points/Upsert", lambda b: b, lambda b: b)
        for cut in range(len(whole)):
            try:
                upsert(whole[:cut], timeout=30)
            except grpclib.RpcError as error:
                assert error.code().name in ("INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL"), (cut, error)
    assert connect(filled, True).count("lim").count == 100, "a cut message was applied"


def test_truncated_bodies_over_rest(filled):
    body = json.dumps({"points": [{"id": 5000, "vector": [1, 2, 3, 4], "payload": {"a": [1, {"b": "é"}]}}]}).encode()
    for cut in range(len(body)):
        answer = requests.put(
            filled.url + "/collections/lim/points?wait=true", data=body[:cut], headers={"content-type": "application/json"}, timeout=30
        )
        assert answer.status_code == 400, (cut, answer.text)
    # connections that end before their announced length
    head = f"PUT /collections/lim/points HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    for cut in (0, 1, len(body) // 2, len(body) - 1):
        assert status_of(send_and_read(filled.http_port, [head + body[:cut]])) in (None, 400)
    assert connect(filled, True).count("lim").count == 100, "a cut body was applied"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_number_over_grpc(filled, value):
    vector = grpc.Vector(data=[1, value, 3, 4])
    point = grpc.PointStruct(id=grpc.PointId(num=6000), vectors=grpc.Vectors(vector=vector))
    upsert = grpc.UpsertPoints(collection_name="lim", wait=True, points=[point]).SerializeToString()
    assert fault(lambda: raw_grpc(filled, "/qdrant.Points/Upsert", upsert))[0] == "INVALID_ARGUMENT"
    dense = grpc.VectorInput(dense=grpc.DenseVector(data=[1, value, 3, 4]))
    query = grpc.QueryPoints(collection_name="lim", query=grpc.Query(nearest=dense)).SerializeToString()
    assert fault(lambda: raw_grpc(filled, "/qdrant.Points/Query", query))[0] == "INVALID_ARGUMENT"
    assert connect(filled, True).retrieve("lim", [6000]) == []


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e39", "-1e39", "1e999", "--1", "0x10", "1.", "null", '"1"', "[1]"])
def test_no_number_over_rest(filled, value):
    for method, path, body in (
        ("PUT", "points?wait=true", '{"points":[{"id":6000,"vector":[1,%s,3,4]}]}'), ("POST", "points/query", '{"query":[1,%s,3,4]}'),
    ):
        answer = requests.request(
            method, f"{filled.url}/collections/lim/{path}", data=body % value, headers={"content-type": "application/json"}, timeout=30
        )
        assert answer.status_code in (400, 422), (path, answer.text)
    assert connect(filled, True).retrieve("lim", [6000]) == []


@pytest.mark.parametrize("limit", [HUGE, 2**32 - 1])
def test_huge_limits(filled, limit):
    before = filled.resident()
    for over_grpc in (True, False):
        client = connect(filled, over_grpc)
        assert len(client.query_points("lim", query=[1, 0, 0, 0], limit=limit).points) == 100
        assert len(client.scroll("lim", limit=limit)[0]) == 100
        assert client.query_points("lim", query=[1, 0, 0, 0], limit=limit, offset=limit).points == []
    for body in ({"query": [1, 0, 0, 0], "limit": 2**64 - 1, "offset": 2**64 - 1}, {"limit": 2**64 - 1, "offset": 5}):
        answer = requests.post(filled.url + "/collections/lim/points/query", json=body, timeout=30)
        assert answer.status_code in (200, 400, 422) and (answer.status_code != 200 or len(answer.json()["result"]["points"]) <= 100)
    query = grpc.QueryPoints(collection_name="lim", limit=2**64 - 1, offset=2**64 - 1).SerializeToString()
    try:
        raw_grpc(filled, "/qdrant.Points/Query", query)
    except grpclib.RpcError as error:
        assert error.code().name == "INVALID_ARGUMENT"
    assert filled.resident() - before < 64 * MB, "a limit sized an allocation"


def test_wide_requests(filled):
    client = connect(filled, True)
    wide = models.Filter(should=[models.FieldCondition(key="n", match=models.MatchValue(value=i)) for i in range(20_000)])
    assert client.count("lim", count_filter=wide).count == 100
    assert client.count("lim", count_filter=models.Filter(must=[models.HasIdCondition(has_id=list(range(200_000)))])).count == 100
    assert len(client.retrieve("lim", list(range(100_000)))) == 100


def test_unknown_methods(filled):
    for method in ("/qdrant.Points/NoSuch", "/qdrant.NoSuch/Get", "/x", "/a/b/c", "/grpc.health.v1.Health/Nothing"):
        assert fault(lambda: raw_grpc(filled, method, b"\x01\x02", timeout=10))[0] == "UNIMPLEMENTED", method


def test_odd_http(filled):
    for request in (
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"a" * 2 * MB + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
        b"POST /collections/lim/points/count HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n{}",
        b"POST /collections/lim/points/count HTTP/1.1\r\ncontent-length: -1\r\n\r\n{}",
        b"POST /collections/lim/points/count HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"GET /collections/%00%ff%zz HTTP/1.1\r\n\r\n",
        b"GET /collections/../../etc/passwd HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9,
        b"\r\n" * 1000,
    ):
        for port in ("http_port", "chroma_port", "native_port"):
            status = status_of(send_and_read(getattr(filled, port), [request]))
            assert status is None or 400 <= status < 500 or (status == 200 and request.startswith(b"GET / ")), (port, request[:60], status)


def test_vanishing_clients(filled):
    body = json.dumps({"query": [1, 0, 0, 0], "limit": 100, "with_payload": True}).encode()
    whole = f"POST /collections/lim/points/query HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    write = json.dumps({"points": [{"id": 1, "vector": [1, 1, 2, 3], "payload": {"n": 1}}]}).encode()
    whole_write = f"PUT /collections/lim/points?wait=true HTTP/1.1\r\nhost: x\r\ncontent-length: {len(write)}\r\n\r\n".encode() + write
    reset = struct.pack("ii", 1, 0)
    for i in range(300):
        request = whole if i % 2 else whole_write
        with socket.create_connection(("127.0.0.1", filled.http_port)) as sock:
            if i % 3 == 0:  # answers with RST, so that the server's write fails
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            sock.sendall(request * 3 if i % 5 == 0 else request[: len(request) - i % 4])
    query = grpc.QueryPoints(collection_name="lim", query=grpc.Query(nearest=grpc.VectorInput(dense=grpc.DenseVector(data=[1, 0, 0, 0])))).SerializeToString()
    upsert = grpc.UpsertPoints(
        collection_name="lim", wait=True,
        points=[grpc.PointStruct(id=grpc.PointId(num=1), vectors=grpc.Vectors(vector=grpc.Vector(data=[1, 1, 2, 3])), payload={"n": grpc.Value(integer_value=1)})],
    ).SerializeToString()
    for _ in range(30):
        channel = grpclib.insecure_channel(f"127.0.0.1:{filled.grpc_port}")
        for method, message in (("Query", query), ("Upsert", upsert)) * 5:
            channel.unary_unary(f"/qdrant.Points/{method}", lambda b: b, lambda b: b).future(message).cancel()
        late = [channel.unary_unary("/qdrant.Points/Upsert", lambda b: b, lambda b: b).future(upsert) for _ in range(5)]
        channel.close()
        del late


def test_deadlines_over_grpc(filled):
    query = grpc.QueryPoints(collection_name="lim", query=grpc.Query(nearest=grpc.VectorInput(dense=grpc.DenseVector(data=[1, 0, 0, 0])))).SerializeToString()
    for timeout in (0.000001, 0.0001, 0.001) * 20:
        try:
            raw_grpc(filled, "/qdrant.Points/Query", query, timeout=timeout)
        except grpclib.RpcError as error:
            assert error.code().name == "DEADLINE_EXCEEDED"


def test_slow_writers_hold_nobody_up(filled):
    body = b'{"query":[1,0,0,0],"limit":1}'
    whole = b"POST /collections/lim/points/query HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    slow = [socket.create_connection(("127.0.0.1", filled.http_port)) for _ in range(50)]
    client = connect(filled, False)
    for at in range(len(whole)):
        for sock in slow:
            sock.sendall(whole[at : at + 1])
        if at % 10 == 0:
            assert client.count("lim").count == 100
    for sock in slow:
        sock.settimeout(30)
        answer = b""
        while data := sock.recv(65536):
            answer += data
        assert status_of(answer) == 200 and b'"id":100' in answer.replace(b" ", b"")
        sock.close()


def test_names_and_dimensions_at_their_borders(filled):
    server = filled

    def create(name, body=None):
        path = "/collections/" + requests.utils.quote(name, safe="")
        return requests.put(server.url + path, json=body or {"vectors": {"size": 1, "distance": "Dot"}}, timeout=30).status_code

    for good in ("n" * 255, "ä" * 255, "..a", "a b", "%", "\U0001f980", "COM1", "-", "'; drop--"):
        assert create(good) == 200, good
        assert create(good) == 409, good
        client = connect(server, True)
        client.upsert(good, [models.PointStruct(id=1, vector=[1.0])], wait=True)
        assert client.count(good).count == 1
        assert client.delete_collection(good)
    for bad in ("n" * 256, "ä" * 256, "a/b", "a\\b", "a<b", "a>b", 'a"b', "a|b", "a?b", "a*b", "a:b", "a\x00b", "a\x1fb"):
        assert create(bad) == 422, bad
    for size, status in ((1, 200), (65536, 200), (65537, 422), (2**63, 422), (2**64, 400), (-1, 400), (1.5, 400)):
        assert create("size", {"vectors": {"size": size, "distance": "Dot"}}) == status, size
        if status == 200:
            client = connect(server, True)
            client.upsert("size", [models.PointStruct(id=1, vector=[0.5] * size)], wait=True)
            assert client.query_points("size", query=[1.0] * size).points[0].score == pytest.approx(size / 2)
            assert len(client.retrieve("size", [1], with_vectors=True)[0].vector) == size
            client.delete_collection("size")
    for length, good in ((200, True), (201, False)):
        status = create("vname", {"vectors": {"v" * length: {"size": 1, "distance": "Dot"}}})
        assert (status == 200) == good and status in (200, 400, 422), (length, status)
        connect(server, True).delete_collection("vname")


def test_out_of_descriptors_and_back():
    with Server(descriptors=64) as server:
        client = connect(server, True)
        client.create_collection("few", vectors_config=DENSE)
        client.upsert("few", [models.PointStruct(id=1, vector=[1, 2, 3, 4])], wait=True)
        client.close()
        for port in PORTS:
            idle = []
            for _ in range(200):
                sock = socket.socket()
                sock.settimeout(5)
                try:
                    sock.connect(("127.0.0.1", getattr(server, port)))
                except OSError:
                    pass
                idle.append(sock)
            assert server.process.poll() is None, f"the server ended:\n{server.log()}"
            for sock in idle:
                sock.close()

            def serves(over_grpc):
                try:
                    again = connect(server, over_grpc)
                    count = again.count("few", timeout=5).count
                    again.close()
                    return count == 1
                except Exception:  # noqa: BLE001: refused for a moment, in one of many ways
                    return False

            until(lambda: serves(False), 30)
            until(lambda: serves(True), 30)


def refused_start(server):
    """Exit code and log of a server that should not come up."""
    server.spawn()
    try:
        code = server.process.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        pytest.fail("a second server came up")
    server.process = None
    return code, server.log()


def test_second_server_on_a_folder(filled):
    other = Server(data_dir=filled.data_dir)
    other.log_path = other.data_dir.parent / (other.data_dir.name + "-second.log")
    code, log = refused_start(other)
    other.remove_log()
    assert code not in (0, -6, -11) and str(filled.data_dir) in log, (code, log)


@pytest.mark.parametrize("port", PORTS)
def test_second_server_on_a_port(filled, port):
    other = Server()
    setattr(other, port, getattr(filled, port))
    try:
        code, log = refused_start(other)
        assert code not in (0, -6, -11) and str(getattr(filled, port)) in log, (code, log)
    finally:
        other.close()


def test_thousand_empty_collections(capsys):
    with Server() as server:
        client = connect(server, True)
        for i in range(50):  # first uses cost something once
            client.create_collection(f"warm-{i}", vectors_config=DENSE)
        memory, file_count, open_files = server.resident(), server.file_count(), server.descriptor_count()
        start = time.monotonic()
        for i in range(1000):
            client.create_collection(f"empty-{i}", vectors_config=DENSE)
        created = time.monotonic() - start
        per_collection = (server.resident() - memory) / 1000
        assert len(client.get_collections().collections) == 1050
        sanitized = "libasan" in server.proc("maps")
        assert per_collection < 8192 or sanitized, f"{per_collection:.0f} bytes each"
        assert (server.file_count() - file_count) / 1000 < 3
        assert server.descriptor_count() - open_files < 100, "each collection holds a file open"
        assert server.stop() == 0
        start = time.monotonic()
        server.start()
        assert len(connect(server, True).get_collections().collections) == 1050
        restarted = time.monotonic() - start
        assert client.count("empty-999").count == 0
        client.close()
    with capsys.disabled():
        print(f" [1000 empty collections: {created:.2f} s to create, {per_collection:.0f} B of memory each, {restarted:.2f} s to restart] ", end="")
