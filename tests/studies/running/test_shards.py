"""Shards: each coordinator takes its cells, and the whole study then finds every run in the store."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run.files import lock_folder
from studies.declared.study import Study
from studies.ledger.declared_study import cells_of, find_study
from studies.ledger.folder import StudyFolder
from studies.running.cell_runs import RunEvent
from studies.running.executors.here import InProcess
from studies.running.shard import Shard
from studies.running.sweep import Sweep
from tests.conftest import Lab
from tests.studies.conftest import Edit


def test_shards_divide_the_cells_and_the_whole_study_only_judges(small: Study, tmp_path: Path) -> None:
    trained: list[RunEvent] = []
    for number in (1, 2, 3):
        Sweep(small, tmp_path, trained.append, Shard(number, 3)).run(InProcess(tmp_path))
        assert len(cells_of(tmp_path, small)) == (2, 3, 4)[number - 1]
    assert len(trained) == small.runs
    assert find_study(tmp_path, "small", None) == small
    ledger = cells_of(tmp_path, small)
    assert [cell.label for cell in ledger] == [cell.label for cell in small.cells]
    folder = StudyFolder(tmp_path, small.name, small.scale).path
    assert not (folder / "verdicts.json").exists()
    events: list[RunEvent] = []
    Sweep(small, tmp_path, events.append).run(InProcess(tmp_path))
    assert len(events) == small.runs
    assert not any(event.trained for event in events)
    assert cells_of(tmp_path, small) == ledger
    assert (folder / "verdicts.json").exists()
    assert not (folder / "shards").exists()


def test_a_shard_runs_together_with_other_shards_and_not_with_the_whole_study(small: Study, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, small.name, small.scale).path

    def ignore(event: RunEvent) -> None:
        """Shows nothing."""

    with lock_folder(folder, "running this study", shared=True):
        Sweep(small, tmp_path, ignore, Shard(1, 4)).run(InProcess(tmp_path))
        with pytest.raises(UserError, match="another process is running this study"):
            Sweep(small, tmp_path, ignore).run(InProcess(tmp_path))
    with lock_folder(folder, "running this study"), pytest.raises(UserError, match="another process is running"):
        Sweep(small, tmp_path, ignore, Shard(1, 4)).run(InProcess(tmp_path))
    with (
        lock_folder(folder / "shards" / "1-of-4", "running it"),
        pytest.raises(UserError, match="another process is running shard 1/4 of this study"),
    ):
        Sweep(small, tmp_path, ignore, Shard(1, 4)).run(InProcess(tmp_path))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_malformed_shard_is_refused(study_file: Edit, tmp_path: Path, lab: Lab, text: str) -> None:
    done = lab("study", "run", study_file(), f"--shard={text}", "--home", tmp_path)
    assert done.returncode == 2
    assert "should be one of 1/K to K/K" in done.stderr


@pytest.mark.slow
def test_two_shards_of_which_one_is_killed_give_the_bytes_of_one_process(
    study_file: Edit, tmp_path: Path, lab: Lab
) -> None:
    path = study_file(("\nsteps = 3\n", "\nsteps = 40\n"), ("evaluate_every_steps = 3", "evaluate_every_steps = 5"))
    assert lab("study", "run", path, "--home", tmp_path / "one", "--executor", "here").returncode == 0

    def shard(number: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "lab", "study", "run", str(path), "--home", str(tmp_path / "two")]
        command += ["--shard", f"{number}/2", "--executor", "here"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    first, second = shard(1), shard(2)
    while not list((tmp_path / "two").glob("runs/*/result.json")):
        time.sleep(0.1)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    restarted = shard(1)
    assert [restarted.wait(), second.wait()] == [0, 0], (restarted.communicate(), second.communicate())
    done = lab("study", "run", path, "--home", tmp_path / "two", "--executor", "here")
    assert "0 runs trained" in done.stderr
    for name in ("ledger.json", "verdicts.json"):
        single, sharded = (tmp_path / home / "studies/small/cpu" / name for home in ("one", "two"))
        assert single.read_bytes() == sharded.read_bytes()
