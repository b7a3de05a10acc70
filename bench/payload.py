"""Payload indexes at scale: one table of CPU time an operation, the server through REST beside Qdrant's engine in process.

Both sides hold the same points: 20 payload fields, keywords of 10, 1,000 and as many values as points, integers, floats, times, places,
texts. Every question is asked of both; the answers must be equal. The server's CPU is that of its process, HTTP and JSON included; the
peer's that of its calls. A ratio above 1 is to our advantage.
"""
import argparse
import contextlib
import datetime
import gc
import http.client
import json
import pathlib
import random
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from peers_edge import Edge  # noqa: E402
from peers_process import cpu_seconds, rss  # noqa: E402

from test.lib.server import Server  # noqa: E402

BATCH, SECONDS_EACH = 1000, 1.5
WORDS = [f"word{i}" for i in range(2000)]
START = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
INDEXES = {
    "k10": "keyword", "k1000": "keyword", "unique": "keyword", "status": "keyword", "country": "keyword", "tags": "keyword",
    "n10": "integer", "n1000": "integer", "serial": "integer", "year": "integer", "price": "float", "score": "float", "weight": "float",
    "created": "datetime", "updated": "datetime", "place": "geo", "title": "text", "active": "bool", "n_tags": "integer", "owner": "uuid",
}


def payload(rng, i, count):
    when = START + datetime.timedelta(seconds=i * 60)
    tags = rng.sample(range(50), 3)
    return {
        "k10": f"kind-{i % 10}", "k1000": f"group-{rng.randrange(1000)}", "unique": f"key-{i * 7919 % count:012}", "status": rng.choice(["new", "open", "done"]),
        "country": f"c{int(rng.random() ** 2 * 200)}", "tags": [f"tag{t}" for t in tags],
        "n10": rng.randrange(10), "n1000": rng.randrange(1000), "serial": i, "year": 1950 + rng.randrange(75),
        "price": round(rng.random() * 1000, 2), "score": rng.random(), "weight": rng.gauss(0, 1),
        "created": when.isoformat(), "updated": (when + datetime.timedelta(days=rng.random())).isoformat(),
        "place": {"lon": round(rng.uniform(-180, 180), 6), "lat": round(rng.uniform(-85, 85), 6)},
        "title": " ".join(rng.choices(WORDS, k=6)), "active": rng.random() < 0.5, "n_tags": len(tags),
        "owner": f"{rng.getrandbits(128):032x}"[:8] + "-0000-4000-8000-" + f"{i:012x}",
    }


def raw_bytes(value):
    """Of a value as payloads keep it (CBOR)."""
    if isinstance(value, dict):
        return 1 + sum(raw_bytes(k) + raw_bytes(v) for k, v in value.items())
    if isinstance(value, list):
        return 1 + sum(raw_bytes(v) for v in value)
    if isinstance(value, bool) or value is None:
        return 1
    if isinstance(value, float):
        return 9
    size = len(value.encode()) if isinstance(value, str) else abs(value)
    head = 1 if size < 24 else 2 if size < 256 else 3 if size < 65536 else 5 if size < 2**32 else 9
    return head + (size if isinstance(value, str) else 0)


def raw_total(count):
    """Bytes of the indexed values of all points, from the first few thousands."""
    rng, some = random.Random(7), min(count, 5000)
    return sum(raw_bytes(v) for i in range(some) for v in payload(rng, i, count).values()) * count // some


