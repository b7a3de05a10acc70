"""The inside of a test machine, as a test sees it from outside: run shell text, start processes, forward ports.

A machine is described by a folder that holds `agent` (the loopback port behind which each connection is a shell in the
machine) and `qmp` (the control socket of the emulator). VEXFS_TEST_VM names that folder.
"""
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import threading
import time

END = re.compile(rb"\n@@exit=(\d+)\n$")


class GuestError(RuntimeError):
    """What ran in the machine failed, or the machine does not answer."""


class Guest:
    """One running machine."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.agent_port = int((self.folder / "agent").read_text())
        self.qmp_lock = threading.Lock()

    def run(self, script, timeout=60, check=True):
        """Runs shell text in the machine; its output and, with check=False, (exit code, output)."""
        text = "exec 2>&1\n(\n" + script + "\n) </dev/null\nprintf '\\n@@exit=%d\\n' $?\nexit\n"
        out, end = b"", time.monotonic() + timeout
        with socket.create_connection(("127.0.0.1", self.agent_port), timeout=timeout) as sock:
            sock.sendall(text.encode())
            while not (found := END.search(out[-40:])):
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no end after {timeout} s of: {script}\n{out.decode(errors='replace')[-4000:]}")
                sock.settimeout(left)
                try:
                    piece = sock.recv(1 << 16)
                except TimeoutError:
                    continue
                if not piece:
                    raise GuestError(f"the machine hung up in: {script}\n{out.decode(errors='replace')[-4000:]}")
                out += piece
        code, output = int(found.group(1)), out[: out.rindex(b"\n@@exit=")].decode(errors="replace")
        if not check:
            return code, output
        if code != 0:
            raise GuestError(f"exit code {code} of: {script}\n{output[-4000:]}")
        return output

    def qmp(self, *commands):
        """Sends commands to the emulator; the last answer."""
        with self.qmp_lock, socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(str(self.folder / "qmp"))
            stream = sock.makefile("rw")
            stream.readline()
            answer = None
            for name, arguments in (("qmp_capabilities", {}), *commands):
                stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
                stream.flush()
                while "event" in (answer := json.loads(stream.readline() or '{"return": "gone"}')):
                    pass
                if "error" in answer:
                    raise GuestError(f"{name}: {answer['error']}")
            return answer["return"]

    def forward(self, port):
        """A loopback port of the host leads to the same port of the machine."""
        self.qmp(("human-monitor-command", {"command-line": f"hostfwd_add tcp:127.0.0.1:{port}-:{port}"}))

    def unforward(self, port):
        self.qmp(("human-monitor-command", {"command-line": f"hostfwd_remove tcp:127.0.0.1:{port}"}))


class GuestProcess:
    """A process in the machine, with the methods of subprocess.Popen that the tests use."""

    def __init__(self, guest, command, env, log_path, descriptors=None):
        self.guest = guest
        self.returncode = None
        words = ["spawn", log_path, descriptors or "", "env", *(f"{name}={value}" for name, value in env.items()), *command]
        self.state, pid = guest.run(" ".join(shlex.quote(str(word)) for word in words)).split()
        self.pid = int(pid)

    def poll(self):
        if self.returncode is None:
            text = self.guest.run(f"cat {self.state}/code 2>/dev/null || :").strip()
            if text:
                code = int(text)
                self.returncode = 128 - code if code > 128 else code  # a shell says 128 + signal
                self.guest.run(f"rm -r {self.state}")
        return self.returncode

    def wait(self, timeout=None):
        end = time.monotonic() + (timeout or 3600)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.state, timeout)
            time.sleep(0.02)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            self.guest.run(f"kill -{int(number)} {self.pid}", check=False)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def from_environment():
    """The machine of VEXFS_TEST_VM, or None: everything runs on this host."""
    folder = os.environ.get("VEXFS_TEST_VM")
    return Guest(folder) if folder else None
