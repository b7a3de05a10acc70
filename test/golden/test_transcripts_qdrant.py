"""Replays what a Qdrant 1.19 server answered, REST and gRPC, against ours, in order, on an empty data folder.

Status and body must be equal, but for what cannot be: see `ALLOWED` below and the comparison. Operations that are not built answer
501 or UNIMPLEMENTED; they stand in EXPECTED_UNBUILT_*, so that one which starts to work, or stops, is noticed.
"""
import http.client
import json
import math
import pathlib
import re

import grpc
import pytest
from google.protobuf import json_format
from qdrant_client import grpc as messages

from test.lib.server import Server

HERE = pathlib.Path(__file__).parent

# Exchange -> what it needs.
EXPECTED_UNBUILT_REST = {
    289: "snapshots", 290: "snapshots", 291: "snapshots", 292: "snapshots",
}
EXPECTED_UNBUILT_GRPC = {}

# Exchange -> why our answer is another one, on purpose or for now.
EXPECTED_OTHER_REST = {
    128: "1.20: match.text without an index compares words, not a substring",
    219: "an example whose point has not the vector is told, not passed over",
    221: "an example whose point has not the vector is told, not passed over",
}
NAN = "NaN in a vector is refused, so point 4 is not there"
EXPECTED_OTHER_GRPC = {
    25: NAN, 30: NAN, 31: NAN, 32: NAN, 36: NAN, 40: NAN, 43: NAN,
}


