"""Real texts: the descriptions of the distribution's own packages, from the lists that dpkg and apt keep."""
import glob
import pathlib
import subprocess

FIELDS = {"Package", "Section", "Priority", "Installed-Size", "Size", "Tag", "Description"}


def stanzas(text):
    """Deb822: paragraphs of 'Key: value', continuation lines begin with a space."""
    for block in text.split("\n\n"):
        fields, key = {}, None
        for line in block.split("\n"):
            if line.startswith((" ", "\t")):
                if key in FIELDS:
                    fields[key] += " " + line.strip()
                continue
            key, _, value = line.partition(":")
            if key in FIELDS:
                fields[key] = value.strip()
        if "Package" in fields and "Description" in fields:
            yield fields


def read(count):
    """The first `count` packages by name, spread over the archive: a list of payloads with `text`."""
    raw = pathlib.Path("/var/lib/dpkg/status").read_text(errors="replace")
    if glob.glob("/var/lib/apt/lists/*Packages*"):
        raw += "\n\n" + subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, errors="replace").stdout
    seen = {}
    for fields in stanzas(raw):
        seen.setdefault(fields["Package"], fields)
    names = sorted(seen)
    if len(names) < count:
        raise SystemExit(f"only {len(names)} packages are known to apt: run apt-get update first")
    step = len(names) / count
    picked = [seen[names[int(i * step)]] for i in range(count)]
    return [
        {
            "package": f["Package"],
            "section": f.get("Section", "unknown").split("/")[-1],
            "priority": f.get("Priority", "optional"),
            "size": int(f.get("Size", 0)),
            "tags": [t.strip() for t in f.get("Tag", "").split(",") if t.strip()],
            "text": f"{f['Package']}: {f['Description']}",
        }
        for f in picked
    ]
