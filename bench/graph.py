"""The graph of the engine against hnswlib on one set of vectors: recall, time, build rate, memory; ratios at equal recall.

graph.py BENCH_ENGINE_GRAPH DATA DIMENSIONS l2|cosine [--peer-ef N] [--rounds N] [--json FILE]

DATA comes from graph_data.py. hnswlib has M 16 and ef_construction 200 (--peer-ef), ours m 16 and ef_construct 100 and one refining
pass: the graphs are of like quality. Both sides use one thread, huge pages and CPU time, rounds alternate, the best counts.
`make bench-search` does this for its sets, with more peers and a plot.
"""
import argparse
import json
import pathlib
import types

import search_report as report
import search_sides

LEVELS = (0.90, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "data"):
        parser.add_argument(name)
    parser.add_argument("dimensions", type=int)
    parser.add_argument("metric", choices=("l2", "cosine"))
    parser.add_argument("--peer-ef", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    args = parser.parse_args()
    count = pathlib.Path(args.data + ".base").stat().st_size // 4 // args.dimensions
    data = types.SimpleNamespace(path=args.data, dimensions=args.dimensions, cosine=args.metric == "cosine", name=args.data, count=count)
    sides = [search_sides.Side("vexfs", data, args.program), search_sides.Side("hnswlib", data, None, args.peer_ef)]
    try:
        if len(search_sides.build(sides)) != len(sides):
            return 1
        search_sides.sweep(sides, args.rounds)
    finally:
        for side in sides:
            side.close()
    print(f"{'recall':>8} {'vexfs us':>9} {'hnswlib us':>11} {'ratio':>6}")
    for level in LEVELS:
        own, other = (report.at_recall(side.curve, level) for side in sides)
        if own and other and own[0] == other[0] == level:
            print(f"{level:>8} {own[1]:>9.1f} {other[1]:>11.1f} {other[1] / own[1]:>5.2f}x")
    for figure in ("rate", "memory"):
        own, other = (side.figures[figure] for side in sides)
        print(f"{figure:>8} {own:>9.0f} {other:>11.0f} {own / other if figure == 'rate' else other / own:>5.2f}x")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({side.name: {**side.figures, "curve": side.curve} for side in sides}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
