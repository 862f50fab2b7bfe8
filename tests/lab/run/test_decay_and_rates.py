"""Weight decay and learning rates as an optimiser applies them, at every step of real networks and real runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.model.batches import TensorBatch
from lab.objectives.table import OBJECTIVES
from lab.run.assembly import assemble
from lab.run.optimisers import adamw as adamw_module
from lab.run.optimisers.flat import FlatOptimiser
from lab.run.spec import RunSpec
from lab.run.step import OptimiserStep
from lab.run.training import train
from lab.run.training_data import training_batches
from tests.conftest import Spec
from tests.lab.killed_runs import train_until_killed

PEAK, FINAL_SHARE = 0.01, 0.2
SIXTHS_OF_A_HALF_TURN = [sqrt(3) / 2, 1 / 2, 0, -1 / 2, -sqrt(3) / 2, -1]
"""The cosines of 30, 60, .. 180 degrees."""
RATES = [PEAK * share for share in (1 / 3, 2 / 3, 1)] + [
    PEAK * (FINAL_SHARE + (1 - FINAL_SHARE) * (1 + cosine) / 2) for cosine in SIXTHS_OF_A_HALF_TURN
]
"""The rate of each of 9 steps: a linear warm-up of 3 steps to the peak, then half a cosine down to the final share."""


def decayed_parameters(spec: RunSpec) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Takes 5 optimiser steps whose gradient is zero; returns the parameters before and after them.

    Norm gains start at random values, because decay towards 1 would not be seen at 1.
    """
    parts = assemble(spec)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in parts.network.parameters():
            parameter.add_(torch.rand(parameter.shape, generator=noise))

    def backward(batch: TensorBatch) -> dict[str, Tensor]:
        for parameter in parts.network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        return {}

    before = {name: value.detach().clone() for name, value in parts.network.named_parameters()}
    optimiser_step = OptimiserStep(parts.network, spec.training, backward)
    batch = next(training_batches(parts.task, spec, parts.device, 0))
    for step in range(5):
        optimiser_step.take(batch, step)
    return before, dict(parts.network.named_parameters())


@pytest.mark.parametrize("kind", OBJECTIVES.rows)
def test_steps_without_a_gradient_leave_every_vector_unchanged_and_decay_every_matrix(tiny: Spec, kind: str) -> None:
    spec = tiny(
        objective={"kind": kind},
        training__weight_decay=0.5,
        training__warmup_steps=0,
        training__final_learning_rate_fraction=1.0,
        training__learning_rate=0.1,
    )
    before, after = decayed_parameters(spec)
    vectors = [name for name, value in before.items() if value.dim() < 2]
    assert any("norm" in name for name in vectors)
    assert [name for name in vectors if not torch.equal(after[name], before[name])] == []
    for name in before.keys() - set(vectors):
        torch.testing.assert_close(after[name], before[name] * (1 - 0.1 * 0.5) ** 5)


@contextmanager
def recorded_rates() -> Iterator[list[set[float]]]:
    """Records the rates at which each step updates its groups of parameters."""
    rates: list[set[float]] = []
    update_groups, update = FlatOptimiser.update, adamw_module.adamw

    def begin_step(optimiser: FlatOptimiser, rate: float) -> None:
        rates.append(set())
        update_groups(optimiser, rate)

    def record(*tensors: Any, lr: float, **settings: Any) -> None:
        rates[-1].add(lr)
        update(*tensors, lr=lr, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FlatOptimiser, "update", begin_step)
        patch.setattr(adamw_module, "adamw", record)
        yield rates


def nine_steps(tiny: Spec, **changes: Any) -> RunSpec:
    """A run of 9 steps, evaluated after every third."""
    return tiny(
        training__steps=9,
        training__warmup_steps=3,
        training__learning_rate=PEAK,
        training__final_learning_rate_fraction=FINAL_SHARE,
        training__evaluate_every_steps=3,
        **changes,
    )


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_run_steps_every_group_at_the_rates_of_warm_up_and_cosine(tiny: Spec, tmp_path: Path, pieces: int) -> None:
    with recorded_rates() as rates:
        train(nine_steps(tiny, training__micro_batches=pieces), tmp_path)
    assert [len(step) for step in rates] == [1] * 9, "all groups of a step have one rate"
    assert [rate for step in rates for rate in step] == pytest.approx(RATES, rel=1e-12)


def test_a_resumed_run_goes_on_at_the_rates_of_its_steps(tiny: Spec, tmp_path: Path) -> None:
    with recorded_rates() as rates:
        train_until_killed(nine_steps(tiny), tmp_path, "take_step", 7)
        train(nine_steps(tiny), tmp_path)
    assert [rate for step in rates for rate in step] == pytest.approx(RATES[:7] + RATES[6:], rel=1e-12)


def test_a_finetuning_run_warms_up_again_after_its_start(tiny: Spec, tmp_path: Path) -> None:
    start = {"training": {**nine_steps(tiny).training.model_dump(mode="json"), "steps": 6}}
    with recorded_rates() as rates:
        train(nine_steps(tiny, start=start), tmp_path)
    assert len(rates) == 6 + 9
    assert [rate for step in rates[6:] for rate in step] == pytest.approx(RATES, rel=1e-12)
