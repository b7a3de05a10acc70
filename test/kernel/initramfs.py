"""Writes the archive that the machine's kernel unpacks as its root: our programs, their libraries, busybox."""
import os
import pathlib
import re
import stat
import subprocess

GUEST = pathlib.Path(__file__).parent / "guest"
FOLDERS = ("bin", "sbin", "usr/bin", "etc", "proc", "sys", "dev", "run", "tmp", "root", "modules", "tests")


class Archive:
    """A cpio archive (newc) in memory."""

    def __init__(self):
        self.parts = []
        self.names = set()

    def add(self, name, mode, data=b"", device=(0, 0)):
        if name in self.names:
            return
        folder = os.path.dirname(name)
        if folder and folder not in self.names:
            self.add(folder, stat.S_IFDIR | 0o755)
        self.names.add(name)
        raw = name.encode() + b"\0"
        fields = (len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        self.parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def add_file(self, name, path, mode=0o755):
        self.add(name, stat.S_IFREG | mode, pathlib.Path(path).read_bytes())

    def add_link(self, name, target):
        self.add(name, stat.S_IFLNK | 0o777, target.encode())

    def add_program(self, name, path):
        """A program with the shared libraries it needs, at the paths where the loader looks for them."""
        self.add_file(name, path)
        done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)  # static: nothing to add
        if "not found" in done.stdout:
            raise RuntimeError(f"{path} lacks a library:\n{done.stdout}")
        for library in re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout):
            self.add_file(library.lstrip("/"), os.path.realpath(library))

    def write(self, path):
        self.add("TRAILER!!!", 0)
        path.write_bytes(b"".join(self.parts))


def base_archive():
    """Busybox under all its names, and what starts the machine."""
    archive = Archive()
    for folder in FOLDERS:
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    archive.add_file("bin/busybox", "/usr/bin/busybox" if os.path.exists("/usr/bin/busybox") else "/bin/busybox")
    for applet in subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        archive.add_link(f"bin/{applet}", "/bin/busybox")
    archive.add_link("init", "/bin/busybox")
    archive.add_file("etc/inittab", GUEST / "inittab", 0o644)
    archive.add_file("etc/boot", GUEST / "boot")
    archive.add_file("bin/spawn", GUEST / "spawn")
    archive.add("etc/passwd", stat.S_IFREG | 0o644, b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    archive.add("etc/group", stat.S_IFREG | 0o644, b"root:x:0:\nnogroup:x:65534:\n")
    archive.add("etc/hosts", stat.S_IFREG | 0o644, b"127.0.0.1 localhost vexfs-test\n")
    return archive


def add_modules(archive, paths):
    """Kernel modules, loaded at boot in this order."""
    for path in paths:
        archive.add_file(f"modules/{path.name}", path, 0o644)
    archive.add("etc/modules", stat.S_IFREG | 0o644, "".join(f"/modules/{path.name}\n" for path in paths).encode())
