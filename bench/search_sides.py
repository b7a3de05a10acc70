"""Graphs in process, each in a program of its own that builds and then answers rounds when asked: ours and other libraries.

Builds run two at a time, one thread each, the longest first. Rounds alternate: one program works, the others wait. Times are CPU.
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

import search_report as report
from peers_process import end

HERE = pathlib.Path(__file__).resolve().parent
WIDTHS = (10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 768)
ENOUGH = 0.995
# Rough microseconds to build a point and dimension: only to begin with what takes longest.
WEIGHT = {"vexfs": 1, "hnswlib": 4, "faiss": 5, "usearch": 6}


class Side:
    """One program; `build` returns when its graph stands."""

    def __init__(self, name, data, engine, ef_construction=200):
        self.name, self.data = name, data
        if name == "vexfs":
            self.command = [str(engine), "-a", data.path, str(data.dimensions), "cosine" if data.cosine else "l2"]
        else:
            self.command = [sys.executable, str(HERE / "peers_graph.py"), name, data.path, str(data.dimensions), str(ef_construction)]
        self.figures, self.process, self.best = {}, None, {}

    def build(self):
        report.say(f"{self.data.name}: {self.name} builds")
        env = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        while "memory" not in self.figures:
            word = self.line()
            key, value = (word[0], word[5]) if word[0] in ("built", "refined") else (word[0], word[1])
            self.figures["rate" if word[0] in ("built", "refined") else key] = float(value)  # with refining, when there is any
        report.say(f"{self.data.name}: {self.name} stands, {self.figures['rate']:,.0f} points a CPU second")
        return self

    def line(self):
        text = self.process.stdout.readline()
        if not text:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()}")
        return text.split()

    def ask(self, ef):
        """One round of all queries; its recall."""
        self.process.stdin.write(f"{ef}\n")
        self.process.stdin.flush()
        word = self.line()
        recall, us = float(word[4]), float(word[6])
        self.best[ef] = (recall, min(us, self.best.get(ef, (0, us))[1]), ef)
        return recall

    @property
    def curve(self):
        return [self.best[ef] for ef in sorted(self.best)]

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            end(self.process, 5)


def build(sides):
    """All of them, two at a time. Those that failed are noted and left out."""
    def cost(side):
        return WEIGHT[side.name] * side.data.count * (side.data.dimensions + 200)

    stand = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = {side: pool.submit(side.build) for side in sorted(sides, key=cost, reverse=True)}
    for side in sides:
        try:
            stand.append(jobs[side].result())
        except Exception as error:  # noqa: BLE001: the others still count
            report.missing(1, f"{side.name} on {side.data.name}: {type(error).__name__}: {str(error)[:200]}")
            side.close()
    return stand


def sweep(sides, rounds):
    """Rounds in turn over all sides of one set; curves up to the recall that is enough."""
    done = {side: False for side in sides}
    asked = {side: [] for side in sides}
    for ef in WIDTHS:
        for side in sides:
            if not done[side]:
                asked[side].append(ef)
                done[side] = side.ask(ef) >= ENOUGH
    for _ in range(rounds - 1):
        for ef in WIDTHS:
            for side in sides:
                if ef in asked[side]:
                    side.ask(ef)


def measure(number, sides, levels, bounds, rounds, rate_bounds):
    """The rows of one data set."""
    data, begin = sides[0].data, time.monotonic()
    names = {side.name: "vexfs engine" if side.name == "vexfs" else side.name for side in sides}
    sweep(sides, rounds)
    report.curves[data.name] = {names[side.name]: side.curve for side in sides}
    others = [side.name for side in sides if side.name != "vexfs"]
    report.at_levels(number, f"engine, {data.name}", "us a query", data.name, "vexfs engine", others, levels, bounds)
    ours = next((side for side in sides if side.name == "vexfs"), None)
    for i, side in enumerate(sides):
        if ours is None or side is ours:
            continue
        floor, goal = rate_bounds if side.name == "hnswlib" else (None, None)
        recalls = tuple(s.best[64][0] if 64 in s.best else s.curve[-1][0] for s in (ours, side))
        report.add(
            6, f"index build, {data.name}, recall at beam 64", "points a CPU-s", ours.figures["rate"], side.figures["rate"], side.name, smaller=False,
            recall=recalls, floor=floor, goal=goal,
        )
    report.say(f"{data.name}: rounds took {time.monotonic() - begin:.0f} s")
