"""make demo: 5,000 package descriptions, embedded here, through two clients and a crash."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from test.demo import embed, job, packages  # noqa: E402
from test.lib.server import Server  # noqa: E402

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 5000


def progress(done, total):
    print(f"\rembedding {done} of {total} texts", end="" if done < total else "\n", flush=True)


payloads = packages.read(COUNT)
vectors = embed.cached([p["text"] for p in payloads], ROOT / "build/cache", progress)
with Server() as server:
    job.run(server, payloads, vectors)
