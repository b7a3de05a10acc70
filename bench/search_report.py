"""Rows of the search bench: ratios at equal recall, the table, the figures as JSON, the plot."""
import json
import os
import pathlib
import re
import sys
import time

import search_reference as reference

started = time.monotonic()
rows = []
notes = []
curves = {}  # panel -> side -> points (recall, microseconds, beam)
marks = {}  # panel -> name -> single points (recall, microseconds)


def say(text):
    print(f"[{time.monotonic() - started:5.0f} s] {text}", file=sys.stderr, flush=True)


def add(number, what, unit, ours, peer, peer_name, *, smaller=True, recall=None, floor=None, goal=None, judged=None, **more):
    """A row. peer None: a figure without a counterpart. recall: (ours, peer's). floor and goal: of the ratio (above 1: to our advantage);
    judged: (floor, goal, verdict) in words, where they are of something else. more: goes into the file of figures."""
    ratio = None if not peer or not ours else (peer / ours if smaller else ours / peer)
    rows.append({
        "row": number, "what": what, "unit": unit, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": ratio, "recall": recall,
        "floor": floor, "goal": goal, "judged": judged, **more,
    })
    say(f"row {number} {what}: {figure(ours)} {unit}, {peer_name} {figure(peer)}" + (f", {ratio:.2f}x" if ratio else ""))


def missing(number, why):
    notes.append(f"row {number}: {why}")
    say(f"row {number} is missing: {why}")


def at_recall(curve, level):
    """(recall, microseconds) between the measured points; the cheapest point when all have a better recall, None when none reaches it."""
    points = sorted(curve, key=lambda p: p[2])
    if points and points[0][0] >= level:
        return points[0][0], points[0][1]
    for (low, before, _), (high, after, _) in zip(points, points[1:]):
        if low < level <= high:
            return level, before + (after - before) * (level - low) / (high - low)
    return None


def at_levels(number, what, unit, panel, ours, others, levels, bounds):
    """Rows of one side against others at equal recall; bounds: level -> (floor, goal) against the first of the others."""
    for level in levels:
        own = at_recall(curves[panel].get(ours, []), level)
        for i, name in enumerate(others):
            peer = at_recall(curves[panel].get(name, []), level)
            if own is None or peer is None:
                missing(number, f"{what} at recall {level}: {ours if own is None else name} does not reach it")
                continue
            floor, goal = bounds.get(level, (None, None)) if i == 0 else (None, None)
            add(number, f"{what} at recall {level}", unit, own[1], peer[1], name, recall=(own[0], peer[0]), floor=floor, goal=goal)


def figure(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def verdict(row):
    if row["judged"]:
        return row["judged"][2]
    if row["ratio"] is None or row["floor"] is None:
        return ""
    if row["goal"] is not None and row["ratio"] >= row["goal"]:
        return "goal"
    return "floor" if row["ratio"] >= row["floor"] else "BELOW"


def bound(row, which):
    if row["judged"]:
        return row["judged"][which == "goal"]
    return "" if row[which] is None else f"{row[which]:.3g}x"


def table():
    head = ["row", "what", "ours", "peer", "ratio", "floor", "goal", "", "recall", "unit", "peer is"]
    lines = [
        [
            str(r["row"]), r["what"], figure(r["ours"]), figure(r["peer"]), f"{r['ratio']:.2f}x" if r["ratio"] else "-", bound(r, "floor"),
            bound(r, "goal"), verdict(r), " / ".join(f"{value:.3f}" for value in r["recall"]) if r["recall"] else "", r["unit"], r["peer_name"] or "",
        ]
        for r in sorted(rows, key=lambda r: r["row"])
    ]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    left = (1, 7, 8, 9, 10)
    for line in [head, *lines]:
        print("  ".join(cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))).rstrip())
    if any("reference" in (r["peer_name"] or "") for r in rows):
        print(f"reference: {reference.SOURCE}")
    for note in notes:
        print(f"not measured: {note}")


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"cpu": model.group(1) if model else "unknown", "cores": os.cpu_count(), "load": os.getloadavg()[0]}


def write(folder, found, options):
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "machine": found, "reference": reference.SOURCE, "options": options, "seconds": time.monotonic() - started, "rows": rows,
        "not_measured": notes, "curves": curves, "marks": marks,
    }
    (folder / "search.json").write_text(json.dumps(figures, indent=1, default=str) + "\n")
    written = ["search.json"]
    if curves:
        written += plot(folder)
    return [folder / name for name in written]


def plot(folder):
    try:
        import matplotlib
    except ImportError:
        missing(0, "the plot: matplotlib is not there")
        return []
    matplotlib.use("Agg")
    from matplotlib import pyplot

    fig, axes = pyplot.subplots(1, len(curves), figsize=(5.6 * len(curves), 4.6), squeeze=False)
    for axis, (panel, sides) in zip(axes[0], curves.items()):
        for name, curve in sides.items():
            points = sorted(curve, key=lambda p: p[2])
            width = 2.2 if name.startswith("vexfs") else 1.2
            axis.plot([p[0] for p in points], [1e6 / p[1] for p in points], "o-", markersize=3, linewidth=width, label=name)
        for name, points in marks.get(panel, {}).items():
            axis.plot([p[0] for p in points], [1e6 / p[1] for p in points], "x", markersize=7, label=name)
        axis.set(title=panel, xlabel="recall of 10", yscale="log")
        if curves[panel]:
            axis.set_xlim(left=max(0.8, min(p[0] for c in sides.values() for p in c) - 0.005), right=1.002)
        axis.grid(True, which="both", alpha=0.25)
        axis.legend(fontsize=8)
    axes[0][0].set_ylabel("queries per core-second")
    fig.tight_layout()
    for kind in ("png", "svg"):
        fig.savefig(folder / f"search.{kind}", dpi=130)
    pyplot.close(fig)
    return ["search.png", "search.svg"]