class Rest:
    """The server, one connection."""

    name = "vexfs"

    def __init__(self, folder):
        self.server = Server(data_dir=folder).start()
        self.pid = self.server.process.pid
        self.http = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=600)
        # No graph: its building in the background would be counted as the CPU time of the requests.
        optimizers = {"indexing_threshold": 0}
        self.call("PUT", "/collections/b", {"vectors": {"size": 4, "distance": "Dot"}, "optimizers_config": optimizers})

    def call(self, method, path, body):
        data = body if isinstance(body, bytes) else json.dumps(body)
        try:
            answer = self.ask(method, path, data)
        except (ConnectionError, http.client.HTTPException):  # closed while the peer was busy
            self.http.close()
            answer = self.ask(method, path, data)
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:300]!r}")
        return data

    def ask(self, method, path, data):
        self.http.request(method, path, data, {"content-type": "application/json"})
        return self.http.getresponse()

    def upsert(self, first, payloads):
        points = [{"id": first + i, "vector": [1.0, 0.0, 0.0, 0.0], "payload": p} for i, p in enumerate(payloads)]
        self.call("PUT", "/collections/b/points?wait=true", {"points": points})

    def index(self, field, kind):
        self.call("PUT", "/collections/b/index?wait=true", {"field_name": field, "field_schema": kind})

    def optimize(self):
        pass

    def prepare(self, what, spec, **options):
        body = {"filter": spec} if spec else {}
        if what == "count":
            data = json.dumps({**body, "exact": True}).encode()
            return lambda: json.loads(self.call("POST", "/collections/b/points/count", data))["result"]["count"]
        if what == "scroll":
            data = json.dumps({**body, "limit": 100, "with_payload": options["payload"]}).encode()
            return lambda: len(json.loads(self.call("POST", "/collections/b/points/scroll", data))["result"]["points"])
        data = json.dumps({**body, "key": options["key"], "limit": 10, "exact": True}).encode()
        return lambda: [hit["count"] for hit in json.loads(self.call("POST", "/collections/b/facet", data))["result"]["hits"]]

    def cpu(self):
        return cpu_seconds(self.pid)

    def close(self):
        self.server.close()


def field(key, **what):
    return {"must": [{"key": key, **what}]}


