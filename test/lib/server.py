"""Starts the server under test on free loopback ports with a data folder of its own."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("VEXFS_TEST_SERVER", str(ROOT / "build/release/vexfs_server"))


def free_ports(count):
    """Ports that were free a moment ago; all are held together so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class Server:
    """One server process. `start` may be called again after `stop` or `kill`: same ports, same data."""

    def __init__(self, data_dir=None, env=None, args=(), binary=BINARY):
        self.own_dir = data_dir is None
        self.data_dir = pathlib.Path(data_dir or tempfile.mkdtemp(prefix="vexfs-test-"))
        self.env = dict(env or {})
        self.args = list(args)
        self.binary = binary
        self.http_port, self.grpc_port, self.chroma_port, self.native_port = free_ports(4)
        self.log_path = self.data_dir.parent / (self.data_dir.name + ".log")
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"

    def spawn(self):
        """Starts the process without waiting until it serves."""
        command = [
            self.binary, "--data-dir", str(self.data_dir), "--host", "127.0.0.1",
            "--http-port", str(self.http_port), "--grpc-port", str(self.grpc_port),
            "--chroma-port", str(self.chroma_port), "--native-port", str(self.native_port), *self.args,
        ]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **self.env}, stdout=log, stderr=log)
        return self

    def start(self, timeout=30):
        self.spawn()
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=30):
        end = time.monotonic() + timeout
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log()}")
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            if time.monotonic() > end:
                raise TimeoutError(f"the server is not ready after {timeout} s:\n{self.log()}")
            time.sleep(0.01)

    def log(self):
        return self.log_path.read_text(errors="replace")[-4000:] if self.log_path.exists() else ""

    def stop(self, timeout=30):
        """SIGTERM; returns the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self.process = None
        return code

    def kill(self):
        """SIGKILL, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        if self.own_dir:
            shutil.rmtree(self.data_dir, ignore_errors=True)
            self.log_path.unlink(missing_ok=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()
