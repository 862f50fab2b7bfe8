"""Same spec, same bytes; also when killed at any moment and run again. Every setting changes something."""

import json
import math
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
from lab.loss.graph import Graph
from lab.run.assembly import assemble
from lab.run.evaluation import Evaluator
from lab.run.spec import RunSpec
from lab.run.store import BEST, LAST, METRICS, TIMING, RunFolder
from lab.run.stored_run import StoredRun
from lab.run.training import TrainingRun, train, training_batches
from tests.conftest import Lab, Spec

FILES = (METRICS, LAST, BEST, "result.json", "spec.json")


def contents(home: Path, spec: RunSpec) -> dict[str, bytes]:
    return {name: (home / "runs" / spec.identity / name).read_bytes() for name in FILES}


def test_one_spec_trained_twice_gives_the_same_bytes(tiny: Spec, tmp_path: Path) -> None:
    train(tiny(), tmp_path / "a")
    train(tiny(), tmp_path / "b")
    assert contents(tmp_path / "a", tiny()) == contents(tmp_path / "b", tiny())


class Killed(BaseException):
    """Stands for a kill: nothing in the lab may catch it."""


@pytest.mark.parametrize(
    "moment", ["before evaluation", "while logging", "before checkpoint", "in the last steps", "at the result"]
)
def test_a_run_broken_off_at_any_moment_ends_with_the_same_bytes(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    train(tiny(), tmp_path / "whole")

    def kill(*_: Any) -> None:
        raise Killed

    append = RunFolder.append

    def torn(folder: RunFolder, log: str, line: dict[str, Any]) -> None:
        if line["step"] == 8 and line.get("split") == "validation":
            with (folder.path / log).open("ab") as file:
                file.write(b'{"step": 8, "spl')
            raise Killed
        append(folder, log, line)

    descend = TrainingRun.take_step

    def late(run: TrainingRun, batch: Any) -> None:
        if run.step == 10:
            raise Killed
        descend(run, batch)

    checkpoint = TrainingRun.write_checkpoint

    def unwritten(run: TrainingRun) -> None:
        if run.step == 8:
            raise Killed
        checkpoint(run)

    with monkeypatch.context() as patch:
        match moment:
            case "before evaluation":
                patch.setattr(TrainingRun, "evaluate", kill)
            case "while logging":
                patch.setattr(RunFolder, "append", torn)
            case "before checkpoint":
                patch.setattr(TrainingRun, "write_checkpoint", unwritten)
            case "in the last steps":
                patch.setattr(TrainingRun, "take_step", late)
            case _:
                patch.setattr(RunFolder, "write_result", kill)
        with pytest.raises(Killed):
            train(tiny(), tmp_path / "broken")
    assert RunFolder(tmp_path / "broken", tiny().identity).result() is None
    train(tiny(), tmp_path / "broken")
    assert contents(tmp_path / "broken", tiny()) == contents(tmp_path / "whole", tiny())


@pytest.mark.slow
def test_a_process_killed_in_the_middle_ends_with_the_same_bytes(tmp_path: Path, lab: Lab) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(
        '[task]\nkind = "induction"\ntest_samples = 50\nvalidation_samples = 50\n[model]\nsize = "30k"\n'
        '[objective]\nkind = "multi_token"\nn = 2\n[training]\nsteps = 300\nbatch_size = 16\n'
        "learning_rate = 0.01\nevaluate_every_steps = 20\n"
    )
    assert lab("train", path, "--home", tmp_path / "whole").returncode == 0
    command = [sys.executable, "-m", "lab", "train", str(path), "--home", str(tmp_path / "broken")]
    kills = 0
    for wait in np.random.default_rng(0).uniform(2.0, 6.0, size=4):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    assert lab("train", path, "--home", tmp_path / "broken").returncode == 0
    (whole,), (broken,) = ((tmp_path / name / "runs").iterdir() for name in ("whole", "broken"))
    for name in FILES:
        assert (whole / name).read_bytes() == (broken / name).read_bytes()


def test_a_complete_run_is_not_trained_again(tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(tiny(), tmp_path)
    monkeypatch.setattr(TrainingRun, "take_step", None)
    assert train(tiny(), tmp_path) == first


def test_a_run_held_by_another_process_is_refused(tiny: Spec, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, tiny().identity)
    with folder.locked(tiny()), pytest.raises(UserError, match="another process is training this run"):
        train(tiny(), tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.steps", 8),
        ("training.batch_size", 5),
        ("training.learning_rate", 0.02),
        ("training.warmup_steps", 0),
        ("training.final_learning_rate_fraction", 0.5),
        ("training.beta1", 0.5),
        ("training.beta2", 0.5),
        ("training.weight_decay", 0.5),
        ("training.clip_norm", 0.01),
        ("training.precision", "bf16"),
        ("model.rotary_base", 50.0),
        ("model.attention_heads", 1),
        ("model.width", 8),
        ("model.layers", 5),
        ("objective.n", 1),
        ("objective.match", "none"),
        ("seed", 1),
    ],
)
def test_every_setting_changes_the_identity_and_the_weights(
    tiny: Spec, tmp_path_factory: pytest.TempPathFactory, key: str, value: Any
) -> None:
    home = tmp_path_factory.getbasetemp() / "settings"
    usual, changed = tiny(), tiny(**{key: value})
    assert usual.identity != changed.identity
    for spec in (usual, changed):
        train(spec, home)
    weights = [RunFolder(home, spec.identity).read_tensors(LAST) for spec in (usual, changed)]
    assert weights[0] is not None
    assert weights[1] is not None
    one, other = weights[0][0], weights[1][0]
    assert one.keys() != other.keys() or any(one[k].shape != other[k].shape or (one[k] != other[k]).any() for k in one)


def test_evaluation_happens_at_its_steps_and_after_the_last(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__steps=10, training__evaluate_every_steps=4)
    seen: list[int] = []
    train(spec, tmp_path, seen.append)
    lines = RunFolder(tmp_path, spec.identity).lines(METRICS)
    assert seen == [4, 8, 10]
    assert [(line["step"], line["split"]) for line in lines] == [
        (step, split) for step in seen for split in ("train", "validation")
    ]


def test_how_often_is_evaluated_does_not_change_the_weights(tiny: Spec, tmp_path: Path) -> None:
    stored = []
    for every in (3, 12):
        spec = tiny(training__evaluate_every_steps=every)
        train(spec, tmp_path)
        stored.append(RunFolder(tmp_path, spec.identity).read_tensors(LAST))
    assert stored[0] is not None
    assert stored[1] is not None
    assert all((stored[0][0][name] == stored[1][0][name]).all() for name in stored[0][0])


def test_the_optimiser_steps_at_the_logged_rate(tiny: Spec, tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    last = RunFolder(tmp_path, tiny().identity).lines(METRICS)[-2]
    assert last["learning_rate"] == pytest.approx(0.01 * 0.03)


def test_head_losses_are_logged_apart_and_as_means(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(objective__n=3, training__learning_rate=1e-9)
    train(spec, tmp_path)
    line = RunFolder(tmp_path, spec.identity).lines(METRICS)[0]
    parts = assemble(spec)
    sums = np.zeros(3)
    for batch in [
        batch for batch, _ in zip(training_batches(parts.task, spec, parts.device, 0), range(4), strict=False)
    ]:
        with torch.no_grad():
            terms = parts.network.terms(parts.network.latent(batch), batch, Graph())
            sums += [float(term.value) for term in terms]
    assert [line[f"loss_{i}"] for i in (1, 2, 3)] == pytest.approx(list(sums / 4), rel=1e-4)


def test_the_data_of_a_step_does_not_depend_on_where_a_run_was_taken_up(tiny: Spec) -> None:
    spec = tiny(training__steps=70)
    parts = assemble(spec)
    whole = [batch.tokens_BxT for batch in training_batches(parts.task, spec, parts.device, 0)]
    later = [batch.tokens_BxT for batch in training_batches(parts.task, spec, parts.device, 45)]
    assert len(whole) == 70
    assert all((a == b).all() for a, b in zip(whole[45:], later, strict=True))


def test_arms_that_differ_only_in_n_see_the_same_data(tiny: Spec) -> None:
    drawn = []
    for n in (1, 3):
        spec = tiny(objective__n=n)
        parts = assemble(spec)
        drawn.append(torch.cat([batch.tokens_BxT for batch in training_batches(parts.task, spec, parts.device, 0)]))
    assert (drawn[0] == drawn[1]).all()


def test_a_run_that_diverges_is_a_result_and_not_a_score(tiny: Spec, tmp_path: Path, lab: Lab) -> None:
    spec = tiny(training__learning_rate=1e30, training__clip_norm=1e30)
    result = train(spec, tmp_path)
    assert result["status"] == "diverged"
    assert "scores" not in result
    assert train(spec, tmp_path) == result


def test_a_full_disk_is_a_sentence_and_leaves_the_checkpoint(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 6:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WorkFailed, match=r"could not be written \(No space left on device\)"):
            train(tiny(), tmp_path / "full")
    train(tiny(), tmp_path / "full")
    train(tiny(), tmp_path / "whole")
    assert contents(tmp_path / "full", tiny()) == contents(tmp_path / "whole", tiny())


def test_a_weight_file_that_is_not_one_is_a_sentence(tiny: Spec, tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    folder = RunFolder(tmp_path, tiny().identity)
    (folder.path / "result.json").unlink()
    (folder.path / LAST).write_bytes((folder.path / LAST).read_bytes()[:1000])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        train(tiny(), tmp_path)


def test_learning_lowers_every_heads_loss(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__steps=120, training__evaluate_every_steps=60)
    train(spec, tmp_path)
    lines = [line for line in RunFolder(tmp_path, spec.identity).lines(METRICS) if line["split"] == "validation"]
    uniform = math.log(len(assemble(spec).task.vocabulary))
    for head in ("loss_1", "loss_2"):
        assert lines[-1][head] < lines[0][head] < uniform


@pytest.mark.gpu
def test_recorded_kernels_train_to_nearly_the_same_weights(tiny: Spec, tmp_path: Path) -> None:
    settings = {"training__device": "cuda", "training__compile": True, "training__micro_batches": 2}
    results = [train(tiny(**settings, training__cuda_graphs=wanted), tmp_path) for wanted in (False, True)]
    losses = [result["scores"]["last"]["test"]["loss_1"] for result in results]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.gpu
def test_a_gpu_run_learns_as_the_cpu_run_does(tiny: Spec, tmp_path: Path) -> None:
    results = [train(tiny(training__device=device), tmp_path) for device in ("cpu", "cuda")]
    losses = [result["scores"]["last"]["test"]["loss_1"] for result in results]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_device_that_is_not_there_is_a_sentence(tiny: Spec) -> None:
    with pytest.raises(UserError, match=r'training\.device = "nonsense": not usable'):
        assemble(tiny(training__device="nonsense"))


def stopping(tiny: Spec, evaluations: int) -> RunSpec:
    """A rate at which nothing is learnt: the first evaluation stays the best."""
    return tiny(training__learning_rate=1e-12, training__stop_after_evaluations=evaluations, training__steps=40)


def test_early_stopping_ends_a_run_that_no_longer_improves(tiny: Spec, tmp_path: Path) -> None:
    result = train(stopping(tiny, 1), tmp_path)
    assert (result["steps"], result["best_step"], result["stopped_early"]) == (8, 4, True)
    assert train(stopping(tiny, 3), tmp_path)["steps"] == 16
    assert not train(tiny(training__stop_after_evaluations=9), tmp_path)["stopped_early"]


def test_a_run_that_stops_early_is_the_start_of_the_one_that_does_not(tiny: Spec, tmp_path: Path) -> None:
    short, long = stopping(tiny, 2), tiny(training__learning_rate=1e-12, training__steps=40)
    for spec in (short, long):
        train(spec, tmp_path)
    lines = [RunFolder(tmp_path, spec.identity).lines(METRICS) for spec in (short, long)]
    assert [line["step"] for line in lines[0][::2]] == [4, 8, 12]
    assert lines[0] == lines[1][:6]  # rates of a schedule of 40 steps, both


def test_every_measurement_has_its_step_and_its_seconds(tiny: Spec, tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    folder = RunFolder(tmp_path, tiny().identity)
    seconds = {line["step"]: line["train_seconds"] for line in folder.lines(TIMING) if line["train_seconds"]}
    assert {line["step"] for line in folder.lines(METRICS)} == set(seconds) == {4, 8, 12}
    assert all(line["loss_1"] > 0 for line in folder.lines(METRICS))


def test_kept_weights_are_those_of_their_step_and_a_kill_changes_nothing_in_them(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny(training__keep_every_steps=4)
    result = train(spec, tmp_path / "whole")
    checkpoint = TrainingRun.write_checkpoint

    def unwritten(run: TrainingRun) -> None:
        if run.step == 8:
            raise Killed
        checkpoint(run)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "write_checkpoint", unwritten)
        with pytest.raises(Killed):
            train(spec, tmp_path / "killed")
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
        metrics = Evaluator(stored.parts.task, "validation", stored.parts.device)(stored.parts.network)
        assert metrics == {key: line[key] for key in metrics}
    assert validations[-1]["loss_1"] == result["scores"]["last"]["validation"]["loss_1"]


def test_a_step_whose_weights_were_not_kept_is_answered_with_those_that_were(
    tiny: Spec, tmp_path: Path, whole: Path, lab: Lab
) -> None:
    spec = tiny(training__keep_every_steps=8)
    train(spec, tmp_path)
    scored = lab("score", spec.identity, "--checkpoint", "8", "--home", tmp_path, "--json")
    assert json.loads(scored.stdout)["step"] == 8
    refused = lab("score", spec.identity, "--checkpoint", "12", "--home", tmp_path)
    assert refused.returncode == 2
    assert "should be best or last, or a step whose weights were kept: 8" in refused.stderr
    with pytest.raises(UserError, match=r"kept: none \(training.keep_every_steps keeps some\)"):
        StoredRun(whole.parents[1], tiny().identity, "8")


FIXED: dict[str, dict[str, Any]] = {
    "induction": {"characters": 3, "name_parts": 6, "length_tokens": 32},
    "choice": {"length_tokens": 16},
    "markov": {"length_tokens": 32},
    "star": {"degree": 2, "length": 3, "nodes": 10},
}


@pytest.mark.parametrize("kind", FIXED)
def test_epochs_over_a_fixed_set_read_the_same_samples_in_another_order(tiny: Spec, kind: str) -> None:
    task = {"kind": kind, "training_samples": 8, **FIXED[kind]}
    spec = tiny(task=task, objective__n=1, training__steps=6, training__batch_size=4)
    parts = assemble(spec)
    read = [batch.tokens_BxT.tolist() for batch in training_batches(parts.task, spec, parts.device, 0)]
    samples = [tuple(row) for rows in read for row in rows]
    epochs = [samples[start : start + 8] for start in (0, 8, 16)]
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert epochs[0] != epochs[1]
    taken_up = [batch.tokens_BxT.tolist() for batch in training_batches(parts.task, spec, parts.device, 3)]
    assert taken_up == read[3:]


def test_a_kill_changes_nothing_in_where_a_run_stops_early(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = stopping(tiny, 1)
    whole = train(spec, tmp_path / "whole")

    def killed(self: TrainingRun) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            train(spec, tmp_path / "killed")
    assert train(spec, tmp_path / "killed") == whole
    logs = [RunFolder(tmp_path / home, spec.identity).lines(METRICS) for home in ("whole", "killed")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_compiled_layers_train_to_nearly_the_same_weights_under_the_same_names(tiny: Spec, tmp_path: Path) -> None:
    eager, compiled = (train(tiny(training__compile=wanted), tmp_path) for wanted in (False, True))
    assert eager["scores"]["last"]["test"]["loss_1"] == pytest.approx(
        compiled["scores"]["last"]["test"]["loss_1"], rel=1e-3
    )
    first, second = (RunFolder(tmp_path, tiny(training__compile=wanted).identity) for wanted in (False, True))
    assert first.identity != second.identity
    weights = [folder.read_tensors("last.safetensors") for folder in (first, second)]
    assert weights[0] is not None
    assert weights[1] is not None
    assert weights[0][0].keys() == weights[1][0].keys()


def test_without_a_compiler_compile_is_refused_with_a_sentence(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=r"training\.compile = true: needs a C\+\+ compiler"):
        train(tiny(training__compile=True), tmp_path)
