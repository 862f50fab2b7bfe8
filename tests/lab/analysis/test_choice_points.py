"""The analysis of choice points against the theory of the task, and against counting by hand."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.foundation.randomness import Integers
from generators.task import Batch
from generators.tasks.choice import CONSEQUENTIAL, DECIDED, INCONSEQUENTIAL, Choice, ChoiceConfig, implied_weight
from lab.analysis.choice_points import ChoicePointsAnalysis, kinds_of, loss_weights
from lab.analysis.estimators import consequences as unlabelled
from lab.analysis.estimators.choice_gradients import measure, token_losses
from lab.analysis.estimators.choice_weight import Head, counted_weight, heads_of, weight_in_theory
from lab.analysis.estimators.consequences import consequences, positions
from lab.analysis.estimators.intervals import average_precision, proportion, ratio, t_ratio
from lab.loss.losses import joint
from lab.model.batches import TensorBatch
from lab.run.stored_run import StoredRun
from lab.run.training import train
from tests.conftest import Lab, Spec

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
HEADS = [[Head(lag, lag) for lag in range(1, n + 1)] for n in range(9)]


def choice_task(**settings: int) -> Choice:
    return Choice(ChoiceConfig(**settings))  # type: ignore[arg-type]


def dependents(task: Choice, tokens: Integers) -> set[tuple[int, int]]:
    """(choice, target) pairs of a sample [T], the choice itself included: what the oracle answers otherwise when the
    choice is another; of an inconsequential choice nothing is."""

    def answers(of: Integers) -> Integers:
        nothing = np.zeros((1, len(of)), bool)
        return task.oracle(Batch(tokens=of[None], loss=nothing, scored=nothing))[0]

    found = set()
    for place, token in enumerate(tokens[:-1].tolist()):
        name = task.vocabulary[token]
        if name[0] in "CI" and "+" not in name:
            other = tokens.copy()
            other[place + 1] = (other[place + 1] + 1) % task.config.branching
            differ = np.flatnonzero(answers(tokens) != answers(other))
            found |= {(place + 1, place + 1)} | {(place + 1, int(target)) for target in differ}
    return found


@pytest.mark.parametrize("extra_spacing", [0, 1, 5])
def test_the_counted_weight_of_each_class_is_the_theory_for_every_n_and_d(extra_spacing: int) -> None:
    for n, decides in product(range(1, 9), range(1, 9)):
        spacing = decides + 2 + extra_spacing  # from below n to above it
        task = choice_task(decides_tokens=decides, spacing_tokens=spacing, length_tokens=4 * spacing)
        batch = task.batch("test", [0, 1])
        counts = counted_weight(batch.labels, HEADS[n])
        for row, at in np.argwhere(batch.labels["choice"] == np.arange(task.length)):
            consequential = batch.labels["class"][row, at] == CONSEQUENTIAL
            own = counts[CONSEQUENTIAL if consequential else INCONSEQUENTIAL][row, at]
            deciding = decides if consequential else 0
            before, after = int(at), task.length - 1 - int(at)
            assert (own, counts[DECIDED][row, at]) == weight_in_theory(HEADS[n], deciding, spacing, before, after)
            if before >= n and after >= decides:
                m = min(decides + 1, n)
                assert own == n
                assert own + counts[DECIDED][row, at] == implied_weight(n, deciding)
                assert not consequential or own + counts[DECIDED][row, at] == m * n - m * (m - 1) // 2
        assert counts[DECIDED].sum() == counts[DECIDED][batch.labels["class"] == CONSEQUENTIAL].sum()


@pytest.mark.parametrize(("n", "decides", "spacing"), [(1, 4, 8), (4, 2, 4), (8, 3, 5), (8, 4, 8), (5, 8, 10)])
def test_the_labels_counted_are_what_the_oracle_says_depends_on_the_choice(n: int, decides: int, spacing: int) -> None:
    task = choice_task(decides_tokens=decides, spacing_tokens=spacing, length_tokens=4 * spacing)
    batch = task.batch("test", np.arange(4))
    counts = sum(counted_weight(batch.labels, HEADS[n]).values())
    for row, tokens in enumerate(batch.tokens):
        by_hand = np.zeros(task.length, int)
        pairs = dependents(task, tokens)
        for position, head in product(range(task.length), range(1, n + 1)):
            for choice, target in pairs:
                by_hand[choice] += position + head == target and position < choice
        assert (counts[row] == by_hand).all()


def test_choices_nearer_than_what_they_decide_count_by_the_last_choice_as_the_general_formula_says() -> None:
    for n, decides, spacing in product(range(1, 9), range(1, 9), range(1, 10)):
        place = np.arange(60)
        last = (place - 20) // spacing * spacing + 20
        decided = (place >= 20) & (place - last <= decides)
        labels = {
            "class": np.where(place == last, CONSEQUENTIAL, DECIDED)[None],
            "choice": np.where(decided, last, -1)[None],
        }
        total = sum(counted_weight(labels, HEADS[n]).values())[0, 20]
        m = min(decides + 1, spacing, n)
        assert total == sum(weight_in_theory(HEADS[n], decides, spacing)) == m * n - m * (m - 1) // 2
        if decides < spacing:
            assert total == implied_weight(n, decides)
        if decides >= n - 1 and spacing >= n:
            assert total == n * (n + 1) // 2  # the paper's


@pytest.fixture(scope="module")
def run(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    home = tmp_path_factory.mktemp("choice")
    spec = tiny(task=CHOICE_TASK, objective__n=3, training__keep_every_steps=4, training__steps=40)
    train(spec, home)
    return StoredRun(home, spec.identity, "last")


def choice_of(run: StoredRun) -> Choice:
    assert isinstance(run.parts.task, Choice)
    return run.parts.task


def test_gradients_of_all_kinds_and_heads_add_up_to_what_training_descends(run: StoredRun) -> None:
    task, network, device = choice_of(run), run.parts.network, run.parts.device
    batch = task.batch("train", np.arange(8))
    tensors = TensorBatch.from_batch(batch, device, np.arange(8))
    joint(network, tensors)
    trained = torch.cat([weight.grad.flatten() for weight in network.trunk.parameters() if weight.grad is not None])
    network.zero_grad()
    weights = loss_weights(run, batch)
    heads = {head.lag: head for head in heads_of(network, tensors)}
    pairs = [(batch, task.batch("test", np.arange(8)))]
    before = [weight.clone() for weight in network.parameters()]
    found = measure(network, pairs, lambda some, lag: kinds_of(task, some, heads[lag]), weights, device)
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
    total = sum(values[0] for values in found.product.values())
    held_out = TensorBatch.from_batch(pairs[0][1], device, np.arange(8))
    loss = token_losses(network, held_out, network.trunk(held_out.inputs_BxP), 1).mean()
    g_1 = torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(network.trunk.parameters()))])
    assert total == pytest.approx(float(trained @ g_1), rel=1e-4)
    assert sum(values[0] for values in found.product_of_kind.values()) == pytest.approx(total, rel=1e-4)
    for kind, values in found.useful.items():
        assert values[0] == pytest.approx(found.product_of_kind[kind][0], abs=0.02 * abs(total)), kind


def test_token_losses_are_those_that_are_trained_on(run: StoredRun) -> None:
    network = run.parts.network
    batch = TensorBatch.from_batch(run.parts.task.batch("test", np.arange(8)), run.parts.device, np.arange(8))
    trained = joint(network, batch)
    network.zero_grad()
    for lag in network.lags:
        own = token_losses(network, batch, network.trunk(batch.inputs_BxP), lag)
        mask = torch.from_numpy(batch.loss[:, lag:])
        assert own[mask].mean().item() == pytest.approx(trained[f"loss_{lag}"].item(), rel=1e-5)


def test_the_analysis_of_a_choice_run_has_all_parts_and_the_weight_of_the_theory(run: StoredRun, lab: Lab) -> None:
    home = run.folder.path.parent.parent
    answered = lab("analyse", run.folder.identity, "choice-points", "--checkpoint", 8, "--home", home, "--json")
    assert answered.returncode == 0, answered.stderr
    found = json.loads(answered.stdout)
    assert found["step"] == 8
    assert {row["part"] for row in found["rows"]} >= {"weight", "loss", "gradient", "useful", "found", "position"}
    assert found["measures"]["implied_weight_choice"] == implied_weight(3, 2) == 6
    assert found["measures"]["implied_weight_inconsequential"] == 3
    losses = [row for row in found["rows"] if row["part"] == "loss"]
    assert {row["head"] for row in losses} == {1, 2, 3}
    assert all(row["low"] <= row["value"] <= row["high"] for row in losses)
    choices = [row["reference"] for row in losses if row["class"].endswith("consequential choice")]
    assert choices == pytest.approx([np.log(4)] * 6)
    shares = [row["value"] for row in found["rows"] if row["part"] == "share"]
    kinds = {row["class"] for row in found["rows"] if row["part"] == "useful"} - {"all"}
    if shares:
        assert sum(shares[: len(kinds)]) == pytest.approx(1)


def test_modules_that_are_told_the_tokens_between_have_no_implied_weight(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(task=CHOICE_TASK, objective={"kind": "sequential_modules", "n": 3}, training__steps=4)
    train(spec, tmp_path)
    found = ChoicePointsAnalysis().analyse(StoredRun(tmp_path, spec.identity, "last"))
    assert found.measures["implied_weight_choice"] == 3 == found.measures["implied_weight_inconsequential"]
    assert not [row for row in found.rows if row.get("class") == "decided, choice unseen"]
    assert ChoicePointsAnalysis().analyse(StoredRun(tmp_path, spec.identity, "last")) == found


def test_too_few_test_samples_for_independent_batches_are_refused_in_a_sentence(
    tiny: Spec, tmp_path: Path, lab: Lab
) -> None:
    spec = tiny(task={**CHOICE_TASK, "test_samples": 7}, training__steps=4)
    train(spec, tmp_path)
    answered = lab("analyse", spec.identity, "choice-points", "--home", tmp_path)
    assert answered.returncode == 2
    assert "task.test_samples = 7" in answered.stderr
    assert "at least 8" in answered.stderr


def test_a_run_of_another_task_has_the_unlabelled_part_alone(complete_folder: Path, lab: Lab) -> None:
    answered = lab("analyse", complete_folder.name, "choice-points", "--home", complete_folder.parent.parent, "--json")
    assert answered.returncode == 0, answered.stderr
    found = json.loads(answered.stdout)
    assert {row["part"] for row in found["rows"]} == {"found", "position"}
    values = [row["value"] for row in found["rows"] if row["part"] == "position"]
    assert values == sorted(values, reverse=True)


class Perfect(torch.nn.Module):
    """The source itself as a network: its exact distribution, made faintly possible everywhere."""

    def __init__(self, task: Choice) -> None:
        super().__init__()
        self.task = task
        self.trunk = self.read

    def read(self, tokens: Tensor) -> Tensor:
        nothing = np.zeros((len(tokens), self.task.length), np.int64)
        padded = nothing.copy()
        padded[:, : tokens.shape[1]] = tokens.numpy()
        batch = Batch(tokens=padded, loss=nothing > 0, scored=nothing > 0)
        likely = self.task.distribution(batch)[:, 1 : tokens.shape[1] + 1]
        return torch.from_numpy(0.99 * likely + 0.01 / likely.shape[2])

    def hidden(self, latent: Tensor, lag: int, tokens: Tensor) -> Tensor:
        return latent

    def unembed(self, hidden: Tensor, lag: int) -> Tensor:
        return hidden.log()


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_consequence_of_a_choice_is_what_the_source_says(noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the source itself, the true tokens are (1 - q + q/A) / (q/A) times less likely after another choice, at each
    offset where noise left them as they were; 7 of 8 draws of the next-token head are another choice."""
    monkeypatch.setattr(unlabelled, "TOKENS_READ", 10**7)
    task = Choice(ChoiceConfig(noise=noise, length_tokens=32))
    batch = task.batch("test", np.arange(100))
    network: Any = Perfect(task)
    found = consequences(network, batch, torch.device("cpu"), 0)
    classes = batch.labels["class"][found.sample, found.place]
    size = len(task.vocabulary)
    right = 0.99 * (1 - noise + noise / 8) + 0.01 / size
    wrong = 0.99 * noise / 8 + 0.01 / size
    expected = 4 * (1 - noise) * np.log(right / wrong) * 7 / 8
    whole = (classes == CONSEQUENTIAL) & (found.place < 32 - 4)
    assert found.nats[whole].mean() == pytest.approx(expected, rel=0.05)
    assert np.abs(found.nats[(classes == INCONSEQUENTIAL) | (classes == DECIDED)]).max() < 1e-9
    z = (found.nats[whole].mean() - expected) / (found.nats[whole].std() / np.sqrt(whole.sum()))
    assert abs(z) < 4


