"""A small kernel with the kernel's own checkers, built from the distribution's source package and kept between runs."""
import os
import shutil
import subprocess

from test.kernel.distribution import CACHE, download, output

HERE = CACHE / "debug"
OPTIONS = __file__.replace("debug_kernel.py", "debug.config")
PACKAGE = "linux-source-6.1"


def candidate():
    """The version of the source package that the archive has."""
    for line in output("apt-cache", "policy", PACKAGE).splitlines():
        if "Candidate:" in line:
            return line.split()[1]
    raise RuntimeError(f"the archive has no {PACKAGE}")


def unpack(version):
    """The sources, unpacked once per version."""
    source = HERE / PACKAGE
    mark = HERE / "unpacked"
    if source.exists() and mark.exists() and mark.read_text() == version:
        return source
    package = download(PACKAGE, version, HERE)
    shutil.rmtree(source, ignore_errors=True)
    pieces = f"dpkg-deb --fsys-tarfile {package} | tar -xOf - ./usr/src/{PACKAGE}.tar.xz | xz -dc -T0 | tar -xf - -C {HERE}"
    subprocess.run(["bash", "-o", "pipefail", "-c", pieces], check=True)
    mark.write_text(version)
    return source


def configure(source):
    """tinyconfig and our options; every option that was asked for must have been taken."""
    with open(OPTIONS, encoding="utf-8") as text:
        options = text.read()
    stamp = source / "vexfs.config"
    if stamp.exists() and stamp.read_text() == options:
        return
    output("make", "-s", "tinyconfig", cwd=source)
    output("./scripts/kconfig/merge_config.sh", "-m", ".config", OPTIONS, cwd=source)
    output("make", "-s", "olddefconfig", cwd=source)
    taken = (source / ".config").read_text().splitlines()
    lost = [line for line in options.splitlines() if line.startswith("CONFIG_") and line.endswith("=y") and line not in taken]
    if lost:
        raise RuntimeError(f"the debug kernel does not take {', '.join(lost)}")
    stamp.write_text(options)


def build():
    """(release, path of the kernel, None, folder to build modules against)."""
    source = unpack(candidate())
    configure(source)
    log = CACHE / "debug-build.log"
    print(f"building the debug kernel (its log: {log})", flush=True)
    with open(log, "wb") as out:
        done = subprocess.run(["make", f"-j{os.cpu_count()}", "bzImage", "modules"], cwd=source, stdout=out, stderr=out, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the debug kernel does not build:\n{log.read_text(errors='replace')[-3000:]}")
    release = (source / "include/config/kernel.release").read_text().strip()
    return release, source / "arch/x86/boot/bzImage", None, source
