"""AdamW over flat tensors computes what torch's own computes parameter by parameter."""

import pytest
import torch
from torch import Tensor, nn

from lab.run.flat_adamw import FlatAdamW
from lab.run.spec import TrainingConfig

CONFIG = TrainingConfig(
    steps=9, batch_size=1, learning_rate=0.1, weight_decay=0.5, clip_norm=0.7, evaluate_every_steps=1, beta1=0.8
)


def network_of(seed: int = 0) -> nn.Sequential:
    """Three parameters of two kinds, in double precision; the embedding's matrix is not a multiple of 8 numbers."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(5, 3), nn.RMSNorm(3), nn.Linear(3, 7)).double()


def set_gradients(network: nn.Module, step: int, without: str | None = None) -> None:
    generator = torch.Generator().manual_seed(step)
    for name, parameter in network.named_parameters():
        gradient = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.grad = None if name == without else gradient


def reference_step(network: nn.Module, optimiser: torch.optim.AdamW, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    nn.utils.clip_grad_norm_(network.parameters(), CONFIG.clip_norm)
    optimiser.step()


def reference_optimiser(network: nn.Module) -> torch.optim.AdamW:
    matrices = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in network.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": CONFIG.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(CONFIG.beta1, CONFIG.beta2))


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


@pytest.mark.parametrize("late", [None, "2.weight", "1.weight"])
def test_updates_equal_those_of_torch_even_if_a_parameter_joins_late_and_leaves_early(late: str | None) -> None:
    ours, theirs = network_of(), network_of()
    flat, reference = FlatAdamW(ours, CONFIG), reference_optimiser(theirs)
    for step in range(9):
        rate = 0.1 / (1 + step)
        without = late if step < 3 or step > 6 else None
        set_gradients(ours, step, without)
        set_gradients(theirs, step, without)
        flat.update(rate)
        reference_step(theirs, reference, rate)
        torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-6, atol=1e-12)
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_a_parameter_that_never_had_a_gradient_has_no_state() -> None:
    network = network_of()
    flat = FlatAdamW(network, CONFIG)
    set_gradients(network, 0, "2.bias")
    flat.update(0.1)
    assert set(flat.state) == {"0.weight", "1.weight", "2.weight"}


def test_a_frozen_parameter_stays_as_it_is() -> None:
    network = network_of()
    network[0].requires_grad_(False)
    before = weights(network)
    flat = FlatAdamW(network, CONFIG)
    set_gradients(network, 0, "0.weight")
    flat.update(0.1)
    changed = [name for name, value in weights(network).items() if not torch.equal(value, before[name])]
    assert changed == ["1.weight", "2.weight", "2.bias"]


def test_a_loaded_state_continues_to_the_same_bytes() -> None:
    whole, killed, resumed = network_of(), network_of(), network_of(1)
    optimisers = [FlatAdamW(network, CONFIG) for network in (whole, killed, resumed)]
    for step in range(6):
        set_gradients(whole, step, "2.weight" if step < 2 else None)
        optimisers[0].update(0.1)
    for step in range(4):
        set_gradients(killed, step, "2.weight" if step < 2 else None)
        optimisers[1].update(0.1)
    resumed.load_state_dict(killed.state_dict())
    copies = {
        name: {slot: value.clone() for slot, value in slots.items()} for name, slots in optimisers[1].state.items()
    }
    optimisers[2].load(copies)
    for step in (4, 5):
        set_gradients(resumed, step)
        optimisers[2].update(0.1)
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_a_network_that_was_moved_behind_the_optimisers_back_is_noticed() -> None:
    network = network_of()
    flat = FlatAdamW(network, CONFIG)
    set_gradients(network, 0)
    flat.update(0.1)
    network.float()
    set_gradients(network, 1)
    with pytest.raises(AssertionError, match="moved"):
        flat.update(0.1)
