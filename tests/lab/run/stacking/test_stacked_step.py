"""Every objective trains in a stack as it trains alone, in double precision; what cannot is told why."""

from typing import Any

import pytest

from benchmarks.stacked import CASES, difference_of, spec_of
from lab.loss.compiler import Compiler, NotTraceable
from lab.objectives.table import OBJECTIVES
from lab.run.stacking.compiled_losses import Losses, compiled_losses
from lab.run.stacking.problem import stacking_problem

ALONE = {
    "multi_token on a GRU": 'torch cannot compute objective multi_token on model.kind = "gru" for several runs at once',
    "multi_token with Muon": 'training.optimiser = "muon" updates one matrix after the other',
    "multi_token on polynomials": "the targets of task polynomial are not at the same positions in every batch",
}
QUICK = ("multi_token, curriculum", "multi_token with SGD")
TOLERANCE = 1e-9


def test_the_cases_have_every_shipped_objective() -> None:
    assert {case["objective"]["kind"] for case in CASES.values()} == set(OBJECTIVES.rows)


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES if name not in ALONE],
)
def test_losses_and_weights_of_a_stack_are_those_of_each_run_alone(name: str) -> None:
    difference = difference_of(CASES[name], steps=7)
    assert difference.problem == ""
    assert max(difference.loss, difference.weight) < TOLERANCE


@pytest.mark.parametrize("name", ALONE)
def test_runs_that_cannot_be_stacked_are_told_why(name: str) -> None:
    assert stacking_problem(spec_of(CASES[name], steps=9, seed=0)).startswith(ALONE[name])


def test_batches_whose_targets_differ_between_the_runs_are_computed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.stacked.stacking_problem", lambda spec: "")
    difference = difference_of(CASES["multi_token on polynomials"], steps=4)
    assert max(difference.loss, difference.weight) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", ["multi_token, replicated unembeddings", "registers"])
def test_compiled_losses_of_a_stack_are_those_of_each_run_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []

    def record(*arguments: Any) -> Losses:
        losses = compiled_losses(*arguments)
        calls.append(True)
        return losses

    monkeypatch.setattr("lab.run.stacking.network_stack.compiled_losses", record)
    small = CASES[name] | {"model": {"width": 8, "layers": 1, "attention_heads": 1}}
    difference = difference_of(small, steps=7, compiler=Compiler())
    assert max(difference.loss, difference.weight) < TOLERANCE
    assert len(calls) == 7, "no step fell back to eager code"


def test_a_stack_that_torch_cannot_compile_is_computed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Losses:
        raise NotTraceable("no")

    monkeypatch.setattr("lab.run.stacking.network_stack.compiled_losses", refuse)
    difference = difference_of(CASES["multi_token, n = 1"], steps=3, compiler=Compiler())
    assert max(difference.loss, difference.weight) < TOLERANCE
