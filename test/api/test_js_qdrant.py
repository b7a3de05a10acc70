"""The JavaScript clients: programs of Node.js that end with "all right"."""
import os
import pathlib
import shutil
import subprocess

import pytest

from test.lib.server import ROOT

NODE = ROOT / "build/venv/bin/node"
PROGRAMS = pathlib.Path(__file__).parent / "js"


@pytest.mark.parametrize("program", ["qdrant_rest", "qdrant_grpc"])
def test_js_client(server, tmp_path, program):
    # an import is resolved from the folder of the program, so that it has to stand beside the modules
    (tmp_path / "node_modules").symlink_to(ROOT / "build/js/node_modules")
    shutil.copy(PROGRAMS / f"{program}.mjs", tmp_path)
    address = server.url if program == "qdrant_rest" else str(server.grpc_port)
    environment = {**os.environ, "PATH": f"{NODE.parent}:{os.environ['PATH']}"}
    done = subprocess.run([NODE, tmp_path / f"{program}.mjs", address], capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == 0 and done.stdout.endswith("all right\n"), done.stdout + done.stderr
