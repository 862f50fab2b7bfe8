"""Every optimiser over flat tensors computes what torch's own computes parameter by parameter."""

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from generators.foundation.errors import UserError
from lab.objectives.table import OBJECTIVES
from lab.run.assembly import assemble
from lab.run.optimisers.flat import FlatOptimiser
from lab.run.optimisers.muon import hidden_matrices
from lab.run.optimisers.table import OPTIMISERS, build_optimiser
from lab.run.spec import TrainingConfig
from tests.conftest import Spec

SETTINGS: dict[str, Any] = {
    "steps": 9,
    "batch_size": 1,
    "learning_rate": 0.1,
    "weight_decay": 0.5,
    "clip_norm": 0.7,
    "evaluate_every_steps": 1,
    "beta1": 0.8,
}
CONFIG = TrainingConfig(**SETTINGS)
EMBEDDING = "0.weight"
NEEDS_MUON = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has Muon since version 2.9")

every_optimiser = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=NEEDS_MUON) if name == "muon" else name for name in OPTIMISERS]
)


def network_of(seed: int = 0) -> nn.Sequential:
    """Parameters of several kinds, in double precision; the embedding's matrix is not a multiple of 8 numbers."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(5, 3), nn.RMSNorm(3), nn.Linear(3, 7), nn.Linear(7, 2, bias=False)).double()


def optimiser_of(network: nn.Module, name: str = "adamw") -> FlatOptimiser:
    return build_optimiser(network, TrainingConfig(**SETTINGS, optimiser=name))


def set_gradients(network: nn.Module, step: int, without: str | None = None) -> None:
    generator = torch.Generator().manual_seed(step)
    for name, parameter in network.named_parameters():
        gradient = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.grad = None if name == without else gradient


def reference_optimisers(network: nn.Module, name: str) -> list[torch.optim.Optimizer]:
    """Returns torch's own optimisers; that of AdamW or SGD has matrices and vectors as two groups."""
    named = dict(network.named_parameters())
    optimisers: list[torch.optim.Optimizer] = []
    if name == "muon":
        hidden = [value for key, value in named.items() if value.dim() == 2 and key != EMBEDDING]
        optimisers.append(
            torch.optim.Muon(hidden, weight_decay=0.5, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw")
        )
        named = {key: value for key, value in named.items() if value.dim() == 1 or key == EMBEDDING}
    groups = [
        {"params": [value for value in named.values() if value.dim() > 1], "weight_decay": 0.5},
        {"params": [value for value in named.values() if value.dim() == 1], "weight_decay": 0.0},
    ]
    if name == "sgd":
        return [torch.optim.SGD(groups, momentum=0.8)]
    return [*optimisers, torch.optim.AdamW(groups, betas=(0.8, 0.95))]


def reference_step(network: nn.Module, optimisers: list[torch.optim.Optimizer], rate: float) -> None:
    nn.utils.clip_grad_norm_(network.parameters(), CONFIG.clip_norm)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def test_the_settings_name_every_optimiser() -> None:
    assert set(get_args(TrainingConfig.model_fields["optimiser"].annotation)) == set(OPTIMISERS)


@every_optimiser
@pytest.mark.parametrize("late", [None, "2.weight", "1.weight"])
def test_updates_equal_those_of_torch_even_if_a_parameter_joins_late_and_leaves_early(
    name: str, late: str | None
) -> None:
    ours, theirs = network_of(), network_of()
    flat, reference = optimiser_of(ours, name), reference_optimisers(theirs, name)
    for step in range(9):
        rate = 0.1 / (1 + step)
        without = late if step < 3 or step > 6 else None
        set_gradients(ours, step, without)
        set_gradients(theirs, step, without)
        flat.update(rate)
        reference_step(theirs, reference, rate)
        torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-6, atol=1e-12)
    assert all(parameter.grad is None for parameter in ours.parameters())


@every_optimiser
def test_a_parameter_that_never_had_a_gradient_has_no_state(name: str) -> None:
    network = network_of()
    flat = optimiser_of(network, name)
    set_gradients(network, 0, "2.bias")
    flat.update(0.1)
    assert set(flat.state) == set(weights(network)) - {"2.bias"}


@every_optimiser
def test_a_frozen_parameter_stays_as_it_is(name: str) -> None:
    network = network_of()
    network[2].requires_grad_(False)
    before = weights(network)
    flat = optimiser_of(network, name)
    set_gradients(network, 0, "2.weight")
    network[2].bias.grad = None  # type: ignore[union-attr]
    flat.update(0.1)
    changed = {name for name, value in weights(network).items() if not torch.equal(value, before[name])}
    assert changed == set(before) - {"2.weight", "2.bias"}


@every_optimiser
def test_a_loaded_state_continues_to_the_same_bytes(name: str) -> None:
    whole, killed, resumed = network_of(), network_of(), network_of(1)
    optimisers = [optimiser_of(network, name) for network in (whole, killed, resumed)]
    for step in range(6):
        set_gradients(whole, step, "2.weight" if step < 2 else None)
        optimisers[0].update(0.1)
    for step in range(4):
        set_gradients(killed, step, "2.weight" if step < 2 else None)
        optimisers[1].update(0.1)
    resumed.load_state_dict(killed.state_dict())
    optimisers[2].load({key: value.clone() for key, value in optimisers[1].checkpoint_tensors().items()})
    for step in (4, 5):
        set_gradients(resumed, step)
        optimisers[2].update(0.1)
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_a_network_that_was_moved_behind_the_optimisers_back_is_noticed() -> None:
    network = network_of()
    flat = optimiser_of(network)
    set_gradients(network, 0)
    flat.update(0.1)
    network.float()
    set_gradients(network, 1)
    with pytest.raises(AssertionError, match="moved"):
        flat.update(0.1)


@pytest.mark.parametrize("kind", OBJECTIVES.rows)
def test_hidden_matrices_are_those_that_have_no_row_per_token(tiny: Spec, kind: str) -> None:
    parts = assemble(tiny(objective={"kind": kind}))
    vocabulary = len(parts.task.vocabulary)
    assert vocabulary not in (16, 44), "the width and the hidden width of the model"
    expected = {
        name
        for name, value in parts.network.named_parameters()
        if value.dim() == 2 and vocabulary not in value.shape and not name.endswith("_embedding.weight")
    }
    assert hidden_matrices(parts.network) == expected != set()


def test_an_old_torch_refuses_muon_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(UserError, match=r'training\.optimiser = "muon" needs torch 2\.9 or later, and torch'):
        optimiser_of(network_of(), "muon")
