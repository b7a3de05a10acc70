"""The real Chroma server from PyPI, and the HTTP calls that both it and our Chroma port answer.

Bodies are built before the clock starts. Embeddings travel as base64, which costs the peer less than decimal numbers.
"""
import base64
import http.client
import json
import pathlib
import shutil
import subprocess
import tempfile
import threading

from peers_process import end, until

ROOT = pathlib.Path(__file__).resolve().parents[1]
BASE = "/api/v2/tenants/default_tenant/databases/default_database/collections"


class ChromaServer:
    """`chroma run` on a free port with a folder of its own."""

    name = "Chroma"

    def __init__(self, port):
        self.port = port
        self.folder = tempfile.mkdtemp(prefix="bench-chroma-")
        self.process = None
        self.log = None

    def start(self):
        self.log = open(pathlib.Path(self.folder) / "log", "ab")
        command = [ROOT / "build/venv/bin/chroma", "run", "--path", f"{self.folder}/data", "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        until(self.ready, 60, "the Chroma server does not answer")
        return self

    def ready(self):
        if self.process.poll() is not None:
            raise RuntimeError("the Chroma server ended: " + (pathlib.Path(self.folder) / "log").read_text()[-1000:])
        try:
            return Http(self.port).call("GET", "/api/v2/heartbeat")[0] == 200
        except OSError:
            return False

    def stop(self):
        if self.process is not None:
            end(self.process)
            self.process = None
            self.log.close()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self):
        return self.process.pid


class Http:
    """One connection that is kept."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def call(self, method, path, body=None):
        self.connection.request(method, path, body, {"content-type": "application/json"})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def must(self, method, path, body=None):
        status, answer = self.call(method, path, body)
        if status not in (200, 201):
            raise RuntimeError(f"{method} {path}: {status} {answer[:300]!r}")
        return json.loads(answer) if answer else None


def packed(vector):
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


class ChromaCalls:
    """A collection on any port that speaks Chroma's interface; squared Euclid, as the real server's default."""

    def __init__(self, port):
        self.port = port
        self.http = Http(port)
        self.path = None

    def create(self, name):
        found = self.http.must("POST", BASE, json.dumps({"name": name, "get_or_create": False}))
        self.path = f"{BASE}/{found['id']}"

    @staticmethod
    def bodies(vectors, batch):
        """Requests of `batch` points each, as bytes."""
        return [
            json.dumps({"ids": [str(i) for i in range(at, at + batch)], "embeddings": [packed(v) for v in vectors[at : at + batch]]}).encode()
            for at in range(0, len(vectors), batch)
        ]

    def ingest(self, bodies, in_flight):
        queue = iter(bodies)
        lock = threading.Lock()
        faults = []

        def send():
            http_ = Http(self.port)
            try:
                while True:
                    with lock:
                        body = next(queue, None)
                    if body is None:
                        return
                    http_.must("POST", self.path + "/add", body)
            except Exception as error:  # noqa: BLE001: handed to the caller below
                faults.append(error)

        threads = [threading.Thread(target=send) for _ in range(in_flight)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]

    def count(self):
        return self.http.must("GET", self.path + "/count")

    @staticmethod
    def query_bodies(queries, k):
        return [json.dumps({"query_embeddings": [q.tolist()], "n_results": k, "include": ["distances"]}).encode() for q in queries]

    def query(self, body):
        """Ids, nearest first."""
        return [int(i) for i in self.http.must("POST", self.path + "/query", body)["ids"][0]]