def exchanges(name):
    with open(HERE / name, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


# ---- comparison ----

def same(want, got, path=""):
    """Path of the first difference, or None. Floats within 1e-5, absent keys are absent."""
    if isinstance(want, bool) or isinstance(got, bool) or want is None or got is None:
        return None if want is got else path or "/"
    if isinstance(want, (int, float)) and isinstance(got, (int, float)):
        if isinstance(want, int) and isinstance(got, int):
            return None if want == got else path or "/"
        return None if math.isclose(want, got, rel_tol=1e-5, abs_tol=1e-5) else path or "/"
    if type(want) is not type(got):
        return path or "/"
    if isinstance(want, dict):
        for key in want.keys() | got.keys():
            if key not in want or key not in got:
                return f"{path}/{key}"
            where = same(want[key], got[key], f"{path}/{key}")
            if where is not None:
                return where
        return None
    if isinstance(want, list):
        if len(want) != len(got):
            return f"{path}/length"
        for i, (left, right) in enumerate(zip(want, got)):
            where = same(left, right, f"{path}/{i}")
            if where is not None:
                return where
        return None
    return None if want == got else path or "/"


def ranked(node):
    """Lists of scored points with ties put in one order: which of them comes first, and which the limit cuts, is free."""
    if isinstance(node, dict):
        return {key: ranked(value) for key, value in node.items()}
    if not isinstance(node, list):
        return node
    items = [ranked(item) for item in node]
    scores = [item["score"] for item in items if isinstance(item, dict) and isinstance(item.get("score"), (int, float))]
    if not items or len(scores) != len(items):
        return items
    last = scores[-1]
    groups = {}
    for item in items:
        groups.setdefault(round(item["score"], 4), []).append(item)
    out = []
    for score, tied in groups.items():
        if len(tied) > 1 or math.isclose(score, last, abs_tol=1e-4):
            tied = sorted(tied, key=lambda item: str(item.get("id", item.get("a"))))
        out.extend(tied)
    return out


def cut_tie(want, got):
    """True when two rankings differ only in which of the points tied with the last score they kept."""
    left, right = points_of(want), points_of(got)
    if not left or not right or len(left) != len(right) or not all(isinstance(p.get("score"), float) for p in left + right):
        return False
    last = left[-1]["score"]
    if any(not math.isclose(a["score"], b["score"], rel_tol=1e-5, abs_tol=1e-5) for a, b in zip(left, right)):
        return False
    kept = lambda points: sorted(str(p["id"]) for p in points if not math.isclose(p["score"], last, abs_tol=1e-5))
    return kept(left) == kept(right)


def points_of(body):
    result = body.get("result") if isinstance(body, dict) else None
    if isinstance(result, dict):
        result = result.get("points")
    return result if isinstance(result, list) and all(isinstance(p, dict) and "id" in p for p in result) else None


# ---- REST ----

FORMAT = re.compile(r"(Format error in JSON body|Deserialize error in [a-z ]+): ")


def prepare_rest(want, body):
    """What need not be equal is made equal, or taken out, on both sides."""
    for side in (want, body):
        if isinstance(side, dict):
            side.pop("time", None)
            side.pop("usage", None)
            result = side.get("result")
            if isinstance(result, dict):
                result.pop("segments_count", None)
                result.pop("created_at", None)  # 1.20
                result.pop("peer_id", None)
                result.get("summary", {}).pop("idle_segments", None)
                if "update_queue" in result:
                    result["update_queue"]["length"] = 0  # a race with the writer
    return want, body


def error_of(body):
    status = body.get("status") if isinstance(body, dict) else None
    return status.get("error") if isinstance(status, dict) else None


def compare_error(want, got):
    if want == got:
        return None
    kind = FORMAT.match(want)
    if kind and got and got.startswith(kind.group(0)) and len(got) > len(kind.group(0)) + 4:
        return None
    return "/status/error"


def compare_set(want, got):
    """Answers without an order."""
    key = lambda item: json.dumps(item, sort_keys=True)
    return same(sorted(want, key=key), sorted(got, key=key), "/set")


def compare_shape(exchange, want, got):
    """Sampled answers: the shape alone."""
    path = exchange["path"]
    if path.endswith("/matrix/pairs"):
        return None if all({"a", "b", "score"} == set(pair) for pair in got["result"]["pairs"]) else "/result/pairs"
    if path.endswith("/matrix/offsets"):
        return None if set(got["result"]) == set(want["result"]) else "/result"
    points = got["result"]["points"]
    return None if len(points) == len(want["result"]["points"]) and all("id" in p and "score" in p for p in points) else "/result"


def is_sampled(exchange):
    return "/search/matrix/" in exchange["path"] or "sample" in json.dumps(exchange.get("body", ""))


def compare_rest_json(exchange, got):
    want = exchange["json"]
    if exchange["path"] == "/":
        return None if got["title"] == want["title"] and len(got["commit"]) == 40 and got["version"] == "1.20.0" else "/"
    if exchange["path"] == "/telemetry":
        return None if set(got["result"]) >= {"app", "cluster", "collections", "id", "quota", "requests"} else "/result"
    want, got = prepare_rest(want, got)
    if error_of(want) is not None:
        return compare_error(error_of(want), error_of(got) or "")
    if is_sampled(exchange):
        return compare_shape(exchange, want, got)
    result = want.get("result")
    if isinstance(result, dict) and "hits" in result and isinstance(got.get("result"), dict):
        return compare_set(result["hits"], got["result"].get("hits", []))
    where = same(want, got)
    if where is not None and (same(ranked(want), ranked(got)) is None or cut_tie(want, got)):
        return None
    return where


def compare_rest_text(exchange, body):
    text = body.decode()
    if exchange["path"] == "/metrics":
        names = set(re.findall(r"^([a-z_]+)[ {]", text, re.M))
        return None if names >= set(exchange["text"].split("\n")) else "/names"
    return None if text == exchange["text"] else "/text"


def compare_rest(exchange, status, content_type, body):
    if status != exchange["status"]:
        return "status"
    if (content_type or None) != exchange["content_type"]:
        return "content type"
    if "json" in exchange:
        return compare_rest_json(exchange, json.loads(body))
    return compare_rest_text(exchange, body)


def send_rest(connection, exchange):
    headers = {"content-type": "application/json", **(exchange.get("headers") or {})}
    body = exchange.get("raw_body")
    if body is None and "body" in exchange:
        body = json.dumps(exchange["body"])
    connection.request(exchange["method"], exchange["path"], body, headers if body is not None else {})
    answer = connection.getresponse()
    return answer.status, answer.headers.get("content-type"), answer.read()


# ---- gRPC ----

# Method -> service, where the name alone does not tell.
SERVICES = {"Collections": messages.CollectionsStub, "Points": messages.PointsStub}


def grpc_method(channel, exchange):
    """The stub's method and the request's type. Two services have Get and Delete; the request tells them apart."""
    points_only = {"ids", "points", "wait"} & set(exchange["request"])
    order = ["Points", "Collections"] if points_only else ["Collections", "Points"]
    for service in order:
        method = getattr(SERVICES[service](channel), exchange["rpc"], None)
        if method is not None:
            return method, request_type(service, exchange["rpc"])
    raise LookupError(exchange["rpc"])


def request_type(service, rpc):
    from google.protobuf import descriptor_pool, message_factory

    method = descriptor_pool.Default().FindServiceByName(f"qdrant.{service}").methods_by_name[rpc]
    return message_factory.GetMessageClass(method.input_type)




def send_grpc(channel, exchange):
    method, kind = grpc_method(channel, exchange)
    request = json_format.ParseDict(exchange["request"], kind())
    try:
        answer = method(request, timeout=30)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", json_format.MessageToDict(answer, preserving_proto_field_name=True)


def compare_grpc(exchange, code, answer):
    if code != exchange["code"]:
        return "code"
    if code != "OK":
        return None if answer == exchange["message"] else "message"
    want, got = dict(exchange["response"]), dict(answer)
    for side in (want, got):
        for key in ("time", "usage", "peer_id"):
            side.pop(key, None)
        if isinstance(side.get("result"), dict):
            side["result"].pop("segments_count", None)
            side["result"].pop("created_at", None)
            side["result"].pop("update_queue", None)
    where = same(want, got)
    if where is not None and (same(ranked(want), ranked(got)) is None or cut_tie(want, got)):
        return None
    return where


# ---- the replay ----

class Tally:
    def __init__(self, unbuilt, other):
        self.unbuilt, self.other = unbuilt, other
        self.equal, self.known, self.lines = 0, 0, []

    def add(self, index, label, where, is_unbuilt, got, want):
        if index in self.unbuilt:
            if where is None or not is_unbuilt:
                self.lines.append(f"{index} {label}: in the table of unbuilt operations, and answers otherwise: {got}")
            self.known += 1
        elif index in self.other:
            if where is None:
                self.lines.append(f"{index} {label}: in the table of other answers, and is equal now")
            self.known += 1
        elif where is None:
            self.equal += 1
        else:
            self.lines.append(f"{index} {label}: differs at {where}\n    want {want}\n    got  {got}")

    def finish(self, name, total):
        print(f"\n{name}: {self.equal} of {total} equal, {len(self.unbuilt)} unbuilt, {len(self.other)} other, "
              f"{len(self.lines)} different")
        assert not self.lines, "\n".join(self.lines)
        assert self.equal + self.known == total


@pytest.fixture()
def server():
    with Server() as running:
        yield running
        assert running.process.poll() is None, f"the server ended by itself:\n{running.log()}"


def test_rest(server):
    tally, all_of_them = Tally(EXPECTED_UNBUILT_REST, EXPECTED_OTHER_REST), exchanges("qdrant-rest-1.19.jsonl")
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    for index, exchange in enumerate(all_of_them):
        status, content_type, body = send_rest(connection, exchange)
        where = compare_rest(exchange, status, content_type, body)
        tally.add(index, f"{exchange['method']} {exchange['path'][:80]} {json.dumps(exchange.get('body', ''))[:120]}", where,
                  status == 501, f"{status} {body.decode()[:400]}", f"{exchange['status']} "
                  f"{json.dumps(exchange['json'])[:400] if 'json' in exchange else exchange.get('text')}")
    tally.finish("REST", len(all_of_them))


def test_grpc(server):
    tally, all_of_them = Tally(EXPECTED_UNBUILT_GRPC, EXPECTED_OTHER_GRPC), exchanges("qdrant-grpc-1.19.jsonl")
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        for index, exchange in enumerate(all_of_them):
            code, answer = send_grpc(channel, exchange)
            where = compare_grpc(exchange, code, answer)
            tally.add(index, f"{exchange['rpc']} {json.dumps(exchange['request'])[:120]}", where, code == "UNIMPLEMENTED",
                      f"{code} {str(answer)[:400]}", f"{exchange['code']} {str(exchange.get('response', exchange.get('message')))[:400]}")
    tally.finish("gRPC", len(all_of_them))


def test_the_comparison_sees_differences():
    """Each allowance is narrow: a wrong answer beside it is still seen."""
    assert same({"a": [1, 2.0]}, {"a": [1, 2.000001]}) is None
    assert same({"a": [1, 2.0]}, {"a": [1, 2.1]}) == "/a/1"
    assert same({"a": None}, {}) == "/a"
    assert same({}, {"a": None}) == "/a"
    assert same(True, 1) == "/"
    want = {"result": [{"id": 1, "score": 0.9}, {"id": 2, "score": 0.5}]}
    assert cut_tie(want, {"result": [{"id": 1, "score": 0.9}, {"id": 3, "score": 0.5}]})
    assert not cut_tie(want, {"result": [{"id": 4, "score": 0.9}, {"id": 2, "score": 0.5}]})
    assert not cut_tie(want, {"result": [{"id": 1, "score": 0.9}, {"id": 2, "score": 0.4}]})
    assert compare_error("Format error in JSON body: missing field `x`", "Format error in JSON body: no field x") is None
    assert compare_error("Format error in JSON body: missing field `x`", "Wrong input: no field x") is not None
    assert compare_error("Not found: a", "Not found: b") is not None
