"""The graph against hnswlib on the same vectors: recall, time, build rate, memory; ratios at equal recall.

graph.py BENCH_ENGINE_GRAPH DATA DIMENSIONS l2|cosine [--peer-ef N] [--json FILE] [--plot FILE]

DATA comes from graph_data.py. hnswlib has M 16 and ef_construction 200 (--peer-ef), ours m 16 and ef_construct 100 and one refining
pass: the graphs are of like quality. Both sides use one thread, huge pages and CPU time; the best of three rounds counts. Run
it with GLIBC_TUNABLES=glibc.malloc.hugetlb=1, or the peer has small pages (it is set when it is missing).
"""
import argparse
import json
import os
import subprocess
import sys
import time

import numpy

LEVELS = (0.90, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995)


def ours(program, data, dimensions, metric):
    out = subprocess.run([program, data, str(dimensions), metric], capture_output=True, text=True, check=True).stdout
    result = {"curve": []}
    for line in out.splitlines():
        word = line.split()
        if word[0] == "search":
            result["curve"].append((float(word[4]), float(word[6]), int(word[2])))
        elif word[0] == "refined":
            result["rate"] = float(word[5])
        elif word[0] == "memory":
            result["memory"] = float(word[1])
    return result


def peer(data, dimensions, ef_construction):
    import hnswlib

    base = numpy.fromfile(data + ".base", "f4").reshape(-1, dimensions)
    queries = numpy.fromfile(data + ".query", "f4").reshape(-1, dimensions)
    truth = numpy.fromfile(data + ".truth", "i4").reshape(-1, 10)
    index = hnswlib.Index("l2", dimensions)
    index.init_index(len(base), ef_construction=ef_construction, M=16)
    begin = time.process_time()
    index.add_items(base, num_threads=1)
    spent = time.process_time() - begin
    curve = []
    for ef in (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384):
        index.set_ef(ef)
        best = 1e9
        for _ in range(3):
            begin = time.process_time()
            labels, _ = index.knn_query(queries, k=10, num_threads=1)
            best = min(best, time.process_time() - begin)
        found = sum(len(set(a) & set(b)) for a, b in zip(labels, truth))
        curve.append((found / truth.size, best / len(queries) * 1e6, ef))
    return {"curve": curve, "rate": len(base) / spent, "memory": index.index_file_size() / 1e6}


def at_recall(curve, level):
    """Microseconds at a recall, between the measured points; None outside of them."""
    for (low, before, _), (high, after, _) in zip(curve, curve[1:]):
        if low <= level <= high and high > low:
            return before + (after - before) * (level - low) / (high - low)
    return None


def plot(path, sides):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    for name, side in sides.items():
        pyplot.plot([p[0] for p in side["curve"]], [1e6 / p[1] for p in side["curve"]], "o-", label=name)
    pyplot.xlabel("recall of 10")
    pyplot.ylabel("queries per core-second")
    pyplot.yscale("log")
    pyplot.grid(True, which="both", alpha=0.3)
    pyplot.legend()
    pyplot.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "data"):
        parser.add_argument(name)
    parser.add_argument("dimensions", type=int)
    parser.add_argument("metric", choices=("l2", "cosine"))
    parser.add_argument("--peer-ef", type=int, default=200)
    parser.add_argument("--json")
    parser.add_argument("--plot")
    args = parser.parse_args()
    if "hugetlb" not in os.environ.get("GLIBC_TUNABLES", ""):
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    sides = {
        "vexfs": ours(args.program, args.data, args.dimensions, args.metric),
        "hnswlib": peer(args.data, args.dimensions, args.peer_ef),
    }
    print(f"{'recall':>8} {'vexfs us':>9} {'hnswlib us':>11} {'ratio':>6}")
    for level in LEVELS:
        own, other = (at_recall(side["curve"], level) for side in sides.values())
        ratio = f"{other / own:.2f}x" if own and other else "-"
        print(f"{level:>8} {own and round(own, 1) or '-':>9} {other and round(other, 1) or '-':>11} {ratio:>6}")
    for figure in ("rate", "memory"):
        own, other = (side[figure] for side in sides.values())
        better = own / other if figure == "rate" else other / own
        print(f"{figure:>8} {own:>9.0f} {other:>11.0f} {better:>5.2f}x")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as out:
            json.dump(sides, out, indent=1)
    if args.plot:
        plot(args.plot, sides)


if __name__ == "__main__":
    main()
