"""The analysis of choice points: its parts add up to the training loss, and any task with labels has all of them."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from generators.foundation.randomness import Floats, Integers, Stream
from generators.protocols import ChoicePoints
from generators.task import Batch, Mask, Task
from generators.tasks.choice import Choice
from lab.analysis.choice_points import ChoicePointsAnalysis, loss_weights, target_kinds
from lab.analysis.estimators.choice_gradients import measure_gradients, token_losses
from lab.analysis.estimators.choice_weight import prediction_heads
from lab.loss.losses import joint
from lab.model.batches import TensorBatch
from lab.run.stored_run import StoredRun
from lab.run.training import train
from tests.conftest import Lab, Spec
from tests.paper_weight import implied_weight

CHOICE_TASK = {
    "kind": "choice",
    "branching": 4,
    "alphabet_tokens": 4,
    "decides_tokens": 2,
    "spacing_tokens": 5,
    "length_tokens": 20,
    "validation_samples": 16,
    "test_samples": 16,
}


@pytest.fixture(scope="module")
def run(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    home = tmp_path_factory.mktemp("choice")
    spec = tiny(task=CHOICE_TASK, objective__n=3, training__keep_every_steps=4, training__steps=40)
    train(spec, home)
    return StoredRun(home, spec.identity, "last")


def test_gradients_of_all_kinds_and_heads_add_up_to_that_of_training(run: StoredRun) -> None:
    task, network, device = run.parts.task, run.parts.network, run.parts.device
    batch, held_out = task.batch("train", np.arange(8)), task.batch("test", np.arange(8))
    tensors = TensorBatch.from_batch(batch, device, np.arange(8))
    joint(network, tensors)
    trained = torch.cat([weight.grad.flatten() for weight in network.trunk.parameters() if weight.grad is not None])
    network.zero_grad()
    heads = {head.lag: head for head in prediction_heads(network, tensors)}
    before = [weight.clone() for weight in network.parameters()]
    parts = measure_gradients(
        network,
        [(batch, held_out)],
        lambda samples, lag: target_kinds(task, samples, heads[lag]),
        loss_weights(run, batch),
        device,
    )
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
    total = sum(values[0] for values in parts.product.values())
    held_out_tensors = TensorBatch.from_batch(held_out, device, np.arange(8))
    loss = token_losses(network, held_out_tensors, network.trunk(held_out_tensors.inputs_BxP), 1).mean()
    g_1 = torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(network.trunk.parameters()))])
    assert total == pytest.approx(float(trained @ g_1), rel=1e-4)
    assert sum(values[0] for values in parts.product_of_kind.values()) == pytest.approx(total, rel=1e-4)
    for kind, values in parts.useful.items():
        assert values[0] == pytest.approx(parts.product_of_kind[kind][0], abs=0.02 * abs(total)), kind


def test_weights_of_losses_are_those_of_the_last_step(tiny: Spec, tmp_path: Path) -> None:
    objective = {"kind": "multi_token", "n": 2, "further_weight": {"first": 1.0, "last": 0.0, "step": 4}}
    spec = tiny(task=CHOICE_TASK, objective=objective, training__steps=4)
    train(spec, tmp_path)
    stored = StoredRun(tmp_path, spec.identity, "last")
    assert loss_weights(stored, stored.parts.task.batch("train", np.arange(2))) == {1: 1.0, 2: 0.25}


def test_token_losses_average_to_the_training_loss(run: StoredRun) -> None:
    network = run.parts.network
    batch = TensorBatch.from_batch(run.parts.task.batch("test", np.arange(8)), run.parts.device, np.arange(8))
    trained = joint(network, batch)
    network.zero_grad()
    for lag in network.lags:
        losses = token_losses(network, batch, network.trunk(batch.inputs_BxP), lag)
        mask = torch.from_numpy(batch.loss[:, lag:])
        assert losses[mask].mean().item() == pytest.approx(trained[f"loss_{lag}"].item(), rel=1e-5)


def test_the_analysis_of_a_choice_run_has_all_parts_and_the_theoretical_weight(run: StoredRun, lab: Lab) -> None:
    home = run.folder.path.parent.parent
    done = lab("analyse", run.folder.identity, "choice-points", "--checkpoint", 8, "--home", home, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["step"] == 8
    assert {row["part"] for row in answer["rows"]} >= {"weight", "loss", "gradient", "useful", "found", "position"}
    assert answer["measures"]["implied_weight_choice"] == implied_weight(3, 2) == 6
    assert answer["measures"]["implied_weight_inconsequential"] == 3
    losses = [row for row in answer["rows"] if row["part"] == "loss"]
    assert {row["head"] for row in losses} == {1, 2, 3}
    assert all(row["low"] <= row["value"] <= row["high"] for row in losses)
    optima = [row["reference"] for row in losses if row["class"].endswith("consequential choice")]
    assert optima == pytest.approx([np.log(4)] * 6)
    kinds = {row["class"] for row in answer["rows"] if row["part"] == "useful"} - {"all"}
    if shares := [row["value"] for row in answer["rows"] if row["part"] == "share"]:
        assert sum(shares[: len(kinds)]) == pytest.approx(1)


class LabelledTask(Task):
    """A task that is no `Choice`, but labels choice points: it borrows the samples and labels of one."""

    def __init__(self, inner: Choice) -> None:
        super().__init__(inner.config)
        self.inner = inner
        self.vocabulary, self.length, self.splits = inner.vocabulary, inner.length, inner.splits

    def draw(self, stream: Stream, split: str) -> Batch:
        return self.inner.draw(stream, split)

    def oracle(self, batch: Batch) -> Integers:
        return self.inner.oracle(batch)

    def position_classes(self, batch: Batch) -> dict[str, Mask]:
        names = {"fixed": "Fixed (by rule)"}
        return {names.get(name, name): mask for name, mask in self.inner.position_classes(batch).items()}

    def choice_points(self, batch: Batch) -> ChoicePoints:
        return self.inner.choice_points(batch)

    def optimal_loss(self, batch: Batch, lag: int = 1) -> Floats:
        return self.inner.optimal_loss(batch, lag)


def test_any_task_with_labelled_choice_points_has_all_parts(run: StoredRun) -> None:
    assert isinstance(run.parts.task, Choice)
    other = SimpleNamespace(
        parts=replace(run.parts, task=LabelledTask(run.parts.task)), folder=run.folder, spec=run.spec, step=run.step
    )
    measures = ChoicePointsAnalysis().analyse(run).measures
    renamed = {name.replace("_fixed", "_fixed_by_rule"): value for name, value in measures.items()}
    assert ChoicePointsAnalysis().analyse(cast(StoredRun, other)).measures == renamed
    assert "norm_fixed_by_rule" in renamed


def test_modules_that_read_the_tokens_in_between_give_a_choice_no_extra_weight(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(task=CHOICE_TASK, objective={"kind": "sequential_modules", "n": 3}, training__steps=4)
    train(spec, tmp_path)
    result = ChoicePointsAnalysis().analyse(StoredRun(tmp_path, spec.identity, "last"))
    assert result.measures["implied_weight_choice"] == 3 == result.measures["implied_weight_inconsequential"]
    assert not [row for row in result.rows if row.get("class") == "decided, choice unseen"]
    assert ChoicePointsAnalysis().analyse(StoredRun(tmp_path, spec.identity, "last")) == result


def test_too_few_test_samples_for_independent_batches_are_refused(tiny: Spec, tmp_path: Path, lab: Lab) -> None:
    spec = tiny(task={**CHOICE_TASK, "test_samples": 7}, training__steps=4)
    train(spec, tmp_path)
    done = lab("analyse", spec.identity, "choice-points", "--home", tmp_path)
    assert done.returncode == 2
    assert "task.test_samples = 7" in done.stderr
    assert "at least 8" in done.stderr


def test_a_run_of_a_task_without_labels_has_the_unlabelled_part_alone(complete_folder: Path, lab: Lab) -> None:
    done = lab("analyse", complete_folder.name, "choice-points", "--home", complete_folder.parent.parent, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert {row["part"] for row in answer["rows"]} == {"found", "position"}
    values = [row["value"] for row in answer["rows"] if row["part"] == "position"]
    assert values == sorted(values, reverse=True)


@pytest.mark.slow
def test_precision_and_recall_fall_with_noise(tiny: Spec, tmp_path: Path) -> None:
    measures = {}
    for noise in (0.0, 0.5):
        spec = tiny(
            task={"kind": "choice", "noise": noise},
            model={"width": 48, "layers": 3, "attention_heads": 4},
            objective__n=1,
            training__steps=600,
            training__batch_size=16,
            training__learning_rate=3e-3,
            training__evaluate_every_steps=600,
        )
        train(spec, tmp_path)
        measures[noise] = ChoicePointsAnalysis().analyse(StoredRun(tmp_path, spec.identity, "last")).measures
    assert measures[0.0]["precision"] > 0.95
    assert measures[0.0]["recall"] > 0.95
    assert measures[0.5]["recall"] < measures[0.0]["recall"]
    assert measures[0.5]["average_precision"] < measures[0.0]["average_precision"]
