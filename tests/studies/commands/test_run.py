"""Tests `lab study run`, `lab study status` and `lab claims`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.studies.conftest import Edit


def test_a_failed_study_exits_with_1_and_names_the_cell(study_file: Edit, tmp_path: Path, lab: Lab) -> None:
    path = study_file(
        ("low = 0.001, high = 0.1", "low = 1e29, high = 1e31"), ("\nsteps = 3\n", "\nsteps = 3\nclip_norm = 1e30\n")
    )
    done = lab("study", "run", path, "--scale", "smoke", "--workers", "1", "--home", tmp_path)
    assert done.returncode == 1
    assert "4 runs failed: width=8 n=1, tune seed" in done.stderr
    assert "NOT TESTED" in done.stdout


@pytest.mark.slow
def test_a_study_killed_again_and_again_ends_with_the_same_ledger(study_file: Edit, tmp_path: Path, lab: Lab) -> None:
    path = study_file(("\nsteps = 3\n", "\nsteps = 40\n"), ("evaluate_every_steps = 3", "evaluate_every_steps = 5"))
    assert lab("study", "run", path, "--home", tmp_path / "whole").returncode == 0
    command = [sys.executable, "-m", "lab", "study", "run", str(path), "--home", str(tmp_path / "broken")]
    kills = 0
    for wait in (6.0, 7.0, 8.0):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        time.sleep(2)
    assert kills
    assert lab("study", "run", path, "--home", tmp_path / "broken").returncode == 0
    ledgers = [(tmp_path / name / "studies/small/cpu/ledger.json").read_bytes() for name in ("whole", "broken")]
    assert ledgers[0] == ledgers[1]


def test_run_status_and_claims_from_the_command_line(study_file: Edit, tmp_path: Path, lab: Lab) -> None:
    path, home = study_file(), tmp_path / "home"
    done = lab("study", "run", path, "--scale", "smoke", "--executor", "here", "--home", home, "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["trained"] == 4 * (1 + 2)
    status = json.loads(lab("study", "status", "small", "--home", home, "--json").stdout)
    assert status["scale"] == "smoke"
    assert {(cell["tune"], cell["confirm"], cell["failed"]) for cell in status["cells"].values()} == {(1, 2, 0)}
    claims = json.loads(lab("claims", "--home", home, "--json").stdout)
    assert claims["small"]["verdicts"] == value["verdicts"]
    repeated = lab("study", "run", path, "--scale", "smoke", "--executor", "here", "--home", home)
    assert "0 runs trained" in repeated.stderr
    assert lab("claims", "induction-quick", "--home", home).returncode == 2


def test_a_home_that_cannot_be_created_is_refused(study_file: Edit, tmp_path: Path, lab: Lab) -> None:
    (tmp_path / "file").write_text("")
    done = lab("study", "run", study_file(), "--scale", "smoke", "--home", tmp_path / "file" / "home")
    assert done.returncode == 2
    assert "the folder cannot be created" in done.stderr
