"""On a CUDA device: equal runs have equal bytes, and gradients and greedy tokens are those of the CPU."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab import graph
from lab.assembly import assemble
from lab.batches import TensorBatch
from lab.decoding import decode
from lab.loss import LOSSES, descend
from lab.spec import RunSpec
from lab.store import BEST, LAST, METRICS
from lab.training import Run, train
from tests.conftest import Spec
from tests.lab.gradients import assert_equal, batch_of, gradients
from tests.lab.test_loss import network_of
from tests.lab.test_objectives_learn import VARIANTS

pytestmark = pytest.mark.gpu

LARGER = {
    "task__length_tokens": 512,
    "model__width": 128,
    "training__batch_size": 16,
    "training__device": "cuda",
}
"""Long enough for attention's backward pass to be split over keys, if it is to be."""


def contents(home: Path, spec: RunSpec) -> list[bytes]:
    return [(home / "runs" / spec.identity / name).read_bytes() for name in (METRICS, LAST, BEST, "result.json")]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loss", LOSSES)
def test_one_spec_trained_twice_gives_the_same_bytes(tiny: Spec, tmp_path: Path, loss: str, precision: str) -> None:
    spec = tiny(**LARGER, training__loss=loss, training__precision=precision)
    for name in ("a", "b"):
        train(spec, tmp_path / name)
    assert contents(tmp_path / "a", spec) == contents(tmp_path / "b", spec)


@pytest.mark.parametrize("share", [1.1, 0.4], ids=["all", "masked"])
@pytest.mark.parametrize("topology", ["parallel", "causal"])
def test_gradients_of_the_three_losses_are_those_of_the_cpu(
    topology: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "GPU_ROWS_AT_ONCE", 16)
    network, batch = network_of({"n": 3, "topology": topology}), batch_of(share)
    descend(network, batch, "joint")
    expected = gradients(network)
    network.cuda()
    there = TensorBatch(batch.tokens_BxT.cuda(), batch.loss, batch.indices, batch.step)
    for loss in LOSSES:
        descend(network, there, loss)
        assert_equal({name: value.cpu() for name, value in gradients(network).items()}, expected, 1e-4)


@pytest.mark.parametrize("objective", VARIANTS, ids=lambda each: " ".join(map(str, each.values())))
@pytest.mark.parametrize("loss", LOSSES)
def test_each_objective_trains_as_on_the_cpu(tiny: Spec, tmp_path: Path, objective: dict[str, Any], loss: str) -> None:
    if "stage_steps" in objective:
        objective = {**objective, "stage_steps": 3}
    results = [
        train(tiny(objective=objective, model__layers=6, training__device=device, training__loss=loss), tmp_path)
        for device in ("cpu", "cuda")
    ]
    cpu, cuda = (result["scores"]["last"]["test"] for result in results)
    for name in (name for name in cpu if name.startswith("loss_")):
        assert cuda[name] == pytest.approx(cpu[name], rel=1e-3), name


@pytest.mark.parametrize("draft", [1, 3])
def test_greedy_tokens_are_those_of_the_cpu(tiny: Spec, draft: int) -> None:
    parts = assemble(tiny(objective__n=3, model__layers=5))
    parts.network.double()
    prompts, lengths = parts.task.batch("test", np.arange(16)).tokens[:, :12], np.arange(16) % 8 + 4
    expected = decode(parts.network, prompts, lengths, 18)
    parts.network.cuda()
    found = decode(parts.network, prompts, lengths, 18, draft)
    assert (found.tokens == expected.tokens).all()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_bf16_trains_to_nearly_the_loss_of_fp32(tiny: Spec, tmp_path: Path, loss: str, compiled: bool) -> None:
    settings = {"training__device": "cuda", "training__loss": loss, "training__compile": compiled}
    results = [train(tiny(**settings, training__precision=precision), tmp_path) for precision in ("fp32", "bf16")]
    losses = [result["scores"]["last"]["test"]["loss_1"] for result in results]
    assert losses[1] == pytest.approx(losses[0], rel=2e-2)


def test_a_run_broken_off_ends_with_the_same_bytes(tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, descending = tiny(training__device="cuda"), Run.descend

    def broken(run: Run, batch: TensorBatch) -> None:
        if run.step == 10:
            raise KeyboardInterrupt
        descending(run, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "descend", broken)
        with pytest.raises(KeyboardInterrupt):
            train(spec, tmp_path / "broken")
    for name in ("broken", "whole"):
        train(spec, tmp_path / name)
    assert contents(tmp_path / "broken", spec) == contents(tmp_path / "whole", spec)
