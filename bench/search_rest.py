"""Row 5: searches over HTTP, ours through Qdrant's REST and through the Chroma port, against the real Chroma server.

Both servers run side by side, one works at a time. The same generator drives all; eight connections.
"""
import contextlib
import json
import types

import search_report as report
import search_wire as wire
from peers_chroma import ChromaCalls, ChromaServer, Http
from search_server import Bench, program, run_load

from test.lib.server import free_ports

CONNECTIONS = 8
WIDTHS = (10, 16, 32, 48, 64, 100, 160, 256, 400)


class Rest:
    """Ours, Qdrant's interface."""

    name = "vexfs REST"

    def __init__(self, bench):
        self.pid, self.port, self.path = bench.pid, bench.server.http_port, f"/collections/{wire.NAME}/points/query"

    def bodies(self, queries, ef):
        return wire.rest_searches(queries, ef)

    def found(self, answer):
        return wire.rest_found(answer)


class Chroma:
    """A port that speaks Chroma's interface; the beam is a setting of the collection there."""

    def __init__(self, name, pid, port, data):
        self.name, self.pid, self.port, self.ef = name, pid, port, 100
        self.calls = ChromaCalls(port)
        self.calls.create("bench")
        self.calls.ingest(self.calls.bodies(data.base, 1000), 4)
        self.path = self.calls.path + "/query"

    def bodies(self, queries, ef):
        if ef != self.ef:
            Http(self.port).must("PUT", self.calls.path, json.dumps({"new_configuration": {"hnsw": {"ef_search": ef}}}))
            self.ef = ef
        return self.calls.query_bodies(queries, 10)

    def found(self, answer):
        return [int(i) for i in json.loads(answer)["ids"][0]]


def point(side, data, ef, seconds, folder):
    """(recall, server CPU us, beam)"""
    requests, replies = folder / "rest-requests", folder / "rest-answers"
    wire.write_frames(requests, side.bodies(data.queries, ef))
    command = [program("bench_rest_load"), "-o", replies, side.port, side.path, CONNECTIONS, seconds, requests]
    result = run_load(command, side.pid, seconds)
    answered = [(side.found(a), t) for a, t in zip(wire.read_frames(replies), data.truth.tolist()) if a]
    return wire.recall([a for a, _ in answered], [t for _, t in answered]), result["us"], ef


def sweep(sides, data, seconds, rounds, folder):
    """Curves, beams up to a recall of 0.99; sides in turn."""
    best, done = {side: {} for side in sides}, set()
    for number in range(rounds):
        for ef in WIDTHS:
            for side in sides:
                if side in done if number == 0 else ef not in best[side]:
                    continue
                recall, us, _ = point(side, data, ef, seconds, folder)
                best[side][ef] = (recall, min(us, best[side].get(ef, (0, us))[1]), ef)
                if number == 0 and recall >= 0.99:
                    done.add(side)
    return {side.name: [curve[ef] for ef in sorted(curve)] for side, curve in best.items()}


def measure(folder, data, options):
    folder = folder / "rest"
    with contextlib.ExitStack() as stack:
        chroma = ChromaServer(free_ports(1)[0])
        stack.callback(chroma.close)
        bench = Bench(folder, data, types.SimpleNamespace(seconds=options.seconds, rounds=1, quick=options.quick))
        stack.callback(bench.close)
        bench.start()
        chroma.start()
        bench.calls.create(wire.NAME, data.dimensions)
        bench.load("/qdrant.Points/Upsert", wire.batches(bench.points, range(data.count)), 0, in_flight=4, answers=False)
        bench.settle(data.count)
        report.say(f"{data.name}: loading Chroma and our Chroma port")
        sides = [Rest(bench), Chroma("vexfs Chroma port", bench.pid, bench.server.chroma_port, data), Chroma("Chroma", chroma.pid, chroma.port, data)]
        bench.settle(data.count)  # and what the Chroma port took is linked by then: the server rests
        panel = f"over HTTP, {data.name}"
        report.curves[panel] = sweep(sides, data, options.seconds, min(options.rounds, 2), folder)
        for side in sides[:2]:
            what = f"{side.name} search, {data.name}, {CONNECTIONS} connections,"
            report.at_levels(5, what, "us server CPU", panel, side.name, ["Chroma"], (0.99,), {0.99: (15, 40)})
