"""The search bench: engine, gRPC, REST, index build, filters, changes, memory, cold start beside their peers. One table, one plot, one file.

Everything runs on this machine and on loopback, sides in turn, the best of the rounds counts; times are CPU. Speeds are compared at equal
recall (k 10), by interpolation between measured beams. Ratios above 1 are to our advantage. See README.md for what each row means.
"""
import argparse
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import types

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import run  # noqa: E402
import search_data  # noqa: E402
import search_reference  # noqa: E402
import search_report as report  # noqa: E402
import search_rest  # noqa: E402
import search_server  # noqa: E402
import search_sides  # noqa: E402

FULL = {"narrow": 1_000_000, "wide": 200_000, "rest": 100_000, "ingest": 50_000, "rounds": 3, "seconds": 1.0}
# Collections get a graph beyond 10,000 KB of vectors: 20,000 points of 128 dimensions have none.
QUICK = {"narrow": 50_000, "wide": 20_000, "rest": 30_000, "ingest": 10_000, "rounds": 2, "seconds": 0.5}
# Row, floor and goal by recall against hnswlib; floor and goal of the build.
NARROW = (1, {0.95: (1.8, 3.0), 0.99: (1.8, 3.0)}, (1.4, 3.0))
WIDE = (2, {0.96: (1.8, 4.5), 0.99: (1.8, 4.5)}, (2.0, 3.0))
REAL = (13, {0.95: (1.8, 3.0), 0.99: (1.8, 3.0)}, (1.4, 3.0))


def available(names):
    found = []
    for name in names:
        try:
            __import__(name)
            found.append(name)
        except ImportError:
            report.missing(2, f"{name} is not installed")
    return found


def engine(sets, options):
    """Rows 1, 2, 6 and 13 of (data, peers, expectations); resident megabytes of hnswlib by data set."""
    sides = {data: [search_sides.Side(name, data, search_server.program("bench_engine_graph")) for name in ["vexfs", *peers]] for data, peers, _ in sets}
    resident = {}
    try:
        stand = search_sides.build([side for some in sides.values() for side in some])
        for data, _, (number, bounds, rate_bounds) in sets:
            ready = [side for side in sides[data] if side in stand]
            if not ready:
                continue
            search_sides.measure(number, ready, sorted(bounds), bounds, options.rounds, rate_bounds)
            resident[data] = next((side.figures.get("resident") for side in ready if side.name == "hnswlib"), None)
    finally:
        for some in sides.values():
            for side in some:
                side.close()
    return resident


def ingest(options):
    """Row 7, as run.py measures it."""
    run.started = time.monotonic()
    run.ingest(types.SimpleNamespace(points=options.ingest, rounds=1))
    for row in run.rows:
        if row["what"].startswith(("durable", "server CPU, over")) and row["section"] == "ingest":
            report.add(
                7, f"ingest of {options.ingest // 1000}k x 128: {row['what']}", row["unit"], row["ours"], row["peer"], row["peer_name"],
                smaller="CPU" in row["what"], floor=20 if "CPU" in row["what"] else None, goal=60 if "CPU" in row["what"] else None,
            )
            if row["what"].startswith("server CPU, over gRPC"):
                report.add(
                    7, f"ingest of {options.ingest // 1000}k x 128: {row['what']}", row["unit"], row["ours"], search_reference.QDRANT_INGEST_US,
                    "Qdrant (reference machine)", floor=2, goal=4,
                )
    for note in run.notes:
        report.missing(7, note)


def guarded(number, what, *arguments):
    try:
        return what(*arguments)
    except Exception as error:  # noqa: BLE001: the other rows still count
        report.missing(number, f"{type(error).__name__}: {str(error)[:300]}")
        return None


def measure(folder, options):
    def wanted(*rows):
        return not options.rows or set(rows) & set(options.rows)

    report.say("making the vectors and their exact answers")
    sets, resident, narrow = [], {}, None
    if wanted(1, 3, 4, 6, 8, 9, 10, 11, 12):
        narrow = search_data.synthetic(folder, options.narrow, 128)
        if wanted(1, 6, 10):
            sets.append((narrow, available(["hnswlib"]), NARROW))
    if wanted(2, 6):
        sets.append((search_data.synthetic(folder, options.wide, 768), available(["hnswlib", "usearch", "faiss"]), WIDE))
    for file in options.vectors if wanted(13) else []:
        sets.append((search_data.real(folder, file), available(["hnswlib", "usearch", "faiss"]), REAL))
    if sets:
        resident = guarded(1, engine, sets, options) or {}
    if wanted(3, 4, 8, 9, 10, 11, 12):
        guarded(4, search_server.measure, folder, narrow, options, resident.get(narrow))
    if wanted(5):
        guarded(5, lambda: search_rest.measure(folder, search_data.synthetic(folder, options.rest, 128), options))
    if wanted(7):
        guarded(7, ingest, options)


def settings():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", type=int, metavar="row", help="only these rows (1 to 13)")
    parser.add_argument("--quick", action="store_true", help="50k x 128 and 20k x 768, under four minutes; else 1M and 200k, under 35")
    parser.add_argument("--vectors", action="append", default=[], metavar="FILE.npy", help="real vectors beside the synthetic ones (row 13)")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench-search", help="folder of search.json, search.png and search.svg")
    parser.add_argument("--rounds", type=int, help="rounds of each side")
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    return options


def main():
    options, found = settings(), report.machine()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers end and folders go
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-search-"))
    try:
        measure(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    written = report.write(options.out, found, vars(options))
    seconds = f"{time.monotonic() - report.started:.0f} s" + (", quick" if options.quick else "")
    print(f"{found['cpu']}, {found['cores']} cores, load {found['load']:.1f} at the start; {seconds}")
    report.table()
    print("written: " + ", ".join(str(path) for path in written))
    return 1 if report.notes else 0


if __name__ == "__main__":
    sys.exit(main())
