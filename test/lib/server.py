"""Starts the server under test on free loopback ports with a data folder of its own.

With VEXFS_TEST_VM set the server runs inside that machine (test/lib/guest.py), reached through forwarded ports of the
same numbers; its data folder and its log lie there. VEXFS_TEST_SERVER_ARGS adds arguments to each server.
"""
import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid

from test.lib import guest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("VEXFS_TEST_SERVER", str(ROOT / "build/release/vexfs_server"))
GUEST = guest.from_environment()
GUEST_BINARY = "/usr/bin/vexfs_server"
MORE_ARGS = shlex.split(os.environ.get("VEXFS_TEST_SERVER_ARGS", ""))


def free_ports(count):
    """Ports that were free a moment ago; all are held together so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class Server:
    """One server process. `start` may be called again after `stop` or `kill`: same ports, same data.

    descriptors: the process's limit of open descriptors."""

    def __init__(self, data_dir=None, env=None, args=(), descriptors=None):
        self.own_dir = data_dir is None
        self.data_dir = pathlib.Path(data_dir or self.new_folder())
        self.env = dict(env or {})
        self.args = [*MORE_ARGS, *args]
        self.binary = GUEST_BINARY if GUEST else BINARY
        self.descriptors = descriptors
        self.ports = free_ports(4)
        self.http_port, self.grpc_port, self.chroma_port, self.native_port = self.ports
        if GUEST:
            for port in self.ports:
                GUEST.forward(port)
        self.log_path = self.data_dir.parent / (self.data_dir.name + ".log")
        self.process = None

    @staticmethod
    def new_folder():
        return f"/tmp/vexfs-test-{uuid.uuid4().hex[:12]}" if GUEST else tempfile.mkdtemp(prefix="vexfs-test-")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"

    def spawn(self):
        """Starts the process without waiting until it serves."""
        command = [
            self.binary, "--data-dir", str(self.data_dir), "--host", "0.0.0.0" if GUEST else "127.0.0.1",
            "--http-port", str(self.http_port), "--grpc-port", str(self.grpc_port),
            "--chroma-port", str(self.chroma_port), "--native-port", str(self.native_port), *self.args,
        ]
        if GUEST:
            self.process = guest.GuestProcess(GUEST, command, self.env, self.log_path, self.descriptors)
            return self
        if self.descriptors:
            command = ["sh", "-c", f'ulimit -n {self.descriptors}; exec "$@"', "sh", *command]
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
        """The last part of what the process printed."""
        if GUEST:
            return GUEST.run(f"tail -c 4000 {shlex.quote(str(self.log_path))} 2>/dev/null || :")
        return self.log_path.read_text(errors="replace")[-4000:] if self.log_path.exists() else ""

    def remove_log(self):
        if GUEST:
            GUEST.run(f"rm -f {shlex.quote(str(self.log_path))}")
        else:
            self.log_path.unlink(missing_ok=True)

    def proc(self, name):
        """The text of a file in the process's folder of /proc."""
        path = f"/proc/{self.process.pid}/{name}"
        return GUEST.run(f"cat {path}") if GUEST else pathlib.Path(path).read_text()

    def resident(self):
        """Bytes of memory that the process holds."""
        return int(self.proc("statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptor_count(self):
        path = f"/proc/{self.process.pid}/fd"
        return int(GUEST.run(f"ls {path} | wc -l")) if GUEST else len(os.listdir(path))

    def file_count(self):
        """Files in the data folder."""
        if GUEST:
            return int(GUEST.run(f"find {shlex.quote(str(self.data_dir))} -type f | wc -l"))
        return sum(len(names) for _, _, names in os.walk(self.data_dir))

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
        if GUEST:
            for port in self.ports:
                GUEST.unforward(port)
        if self.own_dir:
            if GUEST:
                GUEST.run(f"rm -rf {shlex.quote(str(self.data_dir))}")
            else:
                shutil.rmtree(self.data_dir, ignore_errors=True)
            self.remove_log()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()
