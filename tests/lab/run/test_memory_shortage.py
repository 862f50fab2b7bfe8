"""A lack of memory ends a run with one sentence, and the run goes on from its checkpoint once there is enough."""

from pathlib import Path
from typing import Any

import pytest
import torch

from generators.foundation.errors import WorkFailed
from lab.run.step import OptimiserStep
from lab.run.store import LAST, RunFolder
from lab.run.training import train
from tests.conftest import Lab, Spec
from tests.lab.devices import TEST_DEVICE
from tests.lab.killed_runs import contents_at
from tests.lab.spec_text import SPEC

ERRORS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has ..."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    MemoryError(),
)


def fail_at(patch: pytest.MonkeyPatch, step: int, error: Exception) -> None:
    """Lets the optimiser step of this number raise an error."""
    take = OptimiserStep.take

    def short(self: OptimiserStep, batch: Any, number: int) -> Any:
        if number == step:
            raise error
        return take(self, batch, number)

    patch.setattr(OptimiserStep, "take", short)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_run_that_runs_out_of_memory_keeps_its_checkpoint(
    tiny: Spec, complete_contents: dict[str, bytes], tmp_path: Path, error: Exception
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, 9, error)
        with pytest.raises(WorkFailed, match=r"out of memory; its last checkpoint.*training\.micro_batches"):
            train(tiny(), tmp_path)
    _, progress = RunFolder(tmp_path, tiny().identity).read_tensors(LAST) or ({}, {})
    assert progress["step"] == 8
    train(tiny(), tmp_path)
    assert contents_at(tmp_path, tiny()) == complete_contents


def test_another_error_of_torch_is_not_taken_for_a_lack_of_memory(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at(monkeypatch, 2, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(tiny(), tmp_path)


def test_the_command_says_in_one_sentence_that_memory_runs_out(
    tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spec.toml").write_text(SPEC)
    fail_at(monkeypatch, 0, ERRORS[0])
    ended = lab("train", tmp_path / "spec.toml", "--home", tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"lab: {tmp_path / 'runs'}")


@pytest.mark.gpu
@pytest.mark.skipif(TEST_DEVICE == "cpu", reason="a CPU's memory is not limited here")
def test_a_card_that_runs_out_of_memory_is_one_sentence_and_the_run_goes_on(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__device=TEST_DEVICE)
    train(spec, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        take = OptimiserStep.take

        def fill(self: OptimiserStep, batch: Any, number: int) -> Any:
            if number == 9:
                torch.empty(2**44, dtype=torch.uint8, device=TEST_DEVICE)
            return take(self, batch, number)

        patch.setattr(OptimiserStep, "take", fill)
        with pytest.raises(WorkFailed, match="out of memory"):
            train(spec, tmp_path / "short")
    train(spec, tmp_path / "short")
    assert contents_at(tmp_path / "short", spec) == contents_at(tmp_path / "whole", spec)
