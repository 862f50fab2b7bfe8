"""Costs of a study: operations as theory and torch count them, runs and the runs they start from, time from a rate."""

import json

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from generators.table import build_task
from lab.bench.operations import COUNTED_SAMPLES, flops_of_sample
from lab.loss.losses import accumulate_gradient
from lab.model.batches import TensorBatch
from lab.model.config import DataShape
from lab.model.trunks.llama import LlamaConfig
from lab.objectives.multi_token import MultiTokenConfig
from lab.objectives.table import OBJECTIVES, build_objective
from lab.run.assembly import assemble
from lab.run.finetuning import meta_network
from lab.run.spec import TrainingConfig
from lab.run.step import OptimiserStep
from studies.declared.catalog import STUDIES
from studies.declared.loading import declare
from studies.declared.study import TUNING_SEED, Study
from studies.running.plan.cost import (
    PROBE_STEPS,
    duration_text,
    estimate_time,
    plan_study,
    seconds_of_step,
)
from studies.running.plan.measured_steps import RUN_SECONDS
from tests.conftest import Lab, Spec
from tests.small_study import Replacement
from tests.studies.conftest import Edit
from tests.studies.declared.test_starts import INSIDE, WHOLE


@pytest.mark.parametrize("n", [1, 4])
def test_a_transformer_takes_six_operations_a_parameter_and_token_and_twelve_for_attention(tiny: Spec, n: int) -> None:
    spec = tiny(task={"kind": "markov"}, model={"width": 64, "layers": 6, "attention_heads": 2}, objective__n=n)
    task, parts = build_task(spec.task), meta_network(spec).parameters_by_part()
    tokens, layers = task.length - 1, 6
    blocks = sum(count for name, count in parts.items() if name == "trunk" or name.startswith("head"))
    matrices = blocks + n * parts["unembedding"]
    expected = tokens * (6 * matrices + 12 * layers * 64 * tokens)
    training, forward = flops_of_sample(spec)
    assert training == pytest.approx(expected, rel=0.03)
    assert training == 3 * forward


@pytest.mark.parametrize("kind", [*OBJECTIVES.rows])
def test_counted_operations_equal_those_that_torch_counts_in_a_real_step(tiny: Spec, kind: str) -> None:
    spec = tiny(objective={"kind": kind})
    parts = assemble(spec)
    drawn = parts.task.batch("train", np.arange(COUNTED_SAMPLES), spec.seed).trimmed()
    batch = TensorBatch.from_batch(drawn, torch.device("cpu"), np.arange(COUNTED_SAMPLES))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # it knows no other on a CPU
        accumulate_gradient(parts.network, batch, "joint")
    stops_gradients = kind == "next_latent"  # nothing flows back to a latent that is predicted, nor to its unembedding
    taken = counter.get_total_flops() / COUNTED_SAMPLES
    assert flops_of_sample(spec)[0] == pytest.approx(taken, rel=0.2 if stops_gradients else 0.1)


@pytest.mark.parametrize(("freeze", "lower", "upper"), [("trunk", 1.0, 2.0), ("none", 2.9, 3.1)])
def test_a_frozen_trunk_costs_its_forward_pass_alone(tiny: Spec, freeze: str, lower: float, upper: float) -> None:
    """Seven of eight layers are frozen, so a step costs little more than the forward pass."""
    model = {"width": 16, "layers": 8, "attention_heads": 2}
    spec = tiny(objective__n=1, model=model, start={"objective": {"kind": "multi_token", "n": 1}, "freeze": freeze})
    parts = assemble(spec)
    drawn = parts.task.batch("train", np.arange(COUNTED_SAMPLES), spec.seed).trimmed()
    batch = TensorBatch.from_batch(drawn, torch.device("cpu"), np.arange(COUNTED_SAMPLES))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        accumulate_gradient(parts.network, batch, "joint")
    training, forward = flops_of_sample(spec)
    assert training == pytest.approx(counter.get_total_flops() / COUNTED_SAMPLES, rel=0.1)
    assert lower < training / forward < upper


def identities_of_starts(study: Study) -> set[str]:
    """Returns the runs that those of a study start from if no two cells try the same rates, and each chooses its
    second."""
    declaration, starts = study.declaration, set()
    for number, cell in enumerate(study.cells):
        rates = [0.001 * (1 + 10 * number + trial) for trial in range(study.trials)]
        tuned = [(rate, TUNING_SEED + seed) for rate in rates for seed in range(declaration.tuning.seeds)]
        for rate, seed in [*tuned, *((rates[1], seed) for seed in range(study.seeds))]:
            start = study.spec(cell, {"training.learning_rate": rate}, seed).start
            starts |= {start.run.identity} if start else set()
    return starts


@pytest.mark.parametrize(
    ("replacements", "per_start"), [(INSIDE, 2 * (3 + 5)), (WHOLE, 2 * (2 * 3 + 5))], ids=["own rate", "tuned rate"]
)
def test_runs_to_start_from_are_counted_once_for_all_trials_unless_their_own_rate_is_tuned(
    study_file: Edit, replacements: tuple[Replacement, ...], per_start: int
) -> None:
    """Two starts for four cells that each run their own trial; or two cells with starts, which are tuned with them."""
    study = declare(str(study_file(*replacements, ("trials = 2", "trials = 2\nseeds = 3"))), "cpu", [])
    plan = plan_study(study)
    assert plan.start_runs == per_start == len(identities_of_starts(study))
    assert plan.runs == 4 * (2 * 3 + 5)
    assert sum(group.count for group in plan.groups) == plan.runs + plan.start_runs


