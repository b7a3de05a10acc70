"""Vectors of known difficulty for the graph benchmark, with exact answers.

graph_data.py OUT COUNT DIMENSIONS SPECTRUM [cosine]   clustered synthetic vectors; 128 d: 0.6, 768 d: 0.5 with cosine
graph_data.py OUT FILE.npy                             real ones, normalised

Writes OUT.base, OUT.query (f32, row by row; 1,000 held-out queries) and OUT.truth (i32, the 10 nearest of each). The same arguments
give the same bytes.
"""
import sys

import numpy

QUERIES, NEAREST, CLUSTERS = 1000, 10, 1000


def clustered(count, dimensions, spectrum):
    """Clusters of Zipf sizes, each with its own scale and locally shuffled axes; a common offset; one rotation."""
    random = numpy.random.default_rng(1)
    sigma = (numpy.arange(1, dimensions + 1) ** -spectrum).astype("f4")
    weight = numpy.arange(1, CLUSTERS + 1) ** -0.8
    centres = random.standard_normal((CLUSTERS, dimensions)).astype("f4") * sigma
    cluster = random.choice(CLUSTERS, count, p=weight / weight.sum())
    scale = (0.5 * random.lognormal(0, 0.3, CLUSTERS)).astype("f4")
    groups = numpy.array_split(numpy.arange(dimensions), max(1, dimensions // 8))
    axes = numpy.array([numpy.concatenate([random.permutation(g) for g in groups]) for _ in range(CLUSTERS)])
    vectors = numpy.empty((count, dimensions), "f4")
    for start in range(0, count, 50000):
        own = cluster[start : start + 50000]
        noise = random.standard_normal((len(own), dimensions)).astype("f4")
        vectors[start : start + 50000] = centres[own] + noise * scale[own][:, None] * sigma[axes[own]]
    vectors += random.standard_normal(dimensions).astype("f4") * 0.3
    rotation, _ = numpy.linalg.qr(random.standard_normal((dimensions, dimensions)))
    return (vectors @ rotation.astype("f4")).astype("f4")


def exact(base, queries):
    truth = numpy.empty((len(queries), NEAREST), "i4")
    lengths = (base**2).sum(1)
    for start in range(0, len(queries), 50):
        distance = lengths[None] - 2 * queries[start : start + 50] @ base.T
        part = numpy.argpartition(distance, NEAREST, 1)[:, :NEAREST]
        order = numpy.take_along_axis(distance, part, 1).argsort(1)
        truth[start : start + 50] = numpy.take_along_axis(part, order, 1)
    return truth


def main():
    out = sys.argv[1]
    if sys.argv[2].endswith(".npy"):
        vectors, cosine = numpy.load(sys.argv[2]).astype("f4"), True
    else:
        count, dimensions, spectrum = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
        vectors, cosine = clustered(count + QUERIES, dimensions, spectrum), "cosine" in sys.argv[5:]
    if cosine:
        vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    held_out = numpy.zeros(len(vectors), bool)
    held_out[numpy.arange(QUERIES) * (len(vectors) // QUERIES)] = True
    base, queries = vectors[~held_out], vectors[held_out]
    base.tofile(out + ".base")
    queries.tofile(out + ".query")
    exact(base, queries).tofile(out + ".truth")
    print(base.shape)


if __name__ == "__main__":
    main()
