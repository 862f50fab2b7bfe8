"""Times of steps on a GPU that is elsewhere: near those that were measured, and what follows for the first tier."""

import pytest

from generators.foundation.settings import Tree
from generators.table import build_task
from lab.bench.operations import flops_of_sample
from lab.run.spec import parse_spec
from studies.declared.loading import declare
from studies.running.plan.cost import plan_study, time_on_card
from studies.running.plan.measured_steps import (
    EAGER,
    GRAPHS,
    STEPS,
    DenseBatch,
    Measured,
    layers_of,
    measured_seconds,
    operations_of,
)
from tests.conftest import Spec

FIRST_TIER = [
    ("induction-sizes", "gpu_first"),
    ("polynomial-sizes", "gpu_first"),
    ("star", "gpu_first"),
    ("star", "gpu_first_larger"),
]
SETTINGS: dict[str, Tree] = {EAGER: {}, GRAPHS: {"compile": True, "cuda_graphs": True}}


def dense_spec(measured: Measured, n: int) -> Tree:
    """A run whose steps have the shape of a measured one; only its model and how it is executed matter."""
    shape = measured.shape
    training = {"steps": 1, "batch_size": 1, "learning_rate": 1.0, "evaluate_every_steps": 1, "device": "cuda"}
    return {
        "seed": 0,
        "task": {"kind": "markov"},
        "model": {"width": shape.width, "layers": shape.layers, "attention_heads": shape.attention_heads},
        "objective": {"kind": "multi_token", "n": n},
        "training": {**training, "precision": measured.precision, **SETTINGS.get(measured.kind, {"compile": True})},
    }


@pytest.mark.parametrize("measured", STEPS)
def test_estimates_are_near_the_measured_steps(measured: Measured) -> None:
    """Turns of eager and compiled steps varied by up to a quarter, those of CUDA graphs by a few percent."""
    for n, milliseconds in measured.milliseconds.items():
        flops = operations_of(measured.shape, measured.batch, n)
        seconds = measured_seconds(parse_spec(dense_spec(measured, n), "a measured step"), flops)
        assert 1e3 * seconds == pytest.approx(milliseconds, rel=0.1 if measured.kind == GRAPHS else 0.27)


def test_operations_of_a_dense_step_are_counted_as_those_of_runs_are(tiny: Spec) -> None:
    spec = tiny(task={"kind": "markov"}, objective__n=2)
    task = build_task(spec.task)
    batch = DenseBatch(len(task.vocabulary), samples=1, length=task.length - 1)
    assert operations_of(spec.model.shape, batch, 2) == pytest.approx(flops_of_sample(spec)[0], rel=0.05)


def test_layers_of_heads_count(tiny: Spec) -> None:
    assert layers_of(tiny(objective__n=2)) == 4
    assert layers_of(tiny(objective={"kind": "multi_token", "n": 3, "match": "none"})) == 6
    assert layers_of(tiny(model={"kind": "gru", "width": 16, "layers": 3}, objective__n=1)) == 3


@pytest.mark.parametrize(("study", "scale"), FIRST_TIER)
def test_the_first_tier_fits_a_quarter_of_an_hour_on_the_card(study: str, scale: str) -> None:
    assert time_on_card(plan_study(declare(study, scale))).seconds < 15 * 60
