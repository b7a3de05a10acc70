"""A graph library as a program of its own, driven by search_sides.py: builds, then answers each width it reads with a round of queries.

peers_graph.py hnswlib|usearch|faiss DATA DIMENSIONS [EF_CONSTRUCTION]

DATA comes from graph_data.py. One thread; times are CPU of the process, figures are printed as bench_engine_graph -a prints them. All keep
f32 vectors and compare by squared Euclid (the order of unit vectors by cosine is the same). M 16.
"""
import pathlib
import re
import sys
import time

import numpy


class Hnswlib:
    def __init__(self, base, ef_construction):
        import hnswlib

        self.index = hnswlib.Index("l2", base.shape[1])
        self.index.init_index(len(base), ef_construction=ef_construction, M=16)
        self.index.add_items(base, num_threads=1)

    def search(self, queries, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k=10, num_threads=1)[0]

    def bytes(self):
        return self.index.index_file_size()


class Usearch:
    def __init__(self, base, ef_construction):
        from usearch.index import Index

        self.index = Index(ndim=base.shape[1], metric="l2sq", dtype="f32", connectivity=16, expansion_add=ef_construction)
        self.index.add(numpy.arange(len(base)), base, threads=1)

    def search(self, queries, ef):
        self.index.expansion_search = ef
        return self.index.search(queries, 10, threads=1).keys

    def bytes(self):
        return self.index.memory_usage


class Faiss:
    def __init__(self, base, ef_construction):
        import faiss

        faiss.omp_set_num_threads(1)
        self.index = faiss.IndexHNSWFlat(base.shape[1], 16)
        self.index.hnsw.efConstruction = ef_construction
        self.index.add(base)

    def search(self, queries, ef):
        self.index.hnsw.efSearch = ef
        return self.index.search(queries, 10)[1]

    def bytes(self):
        return self.index.ntotal * (self.index.d * 4 + 2 * 16 * 4 + 4)


SIDES = {"hnswlib": Hnswlib, "usearch": Usearch, "faiss": Faiss}


def anonymous():
    """Resident bytes that no file backs; the data is mapped, so it isn't among them."""
    return int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path("/proc/self/status").read_text()).group(1)) * 1024


def main():
    name, data, dimensions = sys.argv[1], sys.argv[2], int(sys.argv[3])
    ef_construction = int(sys.argv[4]) if len(sys.argv) > 4 else 200
    base = numpy.memmap(data + ".base", "f4", "r").reshape(-1, dimensions)
    queries = numpy.fromfile(data + ".query", "f4").reshape(-1, dimensions)
    truth = numpy.fromfile(data + ".truth", "i4").reshape(-1, 10)
    __import__(name)
    before, begin = anonymous(), time.process_time()
    side = SIDES[name](base, ef_construction)
    seconds = time.process_time() - begin
    print(f"built {len(base)} seconds {seconds:.2f} rate {len(base) / seconds:.0f}")
    print(f"resident {(anonymous() - before) / 1e6:.1f} MB")
    print(f"memory {side.bytes() / 1e6:.1f} MB", flush=True)
    for line in sys.stdin:
        ef = int(line)
        begin = time.process_time()
        labels = side.search(queries, ef)
        spent = time.process_time() - begin
        found = sum(len(set(a.tolist()) & set(b.tolist())) for a, b in zip(labels, truth))
        print(f"search ef {ef} recall {found / truth.size:.4f} us {spent / len(queries) * 1e6:.2f}", flush=True)


if __name__ == "__main__":
    main()
