"""Requests of the search bench, serialised before the clock starts, in the files that bench_grpc_load and bench_rest_load read."""
import json
import struct

import numpy
from qdrant_client import grpc

NAME = "cold"  # what cold_start.py calls its collection, so that it can use the same folder
SHARES = 10_000  # values of the fields that filters go by


def write_frames(path, messages):
    with open(path, "wb") as out:
        for message in messages:
            out.write(struct.pack("<I", len(message)))
            out.write(message)
    return path


def read_frames(path):
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        size = struct.unpack_from("<I", data, at)[0]
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


# Points. The library takes 30 us to serialise one; these are its bytes (checked for the first), ten times as fast.


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def sized(tag, data):
    return tag + varint(len(data)) + data


def payload(fields):
    out = b""
    for key, value in fields.items():
        held = sized(b"\x22", value.encode()) if isinstance(value, str) else b"\x18" + varint(value)
        out += sized(b"\x1a", sized(b"\x0a", key.encode()) + sized(b"\x12", held))
    return out


class Points:
    """The points of a data set with payloads: `any` is independent of the vectors, `near` rises with the distance from the first one."""

    def __init__(self, data):
        self.base = data.base
        random = numpy.random.default_rng(3)
        self.any = random.integers(0, SHARES, data.count)
        distance = ((data.base - data.base[0]) ** 2).sum(1)
        self.near = numpy.empty(data.count, "i8")
        self.near[numpy.argsort(distance, kind="stable")] = numpy.arange(data.count) * SHARES // data.count

    def fields(self, i):
        i %= len(self.base)
        return {"any": int(self.any[i]), "near": int(self.near[i]), "title": f"the title of the point with the number {i}"}

    def upsert(self, ids):
        """One request for these points; ids beyond the set repeat its vectors."""
        dense = b"\x0a" + varint(self.base.shape[1] * 4)
        size = len(dense) + self.base.shape[1] * 4
        inner = b"\xaa\x06" + varint(size) + dense
        middle = b"\x0a" + varint(len(inner) + self.base.shape[1] * 4) + inner
        outer = b"\x22" + varint(len(middle) + self.base.shape[1] * 4) + middle
        out = [sized(b"\x0a", NAME.encode()), b"\x10\x01"]
        for i in ids:
            vector = self.base[i % len(self.base)].tobytes()
            out.append(sized(b"\x1a", sized(b"\x0a", b"\x08" + varint(i)) + payload(self.fields(i)) + outer + vector))
        return b"".join(out)

    def check(self):
        point = grpc.UpsertPoints.FromString(self.upsert([5])).points[0]
        held = {key: value.integer_value if value.HasField("integer_value") else value.string_value for key, value in point.payload.items()}
        if point.id.num != 5 or held != self.fields(5) or list(point.vectors.vector.dense.data) != self.base[5].tolist():
            raise RuntimeError("points are not serialised as the library does it")


def batches(points, ids, size=1000):
    return (points.upsert(ids[at : at + size]) for at in range(0, len(ids), size))


def deletes(ids, size=1000):
    for at in range(0, len(ids), size):
        listed = grpc.PointsIdsList(ids=[grpc.PointId(num=int(i)) for i in ids[at : at + size]])
        yield grpc.DeletePoints(collection_name=NAME, wait=True, points=grpc.PointsSelector(points=listed)).SerializeToString()


# Searches


def below(field, share):
    """Filter: so large a share of the points (0..1)."""
    return {"key": field, "range": {"lt": round(share * SHARES)}}


def searches(queries, ef, condition=None, with_payload=False, collection=NAME):
    """Over gRPC."""
    spec = None
    if condition:
        spec = grpc.Filter(must=[grpc.Condition(field=grpc.FieldCondition(key=condition["key"], range=grpc.Range(lt=condition["range"]["lt"])))])
    return [
        grpc.QueryPoints(
            collection_name=collection, limit=10, query=grpc.Query(nearest=grpc.VectorInput(dense=grpc.DenseVector(data=q.tolist()))), filter=spec,
            params=grpc.SearchParams(hnsw_ef=ef), with_payload=grpc.WithPayloadSelector(enable=with_payload),
        ).SerializeToString()
        for q in queries
    ]


def found(answer):
    return [hit.id.num for hit in grpc.QueryResponse.FromString(answer).result]


def rest_searches(queries, ef):
    return [json.dumps({"query": q.tolist(), "limit": 10, "params": {"hnsw_ef": ef}}).encode() for q in queries]


def rest_found(answer):
    return [hit["id"] for hit in json.loads(answer)["result"]["points"]]


def recall(answers, truth):
    """Of lists of ids against lists of right ones, which may be shorter than ten."""
    hits = sum(len(set(a) & set(t)) for a, t in zip(answers, truth))
    return hits / sum(len(t) for t in truth)
