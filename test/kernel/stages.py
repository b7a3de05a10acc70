"""What is done in a running machine, one function a stage; each raises when something is not as it must be."""
import os
import re
import subprocess
import sys
import time

from test.kernel import bed
from test.lib.server import BINARY, ROOT

DEVICE = "/dev/vexfs_v2_phase3"
FOLDERS = {"ext4": "/tmp", "tmpfs": "/run"}
MODULE = "/vexfs.ko"
SMOKE = ("test/api/test_native.py", "test/api/test_qdrant_api.py", "-k", "native or scroll or query_and_search or restart")
CONNECTIONS = tuple(f"test/api/test_limits.py::{name}" for name in ("test_out_of_descriptors_and_back", "test_slow_writers_hold_nobody_up"))


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def load(machine, parameters=""):
    machine.run(f"insmod {MODULE} {parameters} && [ -c {DEVICE} ]")


def unload(machine):
    """The module goes, and takes its device and everything that bears its name with it."""
    machine.run(f"rmmod vexfs && [ ! -e {DEVICE} ]")
    left = machine.run("grep -h '\\[vexfs\\]' /proc/vmallocinfo; grep -h vexfs /proc/slabinfo /proc/misc /proc/modules; :")
    expect(left.strip() == "", f"the module left behind:\n{left}")


def stage_module(machine):
    """Loading, twice; unloading while the device is open is refused, and works afterwards."""
    load(machine)
    code, _ = machine.run(f"insmod {MODULE}", check=False)
    expect(code != 0, "the module loads twice")
    code, out = machine.run(f"exec 3<>{DEVICE}; rmmod vexfs", check=False)
    expect(code != 0 and "busy" in out.lower() or "unavailable" in out.lower(), f"unloading while open is not refused: {code} {out}")
    code, out = machine.run(f"chmod 600 {DEVICE}; setuidgid nobody cat {DEVICE}", check=False)
    expect(code != 0, "anybody may open the device")
    unload(machine)
    for _ in range(5):
        load(machine)
        unload(machine)


def run_program(machine, name, folder, timeout=900, quick=False):
    start = time.monotonic()
    environment = f"TMPDIR={folder} VEXFS_TEST_DEVICE={DEVICE}" + (" VEXFS_TEST_QUICK=1" if quick else "")
    code, out = machine.run(f"cd {folder} && {environment} /tests/{name}", timeout, check=False)
    print(f"   {name} on {folder}: exit code {code}, {time.monotonic() - start:.1f} s", flush=True)
    expect(code == 0, f"{name} on {folder} ends with {code}:\n{out[-6000:]}")
    return out


def stage_uapi(machine, units=bed.UNITS, folders=FOLDERS, quick=False):
    """Test programs of the device layer, on each file system, with the module's fast arithmetic. quick: all tests, with
    fewer random rounds in each."""
    load(machine)
    for name in folders:
        for unit in units:
            run_program(machine, f"unit_{unit}", FOLDERS[name], quick=quick)
    unload(machine)


def stage_portable(machine, quick=False):
    """The device tests over the arithmetic for machines without vector registers."""
    load(machine, "portable=1")
    for unit in bed.DEVICE_UNITS:
        run_program(machine, f"unit_{unit}", "/tmp", quick=quick)
    unload(machine)


def stage_examples(machine):
    """The public requests through the programs that other people are shown."""
    load(machine)
    names = [name.removeprefix("tests/") for name in bed.programs() if name.startswith("tests/example_")]
    scripts = sorted(path.name for path in bed.EXAMPLES.glob("*.py"))
    expect(names and scripts, "there are no examples")
    for name in names:
        run_program(machine, name, "/tmp")
    for script in scripts:
        start = time.monotonic()
        code, out = machine.run(f"cd /tmp && {bed.PYTHON} -I -S /tests/{script}", 300, check=False)
        print(f"   {script}: exit code {code}, {time.monotonic() - start:.1f} s", flush=True)
        expect(code == 0, f"{script} ends with {code}:\n{out[-4000:]}")
    unload(machine)


