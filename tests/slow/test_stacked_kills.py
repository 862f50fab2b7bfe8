"""Eight runs in one stack, killed with SIGKILL again and again, end with the bytes of undisturbed ones."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lab.run.spec import RunSpec
from lab.run.store import METRICS, RunFolder
from lab.run.training import train_together
from tests.conftest import Spec
from tests.lab.killed_runs import contents_at
from tests.slow.killing import ROOT

RUNS, KILLS = 8, 6
CHILD = """
import json, sys
from lab.run.spec import parse_spec
from lab.run.training import train_together
specs = [parse_spec(tree, "a spec") for tree in json.loads(sys.stdin.read())]
print("ready", flush=True)
train_together(specs, sys.argv[1], "keep")
"""


def start(specs: list[RunSpec], home: Path) -> subprocess.Popen[str]:
    """Starts a process that trains the runs, and returns once it begins with them."""
    command = [sys.executable, "-c", CHILD, str(home)]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps([spec.tree() for spec in specs]))
    child.stdin.close()
    assert child.stdout.readline() == "ready\n"
    return child


def logged_steps(folders: list[Path]) -> set[int]:
    """Returns the numbers of lines in the logs of runs, which differ after a kill between two checkpoints."""
    return {len((folder / METRICS).read_bytes().splitlines()) for folder in folders if (folder / METRICS).exists()}


@pytest.mark.slow
def test_eight_stacked_runs_killed_at_random_moments_end_with_the_same_bytes(tiny: Spec, tmp_path: Path) -> None:
    specs = [
        tiny(
            seed=seed,
            training__steps=80,
            training__stop_after_evaluations=12,
            training__learning_rate=0.002 * (1 + seed),
            training__stack=RUNS,
        )
        for seed in range(RUNS)
    ]
    begin = time.monotonic()
    train_together(specs, tmp_path / "whole", "keep")
    seconds = time.monotonic() - begin
    folders = [RunFolder(tmp_path / "killed", spec.identity).path for spec in specs]
    kills = between_runs = 0
    for moment in np.random.default_rng(0).uniform(0.1, 0.5, KILLS) * seconds:
        child = start(specs, tmp_path / "killed")
        time.sleep(moment)
        kills += child.poll() is None
        child.kill()
        child.wait()
        between_runs += len(logged_steps(folders)) > 1
    assert start(specs, tmp_path / "killed").wait() == 0
    assert kills > 1
    equal = [contents_at(tmp_path / "whole", spec) == contents_at(tmp_path / "killed", spec) for spec in specs]
    print(f"{kills} kills, {between_runs} between checkpoints of two runs; {sum(equal)} of {RUNS} runs: equal bytes")
    assert equal == [True] * RUNS
