"""The batches of K runs at one step, as one stack."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from generators.foundation.randomness import Integers
from generators.task import Batch
from lab.model.batches import TensorBatch
from lab.model.devices import to_device


@dataclass(frozen=True)
class BatchStack(TensorBatch):
    """A batch of each of K runs, with the same loss mask in all of them: its tokens are [K, B, T].

    Attributes:
        separate: the batches themselves if their loss masks differ; the loss mask here is then that of the first.
    """

    separate: tuple[TensorBatch, ...] = ()

    @classmethod
    def of(cls, batches: Sequence[Batch], device: torch.device, indices: Integers, step: int) -> "BatchStack":
        """Stacks the batches of one step."""
        first = batches[0]
        if all(batch is first or np.array_equal(batch.loss, first.loss) for batch in batches):
            tokens_KxBxT = to_device(device, np.stack([batch.tokens for batch in batches]))
            return cls(tokens_KxBxT, first.loss, indices, step)
        separate = tuple(TensorBatch.from_batch(batch, device, indices, step) for batch in batches)
        return cls(separate[0].tokens_BxT, first.loss, indices, step, separate=separate)
