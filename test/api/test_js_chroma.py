"""Runs js/chroma.test.mjs with the npm client. ES modules look for packages beside the file, so it runs from a folder that has them."""
import os
import pathlib
import shutil
import subprocess

from test.lib.server import ROOT, Server


def test_npm_client(tmp_path):
    script = shutil.copy(pathlib.Path(__file__).parent / "js/chroma.test.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(ROOT / "build/js/node_modules")
    with Server() as server:
        run = subprocess.run([ROOT / "build/venv/bin/node", "--test", script], cwd=tmp_path, capture_output=True, text=True,
                             timeout=100, env={**os.environ, "CHROMA_PORT": str(server.chroma_port)})
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# pass 4" in run.stdout or "\u2139 pass 4" in run.stdout, run.stdout
