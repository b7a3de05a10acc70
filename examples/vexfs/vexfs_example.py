#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The public VexFS requests from Python, with nothing but ctypes: 10,000 vectors with ids go in, the exact nearest come
out, wrong requests get their errno. Needs the module loaded and the right to open its device; exit code 1 when anything
is not as it should be.
"""
import array
import ctypes
import errno
import fcntl
import os
import random
import sys

COUNT, DIMENSIONS, K = 10_000, 32, 10
FLOAT32, EUCLIDEAN = 1, 0


class FileInfo(ctypes.Structure):
    _fields_ = [
        ("dimensions", ctypes.c_uint32),
        ("element_type", ctypes.c_uint32),
        ("vector_count", ctypes.c_uint32),
        ("storage_format", ctypes.c_uint32),
        ("data_offset", ctypes.c_uint64),
        ("index_offset", ctypes.c_uint64),
        ("compression_type", ctypes.c_uint32),
        ("alignment_bytes", ctypes.c_uint32),
    ]


class SearchRequest(ctypes.Structure):
    _fields_ = [
        ("query_vector_bits", ctypes.c_void_p),
        ("dimensions", ctypes.c_uint32),
        ("k", ctypes.c_uint32),
        ("search_type", ctypes.c_uint32),
        ("reserved0", ctypes.c_uint32),
        ("results_bits", ctypes.c_void_p),
        ("result_ids", ctypes.c_void_p),
        ("result_count", ctypes.c_uint32),
        ("reserved1", ctypes.c_uint32),
    ]


class InsertRequest(ctypes.Structure):
    _fields_ = [
        ("vectors_bits", ctypes.c_void_p),
        ("vector_count", ctypes.c_uint32),
        ("dimensions", ctypes.c_uint32),
        ("vector_ids", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("reserved0", ctypes.c_uint32),
    ]


def number(direction, nr, struct):
    """The request's number, as <linux/ioctl.h> makes it: 1 = the kernel reads, 2 = it writes."""
    return direction << 30 | ctypes.sizeof(struct) << 16 | ord("V") << 8 | nr


SET_META = number(1, 1, FileInfo)
GET_META = number(2, 2, FileInfo)
SEARCH = number(3, 3, SearchRequest)
INSERT = number(1, 4, InsertRequest)

wrong = 0


def check(good, what):
    global wrong
    print(f"  {what:<46} {'as it should be' if good else 'WRONG'}")
    wrong += not good


def refuse(fd, request, param, expected, what):
    try:
        fcntl.ioctl(fd, request, param)
        got = 0
    except OSError as error:
        got = error.errno
    check(got == expected, f"{what}: {os.strerror(got) if got else 'accepted'}")


def address(values):
    return values.buffer_info()[0]


def search(fd, query, k=K, dimensions=DIMENSIONS):
    distances, ids = array.array("f", [0] * K), array.array("Q", [0] * K)
    request = SearchRequest(address(query), dimensions, k, EUCLIDEAN, 0, address(distances), address(ids), 0, 0)
    fcntl.ioctl(fd, SEARCH, request)
    return list(zip(distances, ids))[: request.result_count]


def main():
    draw = random.Random(7)
    # Small integers: every distance is exact.
    vectors = [[draw.randint(-8, 8) for _ in range(DIMENSIONS)] for _ in range(COUNT)]
    ids = array.array("Q", (500 + 3 * i for i in range(COUNT)))
    flat = array.array("f", (value for vector in vectors for value in vector))

    fd = os.open("/dev/vexfs_v2_phase3", os.O_RDWR)
    refuse(fd, SET_META, FileInfo(0, FLOAT32), errno.EINVAL, "0 dimensions")
    refuse(fd, SET_META, FileInfo(1 << 20, FLOAT32), errno.EINVAL, "too many dimensions")
    refuse(fd, GET_META, FileInfo(), errno.ENOTCONN, "GET_VECTOR_META of nothing")
    fcntl.ioctl(fd, SET_META, FileInfo(DIMENSIONS, FLOAT32))
    insert = InsertRequest(address(flat), COUNT, DIMENSIONS, address(ids), 0, 0)
    fcntl.ioctl(fd, INSERT, insert)
    info = FileInfo()
    fcntl.ioctl(fd, GET_META, info)
    check(info.vector_count == COUNT and info.dimensions == DIMENSIONS, "10,000 vectors are there")

    for start in (0, 4999, 9999):
        query = [value + (i % 2) for i, value in enumerate(vectors[start])]
        expected = sorted((sum((a - b) ** 2 for a, b in zip(query, vector)), i) for i, vector in enumerate(vectors))[:K]
        got = search(fd, array.array("f", query))
        check(got == [(float(d), ids[i]) for d, i in expected], "the ten nearest, their ids and distances")

    insert.dimensions = DIMENSIONS + 1
    refuse(fd, INSERT, insert, errno.EINVAL, "vectors of other dimensions")
    insert.dimensions = DIMENSIONS
    refuse(fd, INSERT, insert, errno.EEXIST, "ids that are there already")
    insert.vectors_bits = 8
    refuse(fd, INSERT, insert, errno.EFAULT, "a bad address of the vectors")
    insert.vector_count = 0
    refuse(fd, INSERT, insert, errno.EINVAL, "no vectors")
    query = array.array("f", vectors[0])
    bad = SearchRequest(address(query), DIMENSIONS, K, EUCLIDEAN, 0, 8, 8, 0, 0)
    refuse(fd, SEARCH, bad, errno.EFAULT, "a bad address of the results")
    bad.k = 0
    refuse(fd, SEARCH, bad, errno.EINVAL, "k of 0")
    bad.k, bad.dimensions = K, DIMENSIONS - 1
    refuse(fd, SEARCH, bad, errno.EINVAL, "a query of other dimensions")
    os.close(fd)
    print("all as it should be" if wrong == 0 else "something is wrong")
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
