"""Equal specs give equal bytes, every setting changes something, and the logs contain the measurements."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generators.foundation.errors import UserError
from lab.loss.graph import Graph
from lab.run.assembly import assemble
from lab.run.checkpoints import select_prefix
from lab.run.loop.training_run import TrainingRun
from lab.run.optimisers.flat import FlatOptimiser
from lab.run.spec import RunSpec, TrainingConfig
from lab.run.store import LAST, METRICS, TIMING, RunFolder
from lab.run.training import train
from lab.run.training_data import training_batches
from tests.conftest import Spec
from tests.lab.killed_runs import contents_at


def trained_weights(spec: RunSpec, home: Path) -> dict[str, torch.Tensor]:
    train(spec, home)
    stored = RunFolder(home, spec.identity).read_tensors(LAST)
    assert stored is not None
    return select_prefix(stored[0], "model.")


def test_one_spec_trained_twice_gives_the_same_bytes(tiny: Spec, tmp_path: Path) -> None:
    train(tiny(), tmp_path / "a")
    train(tiny(), tmp_path / "b")
    assert contents_at(tmp_path / "a", tiny()) == contents_at(tmp_path / "b", tiny())


def test_a_complete_run_is_not_trained_again(tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(tiny(), tmp_path)
    monkeypatch.setattr(TrainingRun, "take_step", None)
    assert train(tiny(), tmp_path) == first


def test_a_run_locked_by_another_process_is_refused(tiny: Spec, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, tiny().identity)
    with folder.locked(tiny()), pytest.raises(UserError, match="another process is training this run"):
        train(tiny(), tmp_path)


CHANGES_OF_WEIGHTS: dict[str, Any] = {
    "training.steps": 8,
    "training.batch_size": 5,
    "training.learning_rate": 0.02,
    "training.warmup_steps": 0,
    "training.schedule": "wsd",
    "training.final_learning_rate_fraction": 0.5,
    "training.optimiser": "sgd",
    "training.beta1": 0.5,
    "training.beta2": 0.5,
    "training.weight_decay": 0.5,
    "training.clip_norm": 0.01,
    "training.precision": "bf16",
    "model.rotary_base": 50.0,
    "model.attention_heads": 1,
    "seed": 1,
}
CHANGES_OF_SHAPES: dict[str, Any] = {
    "model.width": 8,
    "model.layers": 5,
    "objective.n": 1,
    "objective.match": "none",
}
WITHOUT_EFFECT_ON_EXACT_WEIGHTS = {
    "evaluate_every_steps",
    "stop_after_evaluations",
    "stop_when_solved",
    "keep_every_steps",
    "loss",
    "micro_batches",
    "stack",
    "device",
    "compile",
    "cuda_graphs",
}
"""Settings that decide when a run is evaluated or how the same gradient is computed."""


def test_no_setting_of_training_is_left_untested() -> None:
    tested = {name.removeprefix("training.") for name in CHANGES_OF_WEIGHTS if name.startswith("training.")}
    assert tested | WITHOUT_EFFECT_ON_EXACT_WEIGHTS == set(TrainingConfig.model_fields)


@pytest.fixture(scope="module")
def tiny_weights(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return trained_weights(tiny(), tmp_path_factory.mktemp("settings"))


@pytest.mark.parametrize("key", CHANGES_OF_WEIGHTS)
def test_a_changed_setting_changes_the_identity_and_every_matrix(
    tiny: Spec, tiny_weights: dict[str, torch.Tensor], tmp_path: Path, key: str
) -> None:
    changed = tiny(**{key: CHANGES_OF_WEIGHTS[key]})
    assert changed.identity != tiny().identity
    weights = trained_weights(changed, tmp_path)
    assert {name: value.shape for name, value in weights.items()} == {
        name: value.shape for name, value in tiny_weights.items()
    }
    matrices = [name for name, value in weights.items() if value.dim() == 2]
    assert [name for name in matrices if torch.equal(weights[name], tiny_weights[name])] == []


@pytest.mark.parametrize("key", CHANGES_OF_SHAPES)
def test_a_changed_setting_changes_the_identity_and_the_shapes(tiny: Spec, key: str) -> None:
    changed = tiny(**{key: CHANGES_OF_SHAPES[key]})
    assert changed.identity != tiny().identity
    shapes, tiny_shapes = (
        {name: value.shape for name, value in assemble(spec).network.state_dict().items()} for spec in (changed, tiny())
    )
    assert shapes != tiny_shapes


def test_evaluations_happen_at_their_steps_and_after_the_last(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__steps=10, training__evaluate_every_steps=4)
    reported: list[int] = []
    train(spec, tmp_path, reported.append)
    lines = RunFolder(tmp_path, spec.identity).lines(METRICS)
    assert reported == [4, 8, 10]
    assert [(line["step"], line["split"]) for line in lines] == [
        (step, split) for step in reported for split in ("train", "validation")
    ]


def test_the_frequency_of_evaluations_does_not_change_the_weights(tiny: Spec, tmp_path: Path) -> None:
    often, once = (trained_weights(tiny(training__evaluate_every_steps=every), tmp_path) for every in (3, 12))
    assert all(torch.equal(often[name], once[name]) for name in often)


def test_the_logged_rate_is_the_one_of_the_last_optimiser_step(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, rates = FlatOptimiser.update, []

    def record(optimiser: FlatOptimiser, rate: float) -> None:
        rates.append(rate)
        update(optimiser, rate)

    monkeypatch.setattr(FlatOptimiser, "update", record)
    train(tiny(), tmp_path)
    lines = [line for line in RunFolder(tmp_path, tiny().identity).lines(METRICS) if line["split"] == "train"]
    assert len(rates) == len(set(rates)) == 12
    assert [line["learning_rate"] for line in lines] == [rates[line["step"] - 1] for line in lines]
    assert rates[-1] == pytest.approx(0.01 * 0.03)


def test_the_loss_of_each_head_is_logged_as_a_mean_over_the_steps(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(objective__n=3, training__learning_rate=1e-9)
    train(spec, tmp_path)
    line = RunFolder(tmp_path, spec.identity).lines(METRICS)[0]
    parts = assemble(spec)
    sums = np.zeros(3)
    for batch, _ in zip(training_batches(parts.task, spec, parts.device, 0), range(4), strict=False):
        with torch.no_grad():
            terms = parts.network.terms(parts.network.latent(batch), batch, Graph())
            sums += [float(term.value) for term in terms]
    assert [line[f"loss_{i}"] for i in (1, 2, 3)] == pytest.approx(list(sums / 4), rel=1e-4)


def test_training_lowers_the_loss_of_every_head(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__steps=120, training__evaluate_every_steps=60)
    train(spec, tmp_path)
    lines = [line for line in RunFolder(tmp_path, spec.identity).lines(METRICS) if line["split"] == "validation"]
    uniform = math.log(len(assemble(spec).task.vocabulary))
    for head in ("loss_1", "loss_2"):
        assert lines[-1][head] < lines[0][head] < uniform


def test_every_measurement_has_its_step_and_its_seconds(tiny: Spec, tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    folder = RunFolder(tmp_path, tiny().identity)
    seconds = {line["step"]: line["train_seconds"] for line in folder.lines(TIMING) if line["train_seconds"]}
    assert {line["step"] for line in folder.lines(METRICS)} == set(seconds) == {4, 8, 12}
    assert all(line["loss_1"] > 0 for line in folder.lines(METRICS))


def test_a_run_that_diverges_has_a_result_without_scores(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__learning_rate=1e30, training__clip_norm=1e30)
    result = train(spec, tmp_path)
    assert result["status"] == "diverged"
    assert "scores" not in result
    assert train(spec, tmp_path) == result


def test_a_validation_loss_that_is_not_a_number_is_a_divergence(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.run.evaluation.Evaluator.__call__", lambda *_: {"loss_1": float("nan"), "accuracy": 0.5})
    assert train(tiny(), tmp_path)["status"] == "diverged"


def test_an_unknown_device_is_refused_with_a_sentence(tiny: Spec) -> None:
    with pytest.raises(UserError, match=r'training\.device = "nonsense": absent'):
        assemble(tiny(training__device="nonsense"))
