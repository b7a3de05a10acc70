"""One virtual machine: starts QEMU, waits for the shell inside, ends it by its process id, keeps its kernel log."""
import functools
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from test.lib.guest import Guest

# Without erms and fsrm the kernel copies by words; the emulation takes the fast string instructions a byte at a time.
CPU = {"tcg": "max,la57=off,-erms,-fsrm", "kvm": "host"}
PROBE_SECONDS = 5


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@functools.cache
def accelerator(kernel):
    """kvm or tcg. VEX_KERNEL_ACCEL decides; auto takes KVM where this kernel gets going on it."""
    wanted = os.environ.get("VEX_KERNEL_ACCEL", "auto")
    if wanted != "auto":
        return wanted
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    command = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", CPU["kvm"], "-m", "256", "-display", "none", "-serial", "stdio",
               "-monitor", "none", "-no-reboot", "-kernel", str(kernel), "-append", "console=ttyS0 panic=-1 earlyprintk=ttyS0"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False)
        seen = done.stdout
    except subprocess.TimeoutExpired as late:
        seen = late.stdout or b""
    return "kvm" if b"Unable to mount root" in seen else "tcg"


class Machine:
    """A machine from start to end; use it as a context. `guest` is its inside; `log_path` its kernel log, kept."""

    def __init__(self, kernel, initramfs, log_path, seconds, memory_mb=2048, arguments="", speed=1, share=False):
        self.kernel, self.initramfs, self.log_path = kernel, initramfs, pathlib.Path(log_path)
        self.deadline = time.monotonic() + seconds
        self.memory_mb, self.arguments, self.speed, self.share = memory_mb, arguments, speed, share
        self.process = self.guest = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vexfs-vm-"))
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def start(self):
        accel = accelerator(self.kernel)
        disk = self.folder / "disk"
        with open(disk, "wb") as file:
            file.truncate(4 << 30)
        subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", str(disk)], check=True)
        port = free_port()
        (self.folder / "agent").write_text(str(port))
        self.log_path.unlink(missing_ok=True)
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-accel", "tcg,thread=multi,tb-size=512" if accel == "tcg" else "kvm", "-cpu", CPU[accel], "-smp", "2,sockets=2",
            "-m", str(self.memory_mb), "-kernel", str(self.kernel), "-initrd", str(self.initramfs),
            "-append", f"console=ttyS0 loglevel=8 panic=-1 rdinit=/init net.ifnames=0 {self.arguments}",
            "-chardev", f"file,id=log,path={self.log_path}", "-serial", "chardev:log",
            "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe",
            "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:5000", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off",
        ]
        if self.share:  # this host's files, to be read: see stages.stage_connections
            command += ["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
                        "-device", "virtio-9p-pci,fsdev=host,mount_tag=host"]
        with open(self.folder / "stderr", "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        self.started = time.monotonic()
        self.guest = Guest(self.folder)
        self.wait_up()

    def wait_up(self):
        while True:
            self.check()
            try:
                if self.guest.run("echo up", timeout=5).strip() == "up":
                    return
            except (OSError, RuntimeError, TimeoutError):
                time.sleep(0.1)

    def check(self):
        """Raises when the machine has ended or its time is over."""
        if self.process.poll() is not None:
            text = (self.folder / "stderr").read_text(errors="replace")
            raise RuntimeError(f"the machine ended with {self.process.returncode}: {text[-2000:]}")
        if self.left() <= 0:
            raise TimeoutError("the machine's time is over")

    def processor_seconds(self):
        """What the emulator has computed so far: tells a slow stage from a busy host."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def left(self):
        """Seconds that the machine may still take."""
        return self.deadline - time.monotonic()

    def run(self, script, timeout=120, check=True):
        """As Guest.run, within the machine's own time. `timeout` is meant for the distribution's kernel."""
        self.check()
        return self.guest.run(script, min(timeout * self.speed, max(self.left(), 1)), check)

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(self, *_):
        self.end()
