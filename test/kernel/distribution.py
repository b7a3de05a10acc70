"""The distribution's kernel: its image package is downloaded and unpacked below build/kernel, never installed.

Image and headers are of one version: that of the installed headers package, against which the module is built.
"""
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build/kernel"


def output(*command, cwd=None):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def headers_package():
    """Name and version of the headers package that linux-headers-amd64 stands for."""
    fields = output("dpkg-query", "-W", "-f", "${Depends}\n${Version}\n", "linux-headers-amd64").splitlines()
    return re.match(r"[^ ,]+", fields[0]).group(0), fields[1]


def download(package, version, folder):
    """The package file, fetched into `folder` unless it is there; older versions of it are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    have = sorted(folder.glob(f"{package}_{version.split(':')[-1]}_*.deb"))
    if have:
        return have[0]
    for old in folder.glob(f"{package}_*.deb"):
        old.unlink()
    print(f"downloading {package} {version}", flush=True)
    output("apt-get", "download", "-qq", f"{package}={version}", cwd=folder)
    return next(folder.glob(f"{package}_*.deb"))


def fetch():
    """Unpacks the kernel image; (release, path of the kernel, folder of its modules, folder of the headers)."""
    headers, version = headers_package()
    image = headers.replace("headers", "image")
    try:
        package = download(image, version, CACHE)
    except RuntimeError:  # the archive holds a newer one: bring the headers up to it
        root = [] if subprocess.run(["id", "-u"], capture_output=True, text=True).stdout == "0\n" else ["sudo"]
        output(*root, "apt-get", "update", "-qq")
        output(*root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", "linux-headers-amd64")
        headers, version = headers_package()
        image = headers.replace("headers", "image")
        package = download(image, version, CACHE)
    release = headers.removeprefix("linux-headers-")
    folder = CACHE / "image"
    if not (folder / package.name).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        output("dpkg-deb", "-x", package, folder)
        (folder / package.name).touch()
    return release, folder / f"boot/vmlinuz-{release}", folder / f"lib/modules/{release}", pathlib.Path("/usr/src") / headers


def module_order(modules, wanted):
    """Paths of the modules `wanted` and of all they need, those needed first."""
    order = []
    needed = {}
    for path in modules.rglob("*.ko"):
        needed[path.stem.replace("-", "_")] = path

    def add(name):
        path = needed.get(name.replace("-", "_"))
        if path is None or path in order:  # built in, or there already
            return
        for other in filter(None, output("modinfo", "-F", "depends", path).strip().split(",")):
            add(other)
        order.append(path)

    for name in wanted:
        add(name)
    return order
