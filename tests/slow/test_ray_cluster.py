"""Runs tests/slow/ray_cluster.py where Ray is installed and this process may create a network namespace."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.slow.killing import ROOT
from tests.small_study import write_small_study

NAMESPACE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_a_study_on_a_cluster_that_loses_a_node_has_the_bytes_of_one_process(tmp_path: Path) -> None:
    if subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a network namespace cannot be made here")
    study = write_small_study(tmp_path, ("\nsteps = 3\n", "\nsteps = 120\n"), ("every_steps = 3", "every_steps = 20"))
    script = [sys.executable, "-m", "tests.slow.ray_cluster", str(study)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*NAMESPACE, *script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all bytes equal" in done.stdout