def test_positions_are_targets_with_loss_and_another_behind_them_and_cost_no_more_than_is_paid() -> None:
    loss = np.zeros((3, 40), bool)
    loss[:, [5, 6, 20, 39]] = True
    sample, place = positions(loss, np.random.default_rng(0))
    assert list(zip(sample, place, strict=True)) == [(0, 5), (1, 5), (2, 5)]
    many = np.ones((32, 1000), bool)
    sample, place = positions(many, np.random.default_rng(0))
    cost = unlabelled.ALTERNATIVES * (place + unlabelled.WINDOW).sum()
    assert 0.9 * unlabelled.TOKENS_READ < cost < 1.1 * unlabelled.TOKENS_READ
    assert len(set(zip(sample.tolist(), place.tolist(), strict=True))) == len(place)


def coverage(interval: Callable[[np.random.Generator], tuple[float, float, float]], truth: float) -> float:
    generator = np.random.default_rng(0)
    ends = [interval(generator)[1:] for _ in range(1000)]
    return float(np.mean([low <= truth <= high for low, high in ends]))


def test_intervals_hold_the_truth_in_95_of_100_draws() -> None:
    def of_share(generator: np.random.Generator) -> tuple[float, float, float]:
        part, rest = generator.normal(1, 0.5, 8), generator.normal(3, 0.5, 8)
        return t_ratio(part, part + rest)

    def of_ratio(generator: np.random.Generator) -> tuple[float, float, float]:
        counts = generator.integers(1, 6, 200)
        return ratio(counts * 2.0 + generator.normal(0, 1, 200), counts.astype(float))

    assert coverage(of_share, 1 / 4) == pytest.approx(0.95, abs=0.03)
    assert coverage(of_ratio, 2.0) == pytest.approx(0.95, abs=0.03)


def test_average_precision_is_that_of_the_ranking_and_a_proportion_of_all_has_a_width() -> None:
    truth = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), truth) == pytest.approx((1 + 2 / 3) / 2)
    every = np.ones(30, bool)
    value, low, high = proportion(every, every, np.arange(30) // 3)
    assert (value, high) == (1, 1)
    assert low == pytest.approx(0.025 ** (1 / 30))  # Clopper-Pearson


@pytest.mark.slow
def test_precision_and_recall_fall_with_noise(tiny: Spec, tmp_path: Path) -> None:
    found = []
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
        found.append(ChoicePointsAnalysis().analyse(StoredRun(tmp_path, spec.identity, "last")).measures)
    assert found[0]["precision"] > 0.95
    assert found[0]["recall"] > 0.95
    assert found[1]["recall"] < found[0]["recall"]
    assert found[1]["average_precision"] < found[0]["average_precision"]
