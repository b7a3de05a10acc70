"""The whole job of the demo in small: real texts, two clients, a crash."""
from test.demo import embed, job, packages
from test.lib.server import ROOT, Server


def test_real_job_survives_a_crash():
    payloads = packages.read(240)
    vectors = embed.cached([p["text"] for p in payloads], ROOT / "build/cache")
    with Server() as server:
        job.run(server, payloads, vectors, say=lambda text: None, batch=16)
