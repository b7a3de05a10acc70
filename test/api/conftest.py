"""One server for a module of tests; a test that stops or starves its server starts one of its own."""
import pytest
from qdrant_client import QdrantClient

from test.lib.server import Server


@pytest.fixture(scope="module")
def server():
    with Server() as running:
        yield running
        assert running.process.poll() is None, f"the server ended by itself:\n{running.log()}"


def connect(server, grpc):
    return QdrantClient(
        host="127.0.0.1", port=server.http_port, grpc_port=server.grpc_port, prefer_grpc=grpc, timeout=30, check_compatibility=False
    )


@pytest.fixture(params=["grpc", "rest"])
def client(server, request):
    """The official client, once over gRPC and once over REST."""
    connected = connect(server, request.param == "grpc")
    yield connected
    connected.close()
