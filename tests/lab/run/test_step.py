"""The optimiser step: every setting reaches it."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.loss.losses import accumulate_gradient
from lab.model.batches import TensorBatch
from lab.run import step as step_module
from lab.run.assembly import assemble
from lab.run.spec import TrainingConfig
from lab.run.step import OptimiserStep, build_optimiser, learning_rate
from lab.run.training import training_batches
from tests.conftest import Spec


def test_the_schedule_warms_up_peaks_and_ends_at_its_last_step() -> None:
    config = TrainingConfig(steps=100, batch_size=1, learning_rate=0.2, warmup_steps=10, evaluate_every_steps=1)
    rates = [learning_rate(config, step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.02 * k for k in range(1, 11)])
    assert max(rates) == rates[9] == 0.2
    assert rates[99] == pytest.approx(0.2 * 0.03)
    assert rates[54] == pytest.approx(0.2 * (0.03 + 0.97 / 2))
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_weight_decay_shrinks_matrices_alone() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.RMSNorm(3))
    config = TrainingConfig(steps=1, batch_size=1, learning_rate=0.1, weight_decay=0.5, evaluate_every_steps=1)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimiser = build_optimiser(network, config)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    after = dict(network.named_parameters())
    torch.testing.assert_close(after["0.weight"], before["0.weight"] * (1 - 0.1 * 0.5))
    assert all(torch.equal(after[name], before[name]) for name in ("0.bias", "1.weight"))


def test_frozen_parameters_are_not_given_to_the_optimiser() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[0].requires_grad_(False)
    config = TrainingConfig(steps=1, batch_size=1, learning_rate=0.1, evaluate_every_steps=1)
    trained = {id(value) for group in build_optimiser(network, config).param_groups for value in group["params"]}
    assert trained == {id(value) for value in network[1].parameters()}


def test_each_step_is_taken_at_the_rate_of_the_schedule(tiny: Spec) -> None:
    spec = tiny()
    parts = assemble(spec)
    optimiser_step = OptimiserStep(parts.network, spec.training)
    for number, batch in enumerate(training_batches(parts.task, spec, parts.device, 0)):
        optimiser_step.take(batch, number)
        rates = {group["lr"] for group in optimiser_step.optimiser.param_groups}
        assert rates == {learning_rate(spec.training, number)}


def test_gradients_are_clipped_to_the_norm_of_the_settings_and_then_cleared(
    tiny: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny(training__clip_norm=0.01)
    parts = assemble(spec)
    optimiser_step = OptimiserStep(parts.network, spec.training)
    norms: list[float] = []

    def record(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        gradients = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))

    optimiser_step.optimiser.register_step_pre_hook(record)
    optimiser_step.take(next(training_batches(parts.task, spec, parts.device, 0)), 0)
    assert norms == [pytest.approx(0.01, rel=1e-3)]
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

    monkeypatch.setattr(step_module, "compile_blocks", lambda _, cuda_graphs: calls.append(f"graphs {cuda_graphs}"))
    monkeypatch.setattr(step_module, "accumulate_gradient", accumulate_gradient)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: calls.append("outputs released"))
    OptimiserStep(parts.network, spec.training).take(next(training_batches(parts.task, cpu, parts.device, 0)), 0)
    assert calls == ["graphs True", "outputs released", ("chunked", 2, True)]


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
