"""What a machine is filled with: the module, the programs of the release build, and where each lies in it."""
import functools
import pathlib
import re
import shutil
import subprocess

from test.kernel import distribution, initramfs
from test.lib.server import BINARY, ROOT

CACHE = distribution.CACHE
SOURCES = ROOT / "src/uapi/kmod"
CHECKED = ROOT / "build/checked"
# Test programs that speak to the real device; the others of their layer need no machine. (One of those reads up to the
# end of a page with masked loads, for which QEMU's emulation, unlike any processor, takes a fault.)
SOURCES_OF_UNITS = (ROOT / "test/unit").glob("uapi_*.c")
DEVICE_UNITS = sorted(path.stem for path in SOURCES_OF_UNITS if "VEXFS_TEST_DEVICE" in path.read_text(encoding="utf-8"))
UNITS = [*DEVICE_UNITS, "uapi_dev_embed"]
FUZZ = ROOT / "test/kernel/fuzz.c"
EXAMPLES = ROOT / "examples/vexfs"
DRIVERS = ("virtio_pci", "virtio_blk", "virtio_net", "ext4", "crc32c_generic", "9pnet_virtio", "9p")
PYTHON = "/usr/bin/python3"


def command(*words, **more):
    """Runs a command; its output only when it fails."""
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))} ends with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def build_module(headers, folder, sources=SOURCES):
    """The module for the kernel of these headers, built in `folder`; its path."""
    shutil.rmtree(folder, ignore_errors=True)
    out = command("make", "-C", sources, f"KDIR={headers}", f"BUILD={folder}", "modules")
    own = [line for line in out.splitlines() if "WARNING: modpost" in line or re.match(rf"{folder}/.*warning:", line)]
    if own:  # the kernel's headers are not ours to mend
        raise RuntimeError("the module builds with warnings:\n" + "\n".join(own))
    return folder / "vexfs.ko"


@functools.cache
def programs():
    """Builds what runs inside beside the server: path in the machine -> path here."""
    command("cmake", "--preset", "checked", cwd=ROOT)
    command("cmake", "--build", CHECKED, "--target", *(f"unit_{unit}" for unit in UNITS), "-j2")
    found = {f"tests/unit_{unit}": CHECKED / f"test/unit_{unit}" for unit in UNITS}
    built = CACHE / "programs"
    shutil.rmtree(built, ignore_errors=True)
    built.mkdir(parents=True)
    include = (f"-I{ROOT / 'src'}", f"-I{ROOT / 'src/uapi'}")
    if FUZZ.exists():
        command("gcc", "-std=gnu17", "-O2", "-static", "-D_GNU_SOURCE", *include, FUZZ, "-o", built / "fuzz", "-lpthread")
        found["tests/fuzz"] = built / "fuzz"
    for source in sorted(EXAMPLES.glob("*.c")):
        command("gcc", "-std=gnu17", "-O2", "-static", "-D_GNU_SOURCE", *include, source, "-o", built / source.stem, "-lm")
        found[f"tests/example_{source.stem}"] = built / source.stem
    return found


def add_python(archive, scripts):
    """The distribution's Python with no more of its library than these scripts import."""
    if not scripts:
        return
    text = "import sys, modulefinder\nfinder = modulefinder.ModuleFinder()\nfor s in sys.argv[1:]: finder.run_script(s)\n"
    text += "import encodings.utf_8, encodings.ascii, encodings.latin_1, io, os, site, codecs\n"
    text += "files = {m.__file__ for m in (*finder.modules.values(), *sys.modules.values()) if getattr(m, '__file__', None)}\n"
    text += "print('\\n'.join(sorted(f for f in files if f.startswith('/usr/lib'))))"
    archive.add_program(PYTHON.lstrip("/"), PYTHON)
    for line in command(PYTHON, "-I", "-c", text, *scripts).splitlines():
        path = pathlib.Path(line)
        if path.suffix == ".so":
            archive.add_program(line.lstrip("/"), path)
        else:
            archive.add_file(line.lstrip("/"), path, 0o644)


def benches():
    """The benchmarks that compare both devices, built beside the server under test: path in the machine -> path here."""
    names = ("bench_uapi_devices", "bench_engine_exact", "bench_engine_ingest")
    folder = pathlib.Path(BINARY).parent
    command("cmake", "--build", folder, "--target", *names, "-j2")
    return [(f"tests/{name}", folder / "bench" / name) for name in names]


def fill(release, modules, module, folder, server=True, more=()):
    """Writes the initramfs for a kernel; its path. `more`: further (path in the machine, path here)."""
    archive = initramfs.base_archive()
    initramfs.add_modules(archive, distribution.module_order(modules, DRIVERS) if modules else [])
    archive.add_file("vexfs.ko", module, 0o644)
    for name, path in (*programs().items(), *more):
        archive.add_program(name, path)
    scripts = sorted(EXAMPLES.glob("*.py"))
    add_python(archive, scripts)
    for script in scripts:
        archive.add_file(f"tests/{script.name}", script)
    if server:
        archive.add_program("usr/bin/vexfs_server", BINARY)
    path = folder / f"initramfs-{release}"
    archive.write(path)
    return path