def test_a_run_that_several_runs_start_from_counts_once() -> None:
    study = declare(str(STUDIES.path("finetune")), "smoke", [])
    plan = plan_study(study)
    assert plan.runs == 4 * (1 + 2)
    assert plan.start_runs == 2 * (1 + 2)  # two ways to pretrain, the tuning seed and two more
    assert sum(group.count for group in plan.groups) == plan.runs + plan.start_runs


def test_time_at_a_rate_is_operations_over_it(small: Study) -> None:
    plan = plan_study(small)
    time = estimate_time(plan, 1e6, probe=True)
    assert time is not None
    assert time.seconds == pytest.approx(plan.flops / 1e6)
    assert estimate_time(plan, None, probe=False) is None


def test_time_from_steps_counts_evaluations_as_the_steps_they_are_worth(
    small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes 1 ms and 1 ns for each operation; the time of any cell then follows from two of them."""
    plan = plan_study(small)
    operations = {id(group.spec): group.run.step_flops for group in plan.groups}
    monkeypatch.setattr("studies.running.plan.cost.seconds_of_step", lambda spec: 1e-3 + 1e-9 * operations[id(spec)])
    time = estimate_time(plan, None, probe=True)
    assert time is not None
    assert len(operations) == 4
    expected = sum(
        group.count * (1e-3 + 1e-9 * group.run.step_flops) * (3 + group.run.evaluation_flops / group.run.step_flops)
        for group in plan.groups
    )
    assert time.seconds == pytest.approx(expected)


def test_costs_of_steps_and_of_evaluations_are_those_worked_out_by_hand(study_file: Edit) -> None:
    plans = [plan_study(declare(str(study_file()), "cpu", [f"training.steps={steps}"])) for steps in (3, 6, 7)]
    three, six, seven = (plan.groups[0].run for plan in plans)
    assert three.step_flops == six.step_flops == seven.step_flops
    assert three.evaluation_flops == pytest.approx(three.step_flops / 3 / 2 * (8 + 2 * 16))  # 8 + 8 samples held out
    assert six.evaluation_flops == pytest.approx(six.step_flops / 3 / 2 * (2 * 8 + 2 * 16))
    assert seven.evaluation_flops == pytest.approx(six.step_flops / 3 / 2 * (3 * 8 + 2 * 16)), "steps 3, 6 and 7"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_cuda_device_of_another_machine_is_planned_from_steps_measured_on_a_named_card(
    study_file: Edit, lab: Lab
) -> None:
    done = lab("study", "show", study_file(), "--set", 'training.device="cuda"', "--json")
    value = json.loads(done.stdout)
    assert value["seconds"] > value["runs"] * RUN_SECONDS
    assert "steps measured on an NVIDIA H100" in value["seconds_from"]


def test_another_device_that_is_absent_is_planned_at_an_assumed_rate(study_file: Edit, lab: Lab) -> None:
    value = json.loads(lab("study", "show", study_file(), "--set", 'training.device="hpu"', "--json").stdout)
    assert value["seconds"] == pytest.approx(value["flops"] / 1e14)
    assert "1e+14 operations per second" in value["seconds_from"]


def test_a_probe_times_real_steps_and_stores_nothing(study_file: Edit, lab: Lab) -> None:
    path = study_file()
    before = set(path.parent.rglob("*"))
    value = json.loads(lab("study", "show", path, "--json").stdout)
    assert value["seconds"] > 0
    assert set(path.parent.rglob("*")) == before


def test_a_probe_takes_the_optimiser_steps_that_training_takes(tiny: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tiny(training__steps=100)
    steps: list[tuple[TrainingConfig, int]] = []

    def take(optimiser_step: OptimiserStep, batch: TensorBatch, step: int) -> None:
        steps.append((optimiser_step.training, step))

    monkeypatch.setattr(OptimiserStep, "take", take)
    assert seconds_of_step(spec) > 0
    assert steps == [(spec.training, step) for step in range(PROBE_STEPS)]


def test_the_unembedding_has_the_share_of_the_parameters_that_the_caveat_of_memory_and_time_states() -> None:
    """The share is that of its networks, and of the paper's 0.3B model with a vocabulary of 32,000 tokens."""
    study = declare(str(STUDIES.path("memory-and-time")), "cpu", [])
    percent = int(study.declaration.caveat.partition("has ")[2].partition("%")[0])
    with torch.device("meta"):
        model = LlamaConfig(width=1024, layers=25, attention_heads=16)
        networks = [build_objective(MultiTokenConfig(n=1), model, DataShape(32_000, 1024))]
    networks += [meta_network(study.spec(cell, study.middle, 0)) for cell in study.cells]
    parts = [network.parameters_by_part() for network in networks]
    assert {round(100 * part["unembedding"] / sum(part.values())) for part in parts} == {percent}


def test_durations_are_in_the_unit_that_people_use() -> None:
    assert [duration_text(seconds) for seconds in (0.2, 90, 600, 9000, 1e6)] == [
        "1 s",
        "90 s",
        "10 minutes",
        "2 hours",
        "12 days",
    ]
