"""Loss masks of every kind, and the switch between computing the positions that targets need and computing all."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from generators.task import Batch, Mask
from lab.model import packing, windows
from lab.model.batches import TensorBatch

SAMPLES, LENGTH, VOCABULARY = 5, 10, 7


def mask_of(*targets: slice | list[int]) -> Mask:
    """Returns the loss mask of samples with these targets."""
    mask = np.zeros((SAMPLES, LENGTH), np.bool_)
    for sample, places in enumerate(targets):
        mask[sample, places] = True
    return mask


MASKS = {
    "answers at one place": mask_of(*[slice(6, 9)] * SAMPLES),
    "answers at one place, a sample without": mask_of(slice(6, 9), slice(6, 9), [], slice(6, 9), slice(6, 9)),
    "answers where samples end": mask_of(slice(2, 4), slice(7, 9), slice(4, 6), slice(8, 10), slice(3, 5)),
    "answers and an end": mask_of([2, 3, 9], [5, 6, 9], [7, 8, 9], [1, 2, 9], [4, 5, 9]),
    "samples of unequal length": mask_of(slice(4), slice(10), slice(6), slice(1), slice(3)),
    "scattered": np.random.default_rng(2).random((SAMPLES, LENGTH)) < 0.35,
    "one target": mask_of([], [], [5], [], []),
    "first tokens": mask_of([0], [0, 1], [1], [1], []),
    "all": mask_of(*[slice(10)] * SAMPLES),
}


def batch_with(loss: Mask, step: int | None = 5) -> TensorBatch:
    """Returns a batch of random tokens with this loss mask, which has computed nothing yet."""
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, loss.shape)
    batch = Batch(tokens=tokens, loss=loss, scored=loss)
    return TensorBatch.from_batch(batch, torch.device("cpu"), np.arange(len(loss)), step)


@contextmanager
def largest_share(share: float) -> Iterator[None]:
    """Sets the largest share of the positions that windows and packed rows may have, 0 for none; rows are short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "ROW_PLACES", LENGTH)
        for module in (packing, windows):
            patch.setattr(module, "LARGEST_SHARE", share)
        yield
