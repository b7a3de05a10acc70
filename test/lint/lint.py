"""Checks of the sources that no compiler makes: layering, length, layout, and words of other places.

Prints one line a finding and a closing line with the count; exit code 1 when there is any.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_FUNCTION, MAX_FILE = 70, 800

# What each layer may include, itself and everything below it.
BELOW = {
    "base": [],
    "uapi": ["base"],
    "engine": ["uapi", "base"],
    "api": ["engine", "uapi", "base"],
    "grpc": ["api", "engine", "uapi", "base"],
    "rest": ["api", "engine", "uapi", "base"],
    "cli": ["api", "engine", "uapi", "base"],
}
# Inside the engine: each folder may include these folders ("" is src/engine itself).
ENGINE_BELOW = {
    "store": [],
    "point": ["store", "", "filter"],
    "text": ["store"],
    "filter": ["text", "point", "store"],
    "index": ["filter", "text", "point", "store"],
    "": ["index", "filter", "text", "point", "store", "query"],
    "query": ["", "index", "filter", "text", "point", "store"],
}
# Wire types stay in the wire and api layers.
FOREIGN = re.compile(r'#include\s*[<"](grpc/|h2o|protobuf-c/|.*\.pb-c\.h)')
FUNCTION_END = re.compile(r"^}")
FUNCTION_START = re.compile(r"^\{")


def tracked(*patterns):
    out = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / line for line in out.stdout.splitlines() if (ROOT / line).is_file()]


def check_includes(path, lines):
    parts = path.relative_to(ROOT).parts
    if parts[0] != "src" or len(parts) < 3:
        return
    layer = parts[1]
    for number, line in enumerate(lines, 1):
        if layer in ("base", "uapi", "engine") and FOREIGN.search(line):
            yield number, f"{layer} must not see wire types: {line.strip()}"
        found = re.match(r'#include\s+"([^"]+)"', line)
        if not found:
            continue
        target = found.group(1).split("/")
        if ".." in target:
            yield number, "an include goes through .."
        if target[0] in BELOW and target[0] != layer and target[0] not in BELOW[layer]:
            yield number, f"{layer} includes upward: {found.group(1)}"
        if layer == "engine" and target[0] == "engine":
            mine = parts[2] if len(parts) > 3 else ""
            theirs = target[1] if len(target) > 2 else ""
            if theirs != mine and theirs not in ENGINE_BELOW.get(mine, []):
                yield number, f"engine/{mine} includes upward: {found.group(1)}"


def check_lengths(path, lines):
    if len(lines) > MAX_FILE:
        yield 1, f"file has {len(lines)} lines, at most {MAX_FILE} are allowed"
    if path.suffix not in (".c", ".cc"):
        return
    start = None
    for number, line in enumerate(lines, 1):
        if FUNCTION_START.match(line) or (start is None and re.match(r"^[a-z].*\)\s*\{$", line)):
            start = number
        elif FUNCTION_END.match(line) and start is not None:
            if number - start - 1 > MAX_FUNCTION:
                yield start, f"function has {number - start - 1} lines, at most {MAX_FUNCTION} are allowed"
            start = None


def check_format(files):
    for path in files:
        out = subprocess.run(["clang-format", "--dry-run", "-Werror", str(path)], capture_output=True, text=True)
        if out.returncode != 0:
            first = out.stderr.splitlines()[0] if out.stderr else ""
            found = re.match(r".*?:(\d+):", first)
            yield path, int(found.group(1)) if found else 1, "layout differs from .clang-format (make fmt)"


def main():
    sources = tracked("*.c", "*.h", "*.cc", "*.def", "*.py", "*.proto")
    findings = []
    for path in sources:
        lines = path.read_text(encoding="utf-8").splitlines()
        checks = list(check_lengths(path, lines))
        if path.suffix in (".c", ".h", ".cc"):
            checks += check_includes(path, lines)
        findings += [(path, number, text) for number, text in checks]
    findings += check_format([p for p in sources if p.suffix in (".c", ".h", ".cc")])
    for path, number, text in sorted(findings):
        print(f"{path.relative_to(ROOT)}:{number}: {text}")
    print(f"lint: {len(sources)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
