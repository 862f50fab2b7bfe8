"""A random batch with a random mask, and the comparison of gradients as vectors."""

import numpy as np
import torch
from torch import Tensor, nn

from generators.task import Batch
from lab.model.batches import TensorBatch

STEP = 5
"""The optimiser step of the batch, which decides the stage of a curriculum."""


def batch_of(share: float) -> TensorBatch:
    """Returns 5 samples of 10 tokens, with a share of them in the loss mask."""
    random = np.random.default_rng(0)
    tokens = random.integers(0, 7, (5, 10))
    loss = random.random((5, 10)) < share
    batch = Batch(tokens=tokens, loss=loss, scored=loss)
    return TensorBatch.from_batch(batch, torch.device("cpu"), np.arange(5), STEP)


def pop_gradients(network: nn.Module) -> dict[str, Tensor]:
    """Returns the gradients by parameter name and clears them."""
    gradients = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
    network.zero_grad()
    return gradients


def assert_equal(actual: dict[str, Tensor], expected: dict[str, Tensor], relative: float) -> None:
    """Compares gradients parameter by parameter as vectors; a zero gradient may be absent."""
    longest = max(float(value.norm()) for value in expected.values())
    for name in actual.keys() | expected.keys():
        present = actual[name] if name in actual else expected[name]
        mine, truth = (gradients.get(name, torch.zeros_like(present)) for gradients in (actual, expected))
        assert float((mine - truth).norm()) <= relative * max(float(truth.norm()), 1e-3 * longest), name
