"""The optimiser step: every setting reaches it."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.loss.compiler import Compiler
from lab.loss.losses import accumulate_gradient
from lab.model.batches import TensorBatch
from lab.run import step as step_module
from lab.run.assembly import assemble
from lab.run.optimisers import adamw as adamw_module
from lab.run.step import OptimiserStep
from lab.run.training_data import training_batches
from tests.conftest import Spec


def test_gradients_are_clipped_to_the_norm_of_the_settings_and_then_cleared(
    tiny: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny(training__clip_norm=0.01)
    parts = assemble(spec)
    optimiser_step = OptimiserStep(parts.network, spec.training)
    gradients: list[Tensor] = []
    update = adamw_module.adamw

    def record(values: list[Tensor], flat: list[Tensor], *others: Any, **settings: Any) -> None:
        gradients.extend(flat)
        update(values, flat, *others, **settings)

    monkeypatch.setattr(adamw_module, "adamw", record)
    optimiser_step.take(next(training_batches(parts.task, spec, parts.device, 0)), 0)
    assert float(torch.cat(gradients).norm()) == pytest.approx(0.01, rel=1e-3)
    assert all(parameter.grad is None for parameter in parts.network.parameters())


def test_compiler_micro_batches_loss_and_cuda_graphs_reach_the_step(
    tiny: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"compile": True, "cuda_graphs": True, "loss": "chunked", "micro_batches": 2, "device": "cuda"}
    spec = tiny(**{f"training__{name}": value for name, value in settings.items()})
    cpu = tiny()
    parts = assemble(cpu)
    calls: list[Any] = []

    def accumulate_gradient(network: nn.Module, batch: TensorBatch, *settings: Any) -> dict[str, Tensor]:
        calls.append(settings)
        return {}

    monkeypatch.setattr(step_module, "compile_layers", lambda _, cuda_graphs: calls.append(f"graphs {cuda_graphs}"))
    monkeypatch.setattr(step_module, "accumulate_gradient", accumulate_gradient)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: calls.append("outputs released"))
    OptimiserStep(parts.network, spec.training).take(next(training_batches(parts.task, cpu, parts.device, 0)), 0)
    assert calls == ["outputs released", "graphs True", ("chunked", 2, Compiler(whole=True, cuda_graphs=True))]


def test_another_backward_pass_takes_the_same_step(tiny: Spec) -> None:
    spec = tiny()
    weights = []
    for replaced in (False, True):
        parts = assemble(spec)
        backward = partial(accumulate_gradient, parts.network, loss="joint") if replaced else None
        optimiser_step = OptimiserStep(parts.network, spec.training, backward)
        optimiser_step.take(next(training_batches(parts.task, spec, parts.device, 0)), 0)
        weights.append(parts.network.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
