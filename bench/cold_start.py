"""Time from starting the server to the first right answer, over gRPC, of a collection whose graph is on the disk.

cold_start.py --data FOLDER [--points 1000000] [--rounds 5]

The first run fills FOLDER (graph_data.py's clustered vectors of 128 dimensions, through gRPC) and waits until their graph is built; later
runs find it. Each round starts the server and asks at once; the clock runs from before exec to the answer, which must be the exact one for
the query (a stored point, found first, and at least 9 of its 10 nearest).
"""
import argparse
import pathlib
import subprocess
import sys
import time

import grpc as grpclib
import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from qdrant_client import grpc  # noqa: E402

from bench.peers_vexfs import QdrantCalls  # noqa: E402
from test.lib.server import Server  # noqa: E402

COLLECTION, DIMENSIONS, BATCH, NEAREST, PIECE = "cold", 128, 1000, 10, 50_000
GOAL, FLOOR = 0.05, 0.2


def fill(server, base, wait):
    calls = QdrantCalls(server.grpc_port)
    calls.create(COLLECTION, DIMENSIONS)
    for start in range(0, len(base), PIECE):
        upload(calls, base[start : start + PIECE], start)
    while wait:
        info = grpc.GetCollectionInfoResponse.FromString(
            calls.call("Collections/Get", grpc.GetCollectionInfoRequest(collection_name=COLLECTION).SerializeToString())
        ).result
        print(f"  {info.indexed_vectors_count} of {len(base)} in the graph", flush=True)
        if info.indexed_vectors_count >= len(base) and info.status == grpc.CollectionStatus.Green:
            return
        time.sleep(5)


def upload(calls, vectors, first):
    bodies = [
        grpc.UpsertPoints(
            collection_name=COLLECTION, wait=True,
            points=[
                grpc.PointStruct(
                    id=grpc.PointId(num=first + i), vectors=grpc.Vectors(vector=grpc.Vector(dense=grpc.DenseVector(data=vectors[i].tolist())))
                )
                for i in range(at, min(at + BATCH, len(vectors)))
            ],
        ).SerializeToString()
        for at in range(0, len(vectors), BATCH)
    ]
    calls.ingest(bodies, 4)


def ask(port, body):
    """The first answer; the server may not listen yet."""
    options = [("grpc.initial_reconnect_backoff_ms", 5), ("grpc.min_reconnect_backoff_ms", 5), ("grpc.max_reconnect_backoff_ms", 10), ("grpc.use_local_subchannel_pool", 1)]
    with grpclib.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        call = channel.unary_unary("/qdrant.Points/Search", lambda b: b, grpc.SearchResponse.FromString)
        return [p.id.num for p in call(body, timeout=60, wait_for_ready=True).result]


def one_round(server, query, truth):
    body = grpc.SearchPoints(collection_name=COLLECTION, vector=query.tolist(), limit=NEAREST).SerializeToString()
    begin = time.perf_counter()
    server.spawn()
    found = ask(server.grpc_port, body)
    first, spent = time.perf_counter() - begin, cpu_of(server)
    begin = time.perf_counter()
    ask(server.grpc_port, body)
    again = time.perf_counter() - begin
    right = found[:1] == list(truth[:1]) and len(set(found) & set(truth)) >= NEAREST - 1
    return first, spent, again, right


def cpu_of(server):
    """Seconds of CPU that all threads of the process have used: what the clock would hardly exceed if nobody else were at work."""
    tasks = pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder that is kept between runs")
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--drop-caches", action="store_true", help="read everything from the disk anew (needs root)")
    args = parser.parse_args()
    folder = pathlib.Path(args.data)
    folder.mkdir(parents=True, exist_ok=True)
    vectors = folder / "vectors"
    if not vectors.with_suffix(".base").exists():
        program = pathlib.Path(__file__).with_name("graph_data.py")
        subprocess.run([sys.executable, str(program), str(vectors), str(args.points), str(DIMENSIONS), "0.6"], check=True)
    base = numpy.fromfile(f"{vectors}.base", "f4").reshape(-1, DIMENSIONS)
    server = Server(data_dir=folder / "server")
    if not (folder / "filled").exists():
        with server:
            fill(server, base, True)
        (folder / "filled").touch()
    random, times, faults = numpy.random.default_rng(int(time.time())), [], 0
    for number in range(args.rounds):
        which = int(random.integers(len(base)))
        distance = ((base - base[which]) ** 2).sum(1)
        truth = [int(i) for i in numpy.argsort(distance, kind="stable")[:NEAREST]]
        if args.drop_caches:
            subprocess.run(["sync"], check=True)
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        first, spent, again, right = one_round(server, base[which], truth)
        server.stop()
        times.append(first)
        faults += not right
        print(f"round {number}: {first * 1000:.1f} ms from start to answer ({'right' if right else 'WRONG'}), server {spent * 1000:.1f} ms of CPU, next call on a new connection {again * 1000:.1f} ms")
    if not times:
        return 0
    best = min(times)
    print(f"{len(base)} x {DIMENSIONS}: best {best * 1000:.1f} ms, median {sorted(times)[len(times) // 2] * 1000:.1f} ms, goal {GOAL * 1000:.0f} ms, floor {FLOOR * 1000:.0f} ms")
    return 1 if faults or best > FLOOR else 0


if __name__ == "__main__":
    sys.exit(main())
