"""On a CUDA device equal runs have equal bytes, and gradients and greedy tokens are those of the CPU."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lab.decoding.decoder import decode
from lab.loss import graph
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.model.batches import TensorBatch
from lab.run.assembly import assemble
from lab.run.training import train
from tests.conftest import Spec
from tests.lab.devices import TEST_DEVICE
from tests.lab.gradients import assert_equal, batch_of, pop_gradients
from tests.lab.killed_runs import contents_at, train_until_killed
from tests.lab.networks import multi_token_network
from tests.lab.objectives.variants import VARIANTS, name_of

pytestmark = pytest.mark.gpu

LARGER = {
    "task__length_tokens": 512,
    "model__width": 128,
    "training__batch_size": 16,
    "training__device": TEST_DEVICE,
}
"""Long enough for the backward pass of attention to be split over keys."""


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loss", LOSSES)
def test_one_spec_trained_twice_gives_the_same_bytes(tiny: Spec, tmp_path: Path, loss: str, precision: str) -> None:
    spec = tiny(**LARGER, training__loss=loss, training__precision=precision)
    for name in ("a", "b"):
        train(spec, tmp_path / name)
    assert contents_at(tmp_path / "a", spec) == contents_at(tmp_path / "b", spec)


@pytest.mark.parametrize("share", [1.1, 0.4], ids=["all", "masked"])
@pytest.mark.parametrize("topology", ["parallel", "causal"])
def test_gradients_of_the_three_losses_are_those_of_the_cpu(
    topology: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "GPU_ROWS_AT_ONCE", 16)
    network, batch = multi_token_network({"n": 3, "topology": topology}), batch_of(share)
    accumulate_gradient(network, batch, "joint")
    expected = pop_gradients(network)
    network.to(TEST_DEVICE)
    on_gpu = TensorBatch(batch.tokens_BxT.to(TEST_DEVICE), batch.loss, batch.indices, batch.step)
    for loss in LOSSES:
        accumulate_gradient(network, on_gpu, loss)
        assert_equal({name: value.cpu() for name, value in pop_gradients(network).items()}, expected, 1e-4)


@pytest.mark.parametrize("objective", VARIANTS, ids=name_of)
@pytest.mark.parametrize("loss", LOSSES)
def test_each_objective_trains_as_on_the_cpu(tiny: Spec, tmp_path: Path, objective: dict[str, Any], loss: str) -> None:
    if "stage_steps" in objective:
        objective = {**objective, "stage_steps": 3}
    results = [
        train(tiny(objective=objective, model__layers=6, training__device=device, training__loss=loss), tmp_path)
        for device in ("cpu", TEST_DEVICE)
    ]
    cpu, cuda = (result["scores"]["last"]["test"] for result in results)
    for name in (name for name in cpu if name.startswith("loss_")):
        assert cuda[name] == pytest.approx(cpu[name], rel=1e-3), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("equal_lengths", [True, False])
@pytest.mark.parametrize("draft", [1, 3])
def test_greedy_tokens_are_those_of_the_cpu(tiny: Spec, draft: int, equal_lengths: bool, dtype: torch.dtype) -> None:
    parts = assemble(tiny(objective__n=3, model__layers=5))
    parts.network.to(dtype)
    prompts = parts.task.batch("test", np.arange(16)).tokens[:, :12]
    lengths = np.full(16, 11) if equal_lengths else np.arange(16) % 8 + 4
    expected = decode(parts.network, prompts, lengths, 18)
    parts.network.to(TEST_DEVICE)
    decoded = decode(parts.network, prompts, lengths, 18, draft)
    assert (decoded.tokens == expected.tokens).all()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_bf16_trains_to_nearly_the_loss_of_fp32(tiny: Spec, tmp_path: Path, loss: str, compiled: bool) -> None:
    settings = {"training__device": TEST_DEVICE, "training__loss": loss, "training__compile": compiled}
    results = [train(tiny(**settings, training__precision=precision), tmp_path) for precision in ("fp32", "bf16")]
    losses = [result["scores"]["last"]["test"]["loss_1"] for result in results]
    assert losses[1] == pytest.approx(losses[0], rel=2e-2)


def test_a_killed_run_ends_with_the_same_bytes(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__device=TEST_DEVICE)
    train_until_killed(spec, tmp_path / "killed", "take_step", 10)
    for name in ("killed", "whole"):
        train(spec, tmp_path / name)
    assert contents_at(tmp_path / "killed", spec) == contents_at(tmp_path / "whole", spec)
