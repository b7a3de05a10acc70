"""Our server over gRPC, with requests that were serialised before the clock starts."""
import threading

import grpc as grpclib
from qdrant_client import grpc

OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def same(data):
    return data


class QdrantCalls:
    """A collection of unnamed vectors over Qdrant's gRPC interface."""

    def __init__(self, port):
        self.channel = grpclib.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS)
        self.name = None

    def call(self, method, message=b""):
        return self.channel.unary_unary(f"/qdrant.{method}", same, same)(message, timeout=120)

    def create(self, name, size=128):
        self.name = name
        params = grpc.VectorParams(size=size, distance=grpc.Distance.Euclid)
        request = grpc.CreateCollection(collection_name=name, vectors_config=grpc.VectorsConfig(params=params))
        self.call("Collections/Create", request.SerializeToString())

    def bodies(self, vectors, batch):
        """Upserts of `batch` points each that wait until they are durable and applied."""
        return [
            grpc.UpsertPoints(
                collection_name=self.name, wait=True,
                points=[
                    grpc.PointStruct(
                        id=grpc.PointId(num=i),
                        vectors=grpc.Vectors(vector=grpc.Vector(dense=grpc.DenseVector(data=vectors[i].tolist()))),
                    )
                    for i in range(at, min(at + batch, len(vectors)))
                ],
            ).SerializeToString()
            for at in range(0, len(vectors), batch)
        ]

    def ingest(self, bodies, in_flight):
        upsert = self.channel.unary_unary("/qdrant.Points/Upsert", same, same)
        room = threading.Semaphore(in_flight)
        calls = []
        for body in bodies:
            room.acquire()
            call = upsert.future(body, timeout=120)
            call.add_done_callback(lambda _: room.release())
            calls.append(call)
        for call in calls:
            answer = grpc.PointsOperationResponse.FromString(call.result())
            if answer.result.status != grpc.UpdateStatus.Completed:
                raise RuntimeError(f"an upsert is not completed: {answer}")

    def count(self):
        request = grpc.CountPoints(collection_name=self.name, exact=True).SerializeToString()
        return grpc.CountResponse.FromString(self.call("Points/Count", request)).result.count

    def query_bodies(self, queries, k):
        return [
            grpc.QueryPoints(
                collection_name=self.name, limit=k,
                query=grpc.Query(nearest=grpc.VectorInput(dense=grpc.DenseVector(data=q.tolist()))),
            ).SerializeToString()
            for q in queries
        ]

    def query(self, body):
        """Ids, nearest first."""
        return [hit.id.num for hit in grpc.QueryResponse.FromString(self.call("Points/Query", body)).result]

    def close(self):
        self.channel.close()
