"""A run that is killed at any moment and trained again ends with the bytes of an undisturbed one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generators.foundation.errors import UserError, WorkFailed
from lab.run.evaluation import Evaluator
from lab.run.store import LAST, METRICS, RunFolder
from lab.run.stored_run import StoredRun
from lab.run.training import train
from tests.conftest import Lab, Spec
from tests.lab.killed_runs import EQUAL_FILES, Killed, contents_at, train_until_killed

NEEDS_MUON = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has Muon since version 2.9")
# moment -> the method of TrainingRun at whose call the process dies, and the step
MOMENTS: dict[str, tuple[str, int | None]] = {
    "before the first evaluation": ("evaluate", 4),
    "before a later checkpoint": ("write_checkpoint", 8),
    "after the last checkpoint but one": ("take_step", 10),
    "before the result": ("finish", None),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_any_moment_ends_with_the_same_bytes(
    tiny: Spec, complete_contents: dict[str, bytes], tmp_path: Path, moment: str
) -> None:
    method, step = MOMENTS[moment]
    train_until_killed(tiny(), tmp_path, method, step)
    train(tiny(), tmp_path)
    assert contents_at(tmp_path, tiny()) == complete_contents


@pytest.mark.parametrize("optimiser", ["sgd", pytest.param("muon", marks=NEEDS_MUON)])
def test_a_run_with_another_optimiser_and_schedule_ends_with_the_same_bytes_if_killed(
    tiny: Spec, tmp_path: Path, optimiser: str
) -> None:
    spec = tiny(training__optimiser=optimiser, training__schedule="wsd")
    train(spec, tmp_path / "whole")
    train_until_killed(spec, tmp_path / "killed", "take_step", 10)
    train(spec, tmp_path / "killed")
    assert contents_at(tmp_path / "killed", spec) == contents_at(tmp_path / "whole", spec)


def test_a_run_killed_while_it_writes_a_log_line_ends_with_the_same_bytes(
    tiny: Spec, complete_contents: dict[str, bytes], tmp_path: Path
) -> None:
    append = RunFolder.append

    def torn(folder: RunFolder, log: str, line: dict[str, Any]) -> None:
        if line["step"] == 8 and line.get("split") == "validation":
            with (folder.path / log).open("ab") as file:
                file.write(b'{"step": 8, "spl')
            raise Killed
        append(folder, log, line)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "append", torn)
        with pytest.raises(Killed):
            train(tiny(), tmp_path)
    train(tiny(), tmp_path)
    assert contents_at(tmp_path, tiny()) == complete_contents


@pytest.mark.slow
def test_a_process_killed_at_random_times_ends_with_the_same_bytes(tmp_path: Path, lab: Lab) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(
        '[task]\nkind = "induction"\ntest_samples = 50\nvalidation_samples = 50\n[model]\nsize = "30k"\n'
        '[objective]\nkind = "multi_token"\nn = 2\n[training]\nsteps = 300\nbatch_size = 16\n'
        "learning_rate = 0.01\nevaluate_every_steps = 20\n"
    )
    assert lab("train", path, "--home", tmp_path / "whole").returncode == 0
    command = [sys.executable, "-m", "lab", "train", str(path), "--home", str(tmp_path / "killed")]
    kills = 0
    for wait in np.random.default_rng(0).uniform(2.0, 6.0, size=4):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    assert lab("train", path, "--home", tmp_path / "killed").returncode == 0
    (undisturbed,), (killed,) = ((tmp_path / name / "runs").iterdir() for name in ("whole", "killed"))
    for name in EQUAL_FILES:
        assert (undisturbed / name).read_bytes() == (killed / name).read_bytes()


def test_a_full_disk_is_one_sentence_and_leaves_the_checkpoint(
    tiny: Spec, complete_contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []

    def full(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) > 6:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WorkFailed, match=r"could not be written \(No space left on device\)"):
            train(tiny(), tmp_path)
    train(tiny(), tmp_path)
    assert contents_at(tmp_path, tiny()) == complete_contents


def test_a_truncated_weight_file_is_refused_with_a_sentence(
    tiny: Spec, interrupted_folder: Path, tmp_path: Path
) -> None:
    (interrupted_folder / LAST).write_bytes((interrupted_folder / LAST).read_bytes()[:1000])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        train(tiny(), tmp_path / "home")


def test_kept_weights_survive_a_kill_unchanged_and_are_those_of_their_step(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__keep_every_steps=4)
    result = train(spec, tmp_path / "whole")
    train_until_killed(spec, tmp_path / "killed", "write_checkpoint", 8)
    train(spec, tmp_path / "killed")
    folders = [RunFolder(tmp_path / home, spec.identity) for home in ("whole", "killed")]
    names = [sorted(path.name for path in folder.path.glob("weights-*")) for folder in folders]
    assert names[0] == names[1] == ["weights-12.safetensors", "weights-4.safetensors", "weights-8.safetensors"]
    for name in names[0]:
        assert (folders[0].path / name).read_bytes() == (folders[1].path / name).read_bytes()
    validations = [line for line in folders[0].lines(METRICS) if line["split"] == "validation"]
    for line in validations:
        stored = StoredRun(tmp_path / "whole", spec.identity, str(line["step"]))
        assert stored.step == line["step"]
        metrics = Evaluator(stored.task, "validation", stored.device)(stored.network)
        assert metrics == {key: line[key] for key in metrics}
    assert validations[-1]["loss_1"] == result["scores"]["last"]["validation"]["loss_1"]


def test_a_step_without_kept_weights_is_answered_with_the_steps_that_have_them(
    tiny: Spec, tmp_path: Path, complete_folder: Path, lab: Lab
) -> None:
    spec = tiny(training__keep_every_steps=8)
    train(spec, tmp_path)
    scored = lab("score", spec.identity, "--checkpoint", "8", "--home", tmp_path, "--json")
    assert '"step": 8' in scored.stdout
    refused = lab("score", spec.identity, "--checkpoint", "12", "--home", tmp_path)
    assert refused.returncode == 2
    assert "should be best or last, or a step whose weights were kept: 8" in refused.stderr
    with pytest.raises(UserError, match=r"kept: none \(training.keep_every_steps keeps some\)"):
        StoredRun(complete_folder.parents[1], tiny().identity, "8")
