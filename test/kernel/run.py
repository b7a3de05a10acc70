"""Tests of the kernel device in virtual machines: short | long | debug | bench.

short  the distribution's kernel: device tests, module life cycle, examples, a short fuzz, the core of the api tests
long   the same kernel: device tests with all their rounds, more fuzz, all api tests, data folders that change their device
bench  the same kernel: both devices beside each other
debug  a kernel with KASAN, lockdep, kmemleak and more: device tests with fewer rounds, and the long fuzz

VEX_KERNEL_ACCEL=auto|kvm|tcg chooses the emulation; FUZZ_REQUESTS the length of the debug form's fuzz.
"""
import argparse
import functools
import os
import signal
import subprocess
import sys
import time
import traceback

from test.kernel import bed, debug_kernel, distribution, log, stages
from test.kernel.machine import Machine, accelerator

POISON = "slub_debug=FZPU page_poison=1 init_on_free=0 init_on_alloc=0"
PATIENT = "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=300 sysctl.kernel.hung_task_timeout_secs=120"


def fuzz(requests, seconds):
    return functools.partial(stages.stage_fuzz, requests=requests, seconds=seconds)


FORMS = {
    # name: (seconds that the machine may take, stages)
    "short": (900, lambda: [
        ("module", stages.stage_module), ("uapi", functools.partial(stages.stage_uapi, units=bed.DEVICE_UNITS, folders=["ext4"], quick=True)),
        ("examples", stages.stage_examples), ("fuzz", fuzz(5000, 30)), ("api-smoke", stages.stage_api_smoke),
    ]),
    "long": (3000, lambda: [
        ("module", stages.stage_module), ("uapi", functools.partial(stages.stage_uapi, units=bed.DEVICE_UNITS, folders=["ext4"])),
        ("uapi-tmpfs", functools.partial(stages.stage_uapi, folders=["tmpfs"], quick=True)),
        ("portable", functools.partial(stages.stage_portable, quick=True)),
        ("examples", stages.stage_examples), ("fuzz", fuzz(100000, 120)), ("backends", stages.stage_backends),
        ("api", stages.stage_api), ("connections", stages.stage_connections),
    ]),
    "bench": (3000, lambda: [("bench", stages.stage_bench)]),
    "debug": (14400, lambda: [
        ("module", stages.stage_module), ("uapi", functools.partial(stages.stage_uapi, quick=True)),
        ("portable", functools.partial(stages.stage_portable, quick=True)), ("examples", stages.stage_examples),
        ("fuzz", fuzz(int(os.environ.get("FUZZ_REQUESTS", "1000000")), 10800)),
        ("leaks", stages.stage_leaks),
    ]),
}


def run_stages(machine, chosen):
    """Runs the stages in their order; the names of those that failed. After a broken one the module may be stuck: stop."""
    for name, stage in chosen:
        start, spent = time.monotonic(), machine.processor_seconds()
        print(f"-- {name}", flush=True)
        try:
            stage(machine)
        except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as why:
            print(f"-- {name} FAILED after {time.monotonic() - start:.1f} s: {why}", flush=True)
            return [name]
        spent = machine.processor_seconds() - spent
        print(f"-- {name} passed in {time.monotonic() - start:.1f} s, {spent:.1f} s of the emulator's processors", flush=True)
    return []


def plant(machine):
    """A line as the kernel would print it: the run must fail by it."""
    machine.run("echo '<4>WARNING: planted' >/dev/kmsg")


def run_form(form, only, planted, sources):
    debug = form == "debug"
    distribution.CACHE.mkdir(parents=True, exist_ok=True)
    release, kernel, modules, headers = debug_kernel.build() if debug else distribution.fetch()
    print(f"building the module and the programs for kernel {release}", flush=True)
    module = bed.build_module(headers, distribution.CACHE / f"module-{'debug' if debug else 'image'}", sources)
    image = bed.fill(release, modules, module, distribution.CACHE, server=not debug, more=bed.benches() if form == "bench" else ())
    seconds, chosen = FORMS[form]
    chosen = [(name, stage) for name, stage in chosen() if not only or name in only]
    if form == "bench":  # what is measured is the module, not the kernel's checks
        arguments = PATIENT
    else:
        arguments = f"{PATIENT} kmemleak=on slub_debug=-" if debug else f"{PATIENT} {POISON}"
    log_path = distribution.CACHE / f"{form}.log"
    print(f"kernel {release} on {accelerator(kernel)}, 2 processors; kernel log in {log_path}", flush=True)
    with Machine(kernel, image, log_path, seconds, memory_mb=2048, arguments=arguments, speed=5 if debug else 1, share=not debug) as machine:
        print(f"up after {time.monotonic() - machine.started:.1f} s", flush=True)
        if planted:
            plant(machine)
        failed = run_stages(machine, chosen)
        machine.run("sync", check=False)
    if not log.check(log_path):
        failed.append("kernel log")
    elif failed:
        print(f"end of {log_path}:\n" + "\n".join(log_path.read_text(errors="replace").splitlines()[-30:]))
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("--only", action="append", help="this stage only (may be repeated)")
    parser.add_argument("--plant", action="store_true", help="print a warning into the kernel log: the run must fail")
    parser.add_argument("--sources", default=bed.SOURCES, help="build the module from here: a copy with a planted mistake")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the machine ends with us
    start = time.monotonic()
    try:
        failed = run_form(options.form, options.only, options.plant, options.sources)
    except Exception:  # noqa: BLE001: whatever broke the bed is a failure with its reason
        traceback.print_exc()
        failed = ["bed"]
    print(f"kernel {options.form}: {'FAILED in ' + ', '.join(failed) if failed else 'passed'}, {time.monotonic() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
