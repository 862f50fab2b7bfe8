"""Checks that terms have distinct names and that all ways to compute their gradient agree."""

import torch
from torch import Tensor

from lab.loss.graph import Graph
from lab.loss.losses import accumulate_gradient
from lab.model.batches import TensorBatch
from lab.objectives.checks.network import TOLERANCE, ragged_batch, random_batch
from lab.objectives.objective import Objective

MICRO_BATCHES = 3
NAMES_SHOWN = 3


def check_term_names(network: Objective) -> str:
    """Checks that terms have distinct names and that one of them is called loss_1."""
    batch = random_batch()
    names = [term.name for term in network.terms(network.latent(batch), batch, Graph())]
    if repeated := {name for name in names if names.count(name) > 1}:
        return f"several terms have the same name: {', '.join(sorted(repeated))}"
    if "loss_1" in names:
        return ""
    return f"no term is called loss_1, the next-token loss; the terms are: {', '.join(names)}"


def check_sequential(network: Objective) -> str:
    """Compares the gradient that is computed head by head with the joint gradient."""
    return compare_gradient(network, "sequential", 1)


def check_chunked(network: Objective) -> str:
    """Compares the gradient that is computed without holding all logits at once with the joint gradient."""
    return compare_gradient(network, "chunked", 1)


def check_micro_batches(network: Objective) -> str:
    """Compares the gradient that is summed over micro-batches with the joint gradient."""
    return compare_gradient(network, "joint", MICRO_BATCHES)


def check_left_out(network: Objective) -> str:
    """Checks that the gradient stays the same without the positions that `reads_targets_only` leaves out."""
    if not network.reads_targets_only:
        return ""
    some = gradients(network, "joint", 1, ragged_batch())
    network.reads_targets_only = False
    try:
        every = gradients(network, "joint", 1, ragged_batch())
    finally:
        del network.reads_targets_only
    return gradient_problem(some, every, "the gradient of all positions")


def compare_gradient(network: Objective, loss: str, pieces: int) -> str:
    """Compares the gradient of a loss, in pieces, with the joint gradient of the whole batch."""
    expected, actual = (gradients(network, *way, random_batch()) for way in (("joint", 1), (loss, pieces)))
    return gradient_problem(actual, expected, "the joint gradient")


def gradient_problem(actual: dict[str, Tensor], expected: dict[str, Tensor], what: str) -> str:
    """Returns how far a gradient is from the expected one, in words; "" if they agree."""
    longest = max(float(value.norm()) for value in expected.values())
    for name, value in expected.items():
        distance, length = float((actual[name] - value).norm()), float(value.norm())
        if distance > TOLERANCE * max(length, 1e-3 * longest):
            return f"the gradient of {name} differs by {distance:z.2g} from {what}, of norm {length:z.2g}"
    return ""


def gradients(network: Objective, loss: str, pieces: int, batch: TensorBatch) -> dict[str, Tensor]:
    """Computes the gradient of each parameter, zeros for a parameter without one."""
    accumulate_gradient(network, batch, loss, pieces)
    by_name = {
        name: torch.zeros_like(value) if value.grad is None else value.grad.clone()
        for name, value in network.named_parameters()
    }
    network.zero_grad()
    return by_name


def check_trained_parameters(network: Objective) -> str:
    """Checks that some term, whatever its weight, has a gradient for every parameter that requires one."""
    batch = random_batch()
    idle = {name: value for name, value in network.named_parameters() if value.requires_grad}
    for term in network.terms(network.latent(batch), batch, Graph()):
        if term.value.requires_grad and idle:
            computed = torch.autograd.grad(term.value, list(idle.values()), retain_graph=True, allow_unused=True)
            for name, gradient in zip(list(idle), computed, strict=True):
                if gradient is not None and gradient.any():
                    del idle[name]
    if not idle:
        return ""
    names = ", ".join(list(idle)[:NAMES_SHOWN])
    more = f" and {len(idle) - NAMES_SHOWN} more" if len(idle) > NAMES_SHOWN else ""
    return f"no term depends on {names}{more}; perhaps another head or unembedding is used instead"
