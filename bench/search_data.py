"""Data sets of the search bench: vectors, held-out queries and their exact answers in files that all sides read."""
import pathlib
import subprocess
import sys

import numpy

HERE = pathlib.Path(__file__).resolve().parent


class Data:
    """Files PATH.base, PATH.query and PATH.truth, made by graph_data.py."""

    def __init__(self, folder, name, arguments, cosine):
        self.name, self.cosine = name, cosine
        self.path = str(folder / name.replace(" ", ""))
        command = [sys.executable, str(HERE / "graph_data.py"), self.path, *arguments, *(["cosine"] if cosine else [])]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        self.truth = numpy.fromfile(self.path + ".truth", "i4").reshape(-1, 10)
        self.dimensions = pathlib.Path(self.path + ".query").stat().st_size // 4 // len(self.truth)
        self.base = numpy.memmap(self.path + ".base", "f4", "r").reshape(-1, self.dimensions)
        self.queries = numpy.fromfile(self.path + ".query", "f4").reshape(-1, self.dimensions)
        self.count = len(self.base)


def short(count):
    return f"{count // 1_000_000}M" if count % 1_000_000 == 0 else f"{count // 1000}k"


def synthetic(folder, count, dimensions):
    """graph_data.py's clusters: squared Euclid below 256 dimensions, cosine above, as such embeddings are compared."""
    cosine = dimensions >= 256
    return Data(folder, f"{short(count)} x {dimensions}", [str(count), str(dimensions), "0.5" if cosine else "0.6"], cosine)


def real(folder, file):
    """Vectors from a .npy file, compared by cosine; called after the file, or its folder when that says more."""
    file = pathlib.Path(file).resolve()
    name = file.name.split(".")[0]
    return Data(folder, file.parent.name if name == "vectors" else name, [str(file)], True)
