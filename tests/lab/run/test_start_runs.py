"""The run that a finetuning run starts from is trained once, waited for, and resumed like any other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from generators.foundation.errors import WorkFailed
from generators.foundation.settings import Tree
from lab.run.loop.training_run import TrainingRun
from lab.run.spec import parse_spec
from lab.run.store import RunFolder
from lab.run.training import train
from tests.conftest import Lab, Spec
from tests.lab.killed_runs import Killed, contents_at, killed_at, train_until_killed
from tests.lab.run.finetuned_runs import finetuned, multi_token, start_of
from tests.lab.spec_text import SPEC

FROZEN = {"freeze": "trunk", "training__stop_after_evaluations": 1}


@pytest.mark.parametrize(
    ("method", "step", "changes"),
    [("take_step", 2, {}), ("take_step", 6, {}), ("take_step", 6, FROZEN), ("finish", None, FROZEN)],
    ids=["before the first checkpoint", "in the middle", "in the middle, frozen", "before the result"],
)
def test_a_finetuned_run_killed_at_any_moment_ends_with_the_same_bytes(
    tmp_path: Path, method: str, step: int | None, changes: Tree
) -> None:
    spec = finetuned(multi_token(1), multi_token(3), **changes)
    train(spec, tmp_path / "whole")
    train(start_of(spec), tmp_path / "killed")
    train_until_killed(spec, tmp_path / "killed", method, step)
    assert train(spec, tmp_path / "killed")["start"] == start_of(spec).identity
    for run in (spec, start_of(spec)):
        assert contents_at(tmp_path / "killed", run) == contents_at(tmp_path / "whole", run)


def test_a_kill_while_the_start_is_trained_changes_no_bytes(tmp_path: Path) -> None:
    spec = finetuned(multi_token(1), multi_token(3))
    train(spec, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "take_step", killed_at(6, TrainingRun.take_step))
        with pytest.raises(Killed):
            train(spec, tmp_path / "killed")
    assert RunFolder(tmp_path / "killed", start_of(spec).identity).read_tensors("last.safetensors") is not None
    assert RunFolder(tmp_path / "killed", spec.identity).read_tensors("last.safetensors") is None
    train(spec, tmp_path / "killed")
    for run in (spec, start_of(spec)):
        assert contents_at(tmp_path / "killed", run) == contents_at(tmp_path / "whole", run)


def test_the_start_is_an_ordinary_run_that_is_trained_once(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = finetuned(multi_token(1), multi_token(2))
    assert start_of(spec) == tiny(objective=multi_token(2), training__steps=8)
    train(start_of(spec), tmp_path)
    trained: list[str] = []
    resume = TrainingRun.resume

    def record(run: TrainingRun) -> None:
        trained.append(run.spec.identity)
        resume(run)

    monkeypatch.setattr(TrainingRun, "resume", record)
    train(spec, tmp_path)
    train(finetuned(multi_token(2), multi_token(2)), tmp_path)
    assert start_of(spec).identity not in trained
    assert len(trained) == 2


def test_a_start_that_another_process_trains_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = finetuned(multi_token(1), multi_token(1))
    lock = RunFolder(tmp_path, start_of(spec).identity).locked(start_of(spec))
    lock.__enter__()
    waits: list[float] = []

    def release_at_the_third(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            lock.__exit__(None, None, None)

    monkeypatch.setattr("lab.run.training.time.sleep", release_at_the_third)
    assert train(spec, tmp_path)["status"] == "complete"
    assert len(waits) == 3


@pytest.mark.slow
def test_two_processes_that_need_one_start_both_get_it(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    start = '[start.objective]\nkind = "multi_token"\n[start.training]\nsteps = 400\nbatch_size = 4\nlearning_rate = 1e-3\nevaluate_every_steps = 20\n'
    path.write_text(SPEC + start)
    command = [sys.executable, "-m", "lab", "train", str(path), "--home", str(tmp_path / "home"), "--json", "--set"]
    processes = [
        subprocess.Popen([*command, f"objective.n={n}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for n in (1, 2)
    ]
    ended = [(process.communicate(), process.returncode) for process in processes]
    assert [code for _, code in ended] == [0, 0]
    starts = {json.loads(out)["start"] for (out, _), _ in ended}
    reported = [f"start {run}, step 400 of 400" in err for run in starts for (_, err), _ in ended]
    assert len(starts) == 1
    assert sorted(reported) == [False, True]


def test_a_start_that_diverged_is_one_sentence(tmp_path: Path) -> None:
    tree = finetuned(multi_token(1), multi_token(1)).tree()
    tree["start"]["training"] |= {"learning_rate": 1e30, "clip_norm": 1e30}
    with pytest.raises(WorkFailed, match=r"the run to start from diverged: the loss was not a finite number"):
        train(parse_spec(tree, "the test's spec"), tmp_path)


def test_the_command_reports_the_progress_of_both_runs(tmp_path: Path, lab: Lab) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC + '[start.objective]\nkind = "multi_token"\n')
    done = lab("train", path, "--home", tmp_path / "home", "--json", "--set", "start.checkpoint=last")
    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert sorted(run.name for run in (tmp_path / "home" / "runs").iterdir()) == sorted(
        [result["run"], result["start"]]
    )
    assert done.stderr.splitlines() == [
        *(f"start {result['start']}, step {step} of 4" for step in (2, 4)),
        *(f"step {step} of 4" for step in (2, 4)),
    ]
