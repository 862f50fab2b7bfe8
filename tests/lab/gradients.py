"""A random batch with a random mask, and gradients compared as vectors."""

import numpy as np
import torch
from torch import Tensor, nn

from generators.task import Batch
from lab.model.batches import TensorBatch

STEP = 5


def batch_of(share: float) -> TensorBatch:
    random = np.random.default_rng(0)
    tokens = random.integers(0, 7, (5, 10))
    loss = random.random((5, 10)) < share
    return TensorBatch.from_batch(Batch(tokens=tokens, loss=loss, scored=loss), torch.device("cpu"), np.arange(5), STEP)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    found = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
    network.zero_grad()
    return found


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor], relative: float) -> None:
    """As vectors, parameter by parameter; a gradient that is nothing may be absent."""
    whole = max(float(value.norm()) for value in expected.values())
    for name in found.keys() | expected.keys():
        some = next(each[name] for each in (found, expected) if name in each)
        mine, truth = (each.get(name, torch.zeros_like(some)) for each in (found, expected))
        assert float((mine - truth).norm()) <= relative * max(float(truth.norm()), 1e-3 * whole), name
