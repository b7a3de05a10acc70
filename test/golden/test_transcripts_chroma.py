"""Replays what a real Chroma 1.5.9 answered (chroma-rest-1.5.9.jsonl) against our server, exchange by exchange.

UUIDn in the file stands for an id of the server's own. Numbers may differ by rounding; records of one distance may come in any
order; the place of an error in a body (line, column) is not compared. Every other difference stands in DIFFERENT with its reason,
and a listed exchange that answers like the peer after all fails too.
"""
import http.client
import json
import math
import pathlib
import re

import pytest

from test.lib.server import Server

FILE = pathlib.Path(__file__).parent / "chroma-rest-1.5.9.jsonl"
EXCHANGES = [json.loads(line) for line in FILE.read_text().splitlines()]

DIFFERENT = {
    41: "pages of collections go in order of creation; the peer's order is arbitrary",
    70: "a body that is not JSON is refused without the path of the value",
    113: "the reason why a regular expression is refused is in our engine's words",
    147: "renaming onto a taken name is a conflict (409), not an internal error",
    153: "indexing_status is answered",
}

PLACEHOLDER = re.compile(r"UUID\d+")
PLACE = re.compile(r" at line \d+ column \d+")


class Replay:
    def __init__(self, port):
        self.port = port
        self.ids = {}

    def fill(self, text):
        return PLACEHOLDER.sub(lambda m: self.ids.get(m.group(), m.group()), text)

    def send(self, exchange):
        headers, body = {}, None
        if "raw_body" in exchange:
            body = exchange["raw_body"].encode()
        elif "body" in exchange:
            body = self.fill(json.dumps(exchange["body"])).encode()
        if body is not None:
            headers = exchange.get("headers", {"content-type": "application/json"})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(exchange["method"], self.fill(exchange["path"]), body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("content-type"), answer.read().decode()
        finally:
            connection.close()

    def same(self, want, got, key=None):
        """Compares values; a placeholder met for the first time takes the id found in its place."""
        if key == "nanosecond heartbeat":
            return isinstance(got, int) and got > 10**18
        if key == "num_threads":
            return isinstance(got, int) and got >= 1
        if isinstance(want, bool) or isinstance(got, bool):
            return want is got
        if isinstance(want, str) and isinstance(got, str):
            if PLACEHOLDER.fullmatch(want):
                return self.ids.setdefault(want, got) == got
            return PLACE.sub("", self.fill(want)) == PLACE.sub("", got)
        if isinstance(want, (int, float)) and isinstance(got, (int, float)):
            return type(want) is type(got) and math.isclose(want, got, rel_tol=1e-5, abs_tol=1e-5)
        if isinstance(want, list) and isinstance(got, list):
            return len(want) == len(got) and all(map(self.same, want, got))
        if isinstance(want, dict) and isinstance(got, dict):
            return want.keys() == got.keys() and all(self.same(want[k], got[k], k) for k in want)
        return type(want) is type(got) and want == got

    def same_query(self, want, got):
        """Rows of a distance are a set, of which the last may have been cut anywhere."""
        if want.keys() != got.keys() or not self.same(want["distances"], got["distances"]):
            return False
        for q, distances in enumerate(want["distances"]):
            groups = [[j for j, d in enumerate(distances) if abs(d - distances[i]) < 1e-5] for i in range(len(distances))]
            last = len(distances) - 1
            for group in {tuple(g) for g in groups}:
                wanted = {want["ids"][q][j] for j in group}
                found = {got["ids"][q][j] for j in group}
                if wanted != found and last not in group:
                    return False
            rows = {id: j for j, id in enumerate(got["ids"][q])}
            if len(rows) != len(distances):
                return False
            for column in ("documents", "metadatas", "embeddings", "uris"):
                if (want[column] is None) != (got[column] is None):
                    return False
                if want[column] is None:
                    continue
                for j, id in enumerate(want["ids"][q]):
                    if id in rows and not self.same(want[column][q][j], got[column][q][rows[id]]):
                        return False
        return self.same(want["include"], got["include"])

    def compare(self, exchange, status, content_type, text):
        """None, or what differs."""
        if status != exchange["status"]:
            return f"status {status} instead of {exchange['status']}: {text}"
        if (exchange["content_type"] or "") != (content_type or ""):
            return f"content type {content_type} instead of {exchange['content_type']}"
        if "json" not in exchange:
            return None if text == exchange["text"] else f"body {text!r} instead of {exchange['text']!r}"
        want, got = exchange["json"], json.loads(text)
        if isinstance(want, list) and want and isinstance(want[0], dict) and "configuration_json" in want[0]:
            want, got = (sorted(x, key=lambda c: c["name"]) for x in (want, got))
        if isinstance(want, dict) and want.get("distances"):
            same = isinstance(got, dict) and self.same_query(want, got)
        else:
            same = self.same(want, got)
        return None if same else f"body {json.dumps(got)} instead of {self.fill(json.dumps(want))}"


@pytest.fixture(scope="module")
def outcomes():
    with Server() as server:
        replay = Replay(server.chroma_port)
        return [replay.compare(exchange, *replay.send(exchange)) for exchange in EXCHANGES]


@pytest.mark.parametrize("number", range(len(EXCHANGES)))
def test_exchange(outcomes, number):
    exchange = EXCHANGES[number]
    label = f"#{number} {exchange['method']} {exchange['path']} {json.dumps(exchange.get('body'))}"
    if number in DIFFERENT:
        assert outcomes[number] is not None, f"{label} answers like the peer; take it off the list"
    else:
        assert outcomes[number] is None, f"{label}: {outcomes[number]}"


def test_regex_refusal_begins_like_the_peers():
    with Server() as server:
        replay = Replay(server.chroma_port)
        for exchange in EXCHANGES[:26] + EXCHANGES[49:50]:
            replay.compare(exchange, *replay.send(exchange))
        status, _, text = replay.send(EXCHANGES[113])
    answer = json.loads(text)
    assert status == 400 and answer["error"] == "InvalidArgumentError"
    assert answer["message"].startswith("Regex syntax errror: regex parse error:\n    (\n")


def test_comparison_sees_differences():
    """The comparison itself must be able to fail."""
    replay = Replay(0)
    assert replay.same({"a": 1}, {"a": 1}) and not replay.same({"a": 1}, {"a": 1.0})
    assert not replay.same({"a": None}, {}) and not replay.same([1, 2], [2, 1]) and not replay.same(True, 1)
    assert replay.same("UUID1", "x") and replay.same("UUID1", "x") and not replay.same("UUID1", "y")
    rows = {"ids": [["a", "b", "c"]], "distances": [[0.0, 1.0, 1.0]], "documents": [["x", "y", "z"]], "metadatas": None,
            "embeddings": None, "uris": None, "include": ["distances"]}
    swapped = {**rows, "ids": [["a", "c", "b"]], "documents": [["x", "z", "y"]]}
    assert replay.same_query(rows, swapped)
    assert not replay.same_query(rows, {**rows, "documents": [["x", "z", "y"]]})
    assert not replay.same_query(rows, {**rows, "ids": [["b", "a", "c"]], "documents": [["y", "x", "z"]]})