def stage_fuzz(machine, requests, seconds):
    """Random and mutated requests from many threads, with callers killed and files cut under them."""
    load(machine)
    seed = int(os.environ.get("VEX_FUZZ_SEED", "1"))
    folders = " ".join(f"--folder {FOLDERS[name]}" for name in ("ext4", "tmpfs", "tmpfs"))  # the cheaper one holds two of three files
    start = time.monotonic()
    out = machine.run(f"/tests/fuzz --requests {requests} --threads 4 --seed {seed} --seconds {seconds} {folders}", seconds + 120)
    took = time.monotonic() - start
    print("   " + "\n   ".join(out.strip().splitlines()[-40:]), flush=True)
    done = re.search(r"^(\d+) requests, (\d+) answers checked, 0 wrong", out, re.MULTILINE)
    expect(done, "the fuzz does not say how many requests it made")
    if int(done[1]) < requests:
        expect("the time was over" in out, f"the fuzz ended after {done[1]} of {requests} requests")
        print(f"   {done[1]} of {requests} requests in {seconds} s", flush=True)
    print(f"   {int(done[1]) / took:.0f} requests a second", flush=True)
    unload(machine)


def pytest(machine, *words, kernel=True):
    """Tests of this host against servers inside the machine."""
    environment = {**os.environ, "VEXFS_TEST_VM": str(machine.folder), "PYTHONPATH": str(ROOT)}
    if kernel:
        environment["VEXFS_TEST_SERVER_ARGS"] = "--device kernel"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=300", "--durations=5", *words]
    subprocess.run(command, cwd=ROOT, env=environment, timeout=max(machine.left(), 1), check=True)


def stage_backends(machine):
    """A data folder goes from one device to the other and back."""
    load(machine)
    pytest(machine, "test/kernel/test_backends.py", kernel=False)
    unload(machine)


def stage_api_smoke(machine):
    """One pass of the api tests' core against a server on the kernel device."""
    load(machine)
    pytest(machine, *SMOKE)
    unload(machine)


def stage_api(machine):
    """All api tests against servers on the kernel device, but those of connections themselves: see stage_connections."""
    load(machine)
    pytest(machine, "test/api", *(f"--deselect={name}" for name in CONNECTIONS))
    unload(machine)


def stage_connections(machine):
    """The api tests of connections themselves, run inside of the machine from this host's files. Between host and machine the
    emulator's forwarding takes connections that the server has not taken, and holds back single bytes."""
    load(machine)
    root = "/run/host"
    machine.run(f"mkdir -p {root} && mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 host {root}"
                f" && for at in proc dev sys; do mount -o bind /$at {root}/$at; done && mount -o bind /tmp {root}/mnt")
    environment = f"TMPDIR=/mnt HOME=/mnt PATH=/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 VEXFS_TEST_SERVER={BINARY}"
    words = f"{sys.executable} -m pytest -q -p no:cacheprovider --timeout=300 {' '.join(CONNECTIONS)}"
    try:
        out = machine.run(f"chroot {root} env {environment} VEXFS_TEST_SERVER_ARGS='--device kernel' sh -c 'cd {ROOT} && {words}'", 600)
        print("   " + "\n   ".join(out.strip().splitlines()[-3:]), flush=True)
        expect(f"{len(CONNECTIONS)} passed" in out, f"not all of them ran:\n{out[-4000:]}")
    finally:
        machine.run(f"for at in mnt sys dev proc .; do umount {root}/$at; done", check=False)
    unload(machine)


def stage_bench(machine):
    """Both devices in turns: the requests themselves, then exact search and batch insert through the engine."""
    load(machine)
    for folder in FOLDERS.values():
        print(f"requests, files on {folder}\n" + machine.run(f"/tests/bench_uapi_devices 25 {folder}", 900), flush=True)
    for program, arguments in (("bench_engine_exact", "100000 10"), ("bench_engine_ingest", "50000 4")):
        for turn in range(2):
            for device in ("embedded", "kernel"):
                out = machine.run(f"cd /tmp && VEX_BENCH_DEVICE={device} /tests/{program} {arguments} /tmp", 600)
                print(f"{program}, {device} device, turn {turn + 1}\n{out}", flush=True)
    unload(machine)


def stage_leaks(machine):
    """The kernel's own leak detector: two scans, as it reports what stayed unreferenced over both."""
    for _ in range(2):
        time.sleep(6)
        machine.run("echo scan >/sys/kernel/debug/kmemleak", 300)
    found = machine.run("cat /sys/kernel/debug/kmemleak")
    expect("unreferenced object" not in found, f"leaks:\n{found[:6000]}")
