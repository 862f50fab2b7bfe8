"""On a CUDA device a compiled loss and CUDA graphs give the gradients of eager code, and the same bytes every time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generators.foundation.settings import Tree
from lab.loss.compiler import Compiler
from lab.run.assembly import assemble
from lab.run.spec import RunSpec
from lab.run.step import OptimiserStep, deterministic
from lab.run.store import LAST, RunFolder
from lab.run.training import train
from lab.run.training_data import training_batches
from tests.conftest import Spec
from tests.lab.devices import TEST_DEVICE
from tests.lab.gradients import assert_equal, pop_gradients
from tests.lab.killed_runs import contents_at, train_until_killed
from tests.lab.objectives.variants import VARIANTS, name_of
from tests.lab.spec_text import SPEC

pytestmark = pytest.mark.gpu

COMPILED: Tree = {"training__compile": True}
KINDS = [
    pytest.param(COMPILED, id="compiled"),
    pytest.param(
        {**COMPILED, "training__cuda_graphs": True},
        id="graphs",
        marks=pytest.mark.skipif(TEST_DEVICE == "cpu", reason="a CPU has no CUDA graphs"),
    ),
]
PASSES = 4
"""CUDA graphs warm up in the first pass and are recorded by the third at the latest."""
LOSSES_AND_OBJECTIVES = [("joint", objective) for objective in VARIANTS]
LOSSES_AND_OBJECTIVES += [(loss, VARIANTS[1]) for loss in ("sequential", "chunked")]


def passes_of(spec: RunSpec) -> tuple[list[tuple[dict[str, float], dict[str, Tensor]]], Compiler | None]:
    """Returns the losses and gradients of several passes over one batch, and the compiler that was used."""
    parts = assemble(spec)
    optimiser_step = OptimiserStep(parts.network, spec.training)
    batch = next(iter(training_batches(parts.task, spec, parts.device, 0)))
    passes = []
    with deterministic(parts.device):
        for _ in range(PASSES):
            optimiser_step.release_outputs()
            losses = {name: float(value) for name, value in optimiser_step.add_gradient(batch).items()}
            gradients = {name: value.cpu() for name, value in pop_gradients(parts.network).items()}
            passes.append((losses, gradients))
    return passes, optimiser_step.compiler


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("loss", "objective"), LOSSES_AND_OBJECTIVES, ids=[f"{loss} {name_of(o)}" for loss, o in LOSSES_AND_OBJECTIVES]
)
def test_losses_and_gradients_are_those_of_eager_code_in_every_pass(
    tiny: Spec, loss: str, objective: Tree, kind: dict[str, Any]
) -> None:
    if "stage_steps" in objective:
        objective = {**objective, "stage_steps": 3}
    settings: dict[str, Any] = {"task": {"kind": "star"}, "objective": objective, "model__layers": 6}
    settings |= {"training__device": TEST_DEVICE, "training__loss": loss}
    eager, _ = passes_of(tiny(**settings))
    passes, compiler = passes_of(tiny(**settings, **kind))
    assert compiler == Compiler(whole=True, cuda_graphs=len(kind) == 2)
    for losses, gradients in passes:
        assert losses == pytest.approx(eager[0][0], rel=1e-4)
        assert_equal(gradients, eager[0][1], 1e-3)
    for name, value in passes[-2][1].items():
        assert torch.equal(value, passes[-1][1][name]), name


@pytest.mark.parametrize("trunk", ["llama", "gpt"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_in_bf16_are_nearly_those_in_fp32_if_every_position_has_a_target(
    tiny: Spec, trunk: str, kind: dict[str, Any]
) -> None:
    settings: dict[str, Any] = {"model__kind": trunk, "model__width": 128, "model__layers": 3}
    settings |= {"model__attention_heads": 4, "task__length_tokens": 64, "training__device": TEST_DEVICE}
    exact, _ = passes_of(tiny(**settings))
    passes, _ = passes_of(tiny(**settings, **kind, training__precision="bf16"))
    for _, gradients in passes:
        assert_equal(gradients, exact[0][1], 0.05)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_compiled_spec_trained_twice_gives_the_same_bytes(
    tiny: Spec, tmp_path: Path, kind: dict[str, Any], precision: str
) -> None:
    spec = tiny(**kind, training__device=TEST_DEVICE, training__precision=precision, task__length_tokens=128)
    for name in ("a", "b"):
        train(spec, tmp_path / name)
    assert contents_at(tmp_path / "a", spec) == contents_at(tmp_path / "b", spec)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_run_that_was_interrupted_ends_with_the_same_bytes(
    tiny: Spec, tmp_path: Path, kind: dict[str, Any]
) -> None:
    spec = tiny(**kind, training__device=TEST_DEVICE)
    train_until_killed(spec, tmp_path / "interrupted", "take_step", 10)
    for name in ("interrupted", "whole"):
        train(spec, tmp_path / name)
    assert contents_at(tmp_path / "interrupted", spec) == contents_at(tmp_path / "whole", spec)


def test_a_process_killed_on_the_device_ends_with_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(
        SPEC.replace("steps = 4", "steps = 200").replace("every_steps = 2", "every_steps = 20")
        + f'device = "{TEST_DEVICE}"\n'
    )
    command = [sys.executable, "-m", "lab", "train", str(path), "--home"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "killed")], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    while not list(tmp_path.glob(f"killed/runs/*/{LAST}")):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (folder,) = (tmp_path / "killed" / "runs").iterdir()
    spec = RunFolder(tmp_path / "killed", folder.name).spec()
    assert RunFolder(tmp_path / "killed", spec.identity).result() is None
    for name in ("killed", "whole"):
        train(spec, tmp_path / name)
    assert contents_at(tmp_path / "killed", spec) == contents_at(tmp_path / "whole", spec)
