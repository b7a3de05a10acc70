"""One command, one table: ratios of the server against real peers, everything on loopback.

Both sides of a row run on this machine, in turn, several rounds; the best round of each side counts, so that a busy moment harms
neither. Speeds are per second of wall time; CPU is that of the server process alone. A ratio above 1 is to our advantage.
See README.md for what each row means.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import numpy  # noqa: E402
from peers_chroma import ChromaCalls, ChromaServer  # noqa: E402
from peers_process import cpu_seconds, end, rss, until  # noqa: E402
from peers_vexfs import QdrantCalls  # noqa: E402

from test.lib.server import BINARY, Server, free_ports  # noqa: E402

DIMENSIONS, BATCH, K, QUERIES, IN_FLIGHT = 128, 1000, 10, 200, 4
LIMIT_SECONDS = 330
started = time.monotonic()
rows = []
notes = []


def left():
    return LIMIT_SECONDS - (time.monotonic() - started)


def row(section, what, unit, ours, peer, peer_name, smaller_is_better=False, target=None):
    """peer None: a figure without a counterpart."""
    ratio = None if not peer or not ours else (peer / ours if smaller_is_better else ours / peer)
    rows.append({
        "section": section, "what": what, "unit": unit, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": ratio, "target": target,
    })


def say(text):
    print(text, file=sys.stderr, flush=True)


def binary(name):
    """A benchmark in C of the same build as the server."""
    return pathlib.Path(BINARY).parent / "bench" / name


def clustered(count, seed=1):
    """Vectors around 100 centres, as embeddings tend to lie."""
    rng = numpy.random.default_rng(seed)
    centres = rng.standard_normal((100, DIMENSIONS)).astype("f4")
    return centres[rng.integers(0, 100, count)] + 0.5 * rng.standard_normal((count, DIMENSIONS)).astype("f4")


# Ingest and search


def measure_load(calls, pid, vectors, queries, truth):
    """Loads everything and asks the queries one by one. Returns figures of one round."""
    calls.create("bench")
    bodies = calls.bodies(vectors, BATCH)
    asked = calls.query_bodies(queries, K)
    cpu, start = cpu_seconds(pid), time.perf_counter()
    calls.ingest(bodies, IN_FLIGHT)
    wall = time.perf_counter() - start
    calls.query(asked[0])  # what a first query still has to do belongs to the ingest
    ingest_cpu = cpu_seconds(pid) - cpu
    if calls.count() != len(vectors):
        raise RuntimeError(f"{calls.count()} points of {len(vectors)} arrived")
    cpu, start, hits = cpu_seconds(pid), time.perf_counter(), 0
    for body, right in zip(asked, truth):
        hits += len(set(calls.query(body)) & right)
    return {
        "points": len(vectors) / wall, "ingest_us": ingest_cpu / len(vectors) * 1e6, "query_ms": (time.perf_counter() - start) / len(asked) * 1e3,
        "query_us": (cpu_seconds(pid) - cpu) / len(asked) * 1e6, "recall": hits / len(asked) / K,
    }


def our_round(dialect, *data):
    with Server() as server:
        calls = QdrantCalls(server.grpc_port) if dialect == "gRPC" else ChromaCalls(server.chroma_port)
        return measure_load(calls, server.process.pid, *data)


def chroma_round(*data):
    server = ChromaServer(free_ports(1)[0])
    try:
        server.start()
        return measure_load(ChromaCalls(server.port), server.pid, *data)
    finally:
        server.close()


def best(rounds):
    return {
        "points": max(r["points"] for r in rounds), "ingest_us": min(r["ingest_us"] for r in rounds),
        "query_ms": min(r["query_ms"] for r in rounds), "query_us": min(r["query_us"] for r in rounds), "recall": min(r["recall"] for r in rounds),
    }


def ingest(options):
    vectors, queries = clustered(options.points), clustered(QUERIES, 2)
    norms = (vectors**2).sum(axis=1)
    truth = [set(numpy.argpartition(norms - 2 * vectors @ q, K)[:K].tolist()) for q in queries]
    data = (vectors, queries, truth)
    sides = {"gRPC": lambda: our_round("gRPC", *data), "Chroma port": lambda: our_round("Chroma port", *data), "Chroma": lambda: chroma_round(*data)}
    figures = {side: [] for side in sides}
    for number in range(options.rounds):
        for side, run in list(sides.items()):
            if number > 0 and left() < 120:
                continue
            say(f"ingest of {options.points} points, {side}, round {number + 1}")
            try:
                figures[side].append(run())
            except Exception as error:  # noqa: BLE001: one side out of order leaves the others
                notes.append(f"ingest through {side}: {type(error).__name__}: {str(error)[:300]}")
                del sides[side]
    peer = best(figures["Chroma"]) if figures["Chroma"] else None
    for side in ("gRPC", "Chroma port"):
        if not figures[side]:
            continue
        ours = best(figures[side])
        row("ingest", f"durable and searchable, over {side}", "points/s", ours["points"], peer and peer["points"], "Chroma", target="10x")
        row("ingest", f"server CPU, over {side}", "us a point", ours["ingest_us"], peer and peer["ingest_us"], "Chroma", smaller_is_better=True)
        recall = f"recall {ours['recall']:.3f}" + (f" against {peer['recall']:.3f}" if peer else "")
        row("search", f"lone query over {side}, {recall}", "ms", ours["query_ms"], peer and peer["query_ms"], "Chroma", smaller_is_better=True)
        row("search", f"server CPU, over {side}", "us a query", ours["query_us"], peer and peer["query_us"], "Chroma", smaller_is_better=True)


# A call that does nothing


def load(port, method, in_flight, seconds):
    """Calls a second that the load generator reports."""
    command = [binary("bench_grpc_load"), f"127.0.0.1:{port}", method, str(in_flight), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    found = re.search(r"([\d.]+) calls/s", done.stdout)
    if done.returncode != 0 or not found:
        raise RuntimeError(f"the load generator failed: {done.stdout}{done.stderr}")
    return float(found.group(1))


def per_call(pid, port, method, in_flight, seconds):
    cpu, start = cpu_seconds(pid), time.perf_counter()
    rate = load(port, method, in_flight, seconds)
    return (cpu_seconds(pid) - cpu) / (rate * min(seconds, time.perf_counter() - start)) * 1e6, rate


def empty_call(options):
    for name in ("bench_grpc_echo", "bench_grpc_load"):
        if not binary(name).exists():
            notes.append(f"empty call: {name} is not built")
            return
    port = free_ports(1)[0]
    method = "/qdrant.Qdrant/HealthCheck"
    echo = subprocess.Popen([binary("bench_grpc_echo"), str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        with Server() as server:
            until(lambda: answers(port, method), 20, "the echo server does not answer")
            for in_flight in (1, 8, 64):
                say(f"empty call, {in_flight} in flight")
                ours, peer = [], []
                for _ in range(options.rounds):
                    ours.append(per_call(server.process.pid, server.grpc_port, method, in_flight, 2))
                    peer.append(per_call(echo.pid, port, method, in_flight, 2))
                row("call", f"HealthCheck, server CPU, {in_flight} in flight", "us a call", min(ours)[0], min(peer)[0], "C-core echo",
                    smaller_is_better=True, target="0.67x" if in_flight == 64 else None)
                row("call", f"HealthCheck, {in_flight} in flight", "calls/s", max(r for _, r in ours), max(r for _, r in peer), "C-core echo")
    finally:
        end(echo)


def answers(port, method):
    try:
        load(port, method, 1, 1)
        return True
    except (RuntimeError, subprocess.TimeoutExpired):
        return False


# Exact search against memory


def exact(options):
    for name, arguments in (("bench_uapi_search", ["3"]), ("bench_engine_exact", ["100000", "10"])):
        if not binary(name).exists():
            notes.append(f"exact search: {name} is not built")
            continue
        say(name)
        done = subprocess.run([binary(name), *arguments], capture_output=True, text=True, timeout=max(20, min(100, left())))
        if done.returncode != 0:
            notes.append(f"{name} ended with {done.returncode}: {done.stderr[-300:]}")
            continue
        if name == "bench_engine_exact":
            read = float(re.search(r"plain read\s+([\d.]+) ms", done.stdout).group(1))
            one = float(re.search(r"one query\s+([\d.]+) ms", done.stdout).group(1))
            eight = float(re.search(r"eight in a batch\s+([\d.]+) ms", done.stdout).group(1))
            row("exact", "engine, 100k x 128 f32, one query", "ms", one, read, "reading it", smaller_is_better=True)
            row("exact", "engine, 100k x 128 f32, a query of eight", "ms", eight / 8, read, "reading it", smaller_is_better=True)
            continue
        for line in done.stdout.splitlines():
            fields = line.split()
            if len(fields) == 10 and fields[1] == "128" and fields[0] != "elem":
                row("exact", f"device, {fields[0]} x 128, {fields[2]} slots", "GB/s", float(fields[5]), float(fields[4]), "reading it")


# A thousand empty collections


def thousand(create, count, pid, start, stop, again):
    for i in range(20):
        create(f"warm-{i}")
    memory, begin = rss(pid()), time.perf_counter()
    for i in range(1000):
        create(f"empty-{i}")
    created = (time.perf_counter() - begin) / 1000 * 1e3
    memory = (rss(pid()) - memory) / 1000 / 1024
    stop()
    begin = time.perf_counter()
    start()
    again()
    if count() != 0:
        raise RuntimeError("an empty collection is not empty")
    return created, memory, time.perf_counter() - begin


def empty_collections(options):
    def ours():
        with Server() as server:
            calls = [QdrantCalls(server.grpc_port)]

            def again():
                calls[0].close()
                calls[0] = QdrantCalls(server.grpc_port)
                calls[0].name = "empty-999"

            return thousand(
                lambda name: calls[0].create(name), lambda: calls[0].count(), lambda: server.process.pid, server.start, server.stop, again
            )

    def chroma():
        server = ChromaServer(free_ports(1)[0])
        try:
            server.start()
            calls = [ChromaCalls(server.port)]

            def again():
                path, calls[0] = calls[0].path, ChromaCalls(server.port)
                calls[0].path = path

            return thousand(lambda name: calls[0].create(name), lambda: calls[0].count(), lambda: server.pid, server.start, server.stop, again)
        finally:
            server.close()

    figures = []
    for side, run in (("ours", ours), ("Chroma", chroma)):
        say(f"1,000 empty collections, {side}")
        try:
            figures.append(run())
        except Exception as error:  # noqa: BLE001
            notes.append(f"empty collections, {side}: {type(error).__name__}: {str(error)[:300]}")
            figures.append(None)
    if figures[0]:
        for i, (what, unit) in enumerate((("create", "ms"), ("memory", "KB"), ("restart with 1,000", "s"))):
            row("empty collection", what, unit, figures[0][i], figures[1] and figures[1][i], "Chroma", smaller_is_better=True)


SECTIONS = {"ingest": ingest, "call": empty_call, "exact": exact, "empty": empty_collections}


def figure(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def table():
    head = ["", "ours", "peer", "ratio", "wanted", "unit", "peer is"]
    lines = [
        [f"{r['section']}: {r['what']}", figure(r["ours"]), figure(r["peer"]), f"{r['ratio']:.2f}x" if r["ratio"] else "-", r["target"] or "", r["unit"],
         r["peer_name"]]
        for r in rows
    ]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    for line in [head, *lines]:
        cells = [cell.ljust(width) if i in (0, 5, 6) else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())
    for note in notes:
        print(f"not measured: {note}")


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"cpu": model.group(1) if model else "unknown", "cores": os.cpu_count(), "load": os.getloadavg()[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="section", help=f"{', '.join(SECTIONS)}; default: all")
    parser.add_argument("--points", type=int, default=50_000, help="points of the ingest (default 50000)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each side (default 2)")
    parser.add_argument("--json", metavar="FILE", help="also writes the figures there")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"unknown section: {', '.join(sorted(unknown))}")
    options.points = max(BATCH, options.points // BATCH * BATCH)
    found = machine()
    for name, run in SECTIONS.items():
        if options.sections and name not in options.sections:
            continue
        if left() < 30:
            notes.append(f"{name}: no time left")
            continue
        try:
            run(options)
        except Exception as error:  # noqa: BLE001: the other sections still count
            notes.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
    print(f"{found['cpu']}, {found['cores']} cores, load {found['load']:.1f} at the start; {time.monotonic() - started:.0f} s")
    table()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"machine": found, "rows": rows, "not_measured": notes}, indent=1) + "\n")
    return 1 if notes else 0


if __name__ == "__main__":
    sys.exit(main())
