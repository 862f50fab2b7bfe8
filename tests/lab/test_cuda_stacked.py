"""On a CUDA device the runs of a stack are those that are trained alone, and equal specs have equal bytes."""

from pathlib import Path

import pytest

from benchmarks.stacked import CASES, difference_of
from lab.run.training import train, train_together
from tests.conftest import Spec
from tests.lab.devices import TEST_DEVICE
from tests.lab.killed_runs import contents_at

pytestmark = pytest.mark.gpu

STACKED = [name for name in CASES if not {"GRU", "Muon", "polynomials"} & set(name.split())]


@pytest.mark.parametrize("name", STACKED)
def test_a_stack_trains_as_each_run_alone(name: str) -> None:
    difference = difference_of(CASES[name], steps=7, device=TEST_DEVICE)
    assert difference.problem == ""
    assert max(difference.loss, difference.weight) < 1e-9


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_has_the_same_bytes_whichever_runs_are_trained_beside_it(
    tiny: Spec, tmp_path: Path, precision: str
) -> None:
    specs = [
        tiny(seed=seed, training__stack=4, training__device=TEST_DEVICE, training__precision=precision)
        for seed in range(3)
    ]
    train_together(specs, tmp_path / "together", "keep")
    for spec in reversed(specs):
        train(spec, tmp_path / "apart")
    for spec in specs:
        assert contents_at(tmp_path / "together", spec) == contents_at(tmp_path / "apart", spec)