def questions(count):
    """(name, kind, filter, options, target in ms)"""
    keys = [f"key-{i * 7919 * 31 % count:012}" for i in range(10000)]
    middle = (START + datetime.timedelta(seconds=30 * count)).isoformat()
    circle = {"center": {"lon": 10.0, "lat": 50.0}, "radius": 500000.0}
    several = {"must": [{"key": "k10", "match": {"value": "kind-3"}}, {"key": "price", "range": {"lt": 500.0}}, {"key": "active", "match": {"value": True}}]}
    counts = [
        ("keyword, 0.0001 %", field("unique", match={"value": keys[5]}), 2), ("keyword, 0.1 %", field("k1000", match={"value": "group-7"}), 2),
        ("keyword, 10 %", field("k10", match={"value": "kind-3"}), 2), ("keyword, 33 %", field("status", match={"value": "open"}), 2),
        ("bool, 50 %", field("active", match={"value": True}), 2), ("integer, 0.1 %", field("n1000", match={"value": 77}), 2),
        ("integer range, 0.01 %", field("serial", range={"gte": 5, "lt": 5 + count // 10000}), 2),
        ("integer range, 50 %", field("n1000", range={"lt": 500}), 2), ("float range, 1 %", field("score", range={"gte": 0.5, "lt": 0.51}), 2),
        ("float range, 50 %", field("score", range={"lt": 0.5}), 2), ("time range, 50 %", field("created", range={"lt": middle}), 2),
        ("geo radius", field("place", geo_radius=circle), 2), ("geo radius, 30 %", field("place", geo_radius={**circle, "radius": 7000000.0}), 2), ("text, one word", field("title", match={"text": "word17"}), 2),
        ("text, two words", field("title", match={"text": "word17 word18"}), 2), ("three conditions", several, 2),
        ("any of 10,000 values", field("unique", match={"any": keys}), 5),
    ]
    found = [(f"count: {name}", "count", spec, {}, target) for name, spec, target in counts]
    for what, payload in (("ids", False), ("payloads", True)):
        found += [(f"scroll 100 {what}: {name}", "scroll", spec, {"payload": payload}, 0.3) for name, spec, _ in counts if "10,000" not in name]
    found += [("facet: 10 values", "facet", None, {"key": "k10"}, 20), ("facet: 1,000 values", "facet", None, {"key": "k1000"}, 20),
              ("facet: 1,000 values, filter 50 %", "facet", field("active", match={"value": True}), {"key": "k1000"}, 20),
              ("facet: 1,000 integers, filter 10 %", "facet", field("k10", match={"value": "kind-3"}), {"key": "n1000"}, 20),
              ("facet: as many values as points", "facet", None, {"key": "unique"}, 20),
              ("facet: the same, filter 10 %", "facet", field("k10", match={"value": "kind-3"}), {"key": "unique"}, 20),
              ("facet: the same, filter 0.1 %", "facet", field("k1000", match={"value": "group-7"}), {"key": "unique"}, 20)]
    return found


def measure(side, call):
    """CPU milliseconds and wall milliseconds a call, and the answer."""
    answer = call()
    gc.disable()
    cpu, start, done = side.cpu(), time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS_EACH or done < 3:
        call()
        done += 1
    wall = (time.perf_counter() - start) / done * 1e3
    used = (side.cpu() - cpu) / done * 1e3
    gc.enable()
    return used, wall, answer


def load(side, count):
    rng, cpu, start = random.Random(7), side.cpu(), time.perf_counter()
    for first in range(0, count, BATCH):
        side.upsert(first, [payload(rng, i, count) for i in range(first, min(first + BATCH, count))])
    return side.cpu() - cpu, time.perf_counter() - start


def build(side):
    """Seconds to index each field, one after another."""
    found = {}
    for name, kind in INDEXES.items():
        start = time.perf_counter()
        side.index(name, kind)
        found[name] = time.perf_counter() - start
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1000000)
    parser.add_argument("--no-peer", action="store_true")
    options = parser.parse_args()
    memory = "/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None  # the peer syncs its files with every batch
    folders = [pathlib.Path(tempfile.mkdtemp(prefix="vexfs-bench-", dir=place)) for place in (None, memory)]
    try:
        run(options, folders)
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def run(options, folders):
    with contextlib.ExitStack() as stack:
        sides = []
        for make, folder in [(Rest, folders[0])] + ([] if options.no_peer else [(Edge, folders[1])]):
            sides.append(make(folder / "data"))
            stack.callback(sides[-1].close)
        print_builds([fill(side, options.points, side is sides[0]) for side in sides])
        print(f"{'question':48} {'ours ms':>9} {'target':>7} {'peer ms':>9} {'ratio':>7}")
        for question in questions(options.points):
            print_answers(sides, *question)


def fill(side, count, ours):
    """Loads the points and builds the indexes; seconds by field."""
    cpu, wall = load(side, count)
    print(f"{side.name}: {count} points with {len(INDEXES)} fields in {wall:.0f} s, {cpu:.0f} s of CPU", file=sys.stderr, flush=True)
    if ours:
        unindexed = [measure(side, side.prepare("count", field(key, match={"value": value})))[0] for key, value in (("k10", "kind-3"), ("n1000", 77))]
        print(f"unindexed filter: {count / (sum(unindexed) / len(unindexed)) / 1e3:.1f} million points a second and core (at least 1)")
        before = rss(side.pid)
    cpu = side.cpu()
    times = build(side)
    start, built = time.perf_counter(), side.cpu() - cpu
    side.optimize()
    print(f"{side.name}: indexes in {sum(times.values()):.0f} s, {built:.0f} s of CPU, optimized in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    if ours:
        used, raw = rss(side.pid) - before, raw_total(count)
        print(f"memory of the indexes: {used / 2**20:.0f} MiB resident, {used / raw:.2f} of the raw values (less than 1.5)")
    return times


def print_builds(times):
    print(f"{'index build':40} {'ours s':>9} {'peer s':>9} {'ratio':>7}")
    for name, kind in INDEXES.items():
        ours, peer = times[0][name], times[1][name] if len(times) > 1 else 0
        print(f"{name + ' (' + kind + ')':40} {ours:9.2f} {peer:9.2f} {peer / ours:7.1f}")


def print_answers(sides, name, what, spec, more, target):
    found = [measure(side, side.prepare(what, spec, **more)) for side in sides]
    peer, note = (found[1][0], "") if len(found) > 1 else (0, "")
    if peer and found[0][2] != found[1][2]:
        note = f"  another answer: {found[0][2]}, the peer's {found[1][2]}"
    print(f"{name:48} {found[0][0]:9.3f} {target:7} {peer:9.3f} {peer / max(found[0][0], 1e-4):7.1f}{note}", flush=True)


if __name__ == "__main__":
    main()
