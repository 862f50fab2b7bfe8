"""Which targets a batch has at each distance, and which positions predict them."""

import numpy as np
import torch

from generators.task import Batch
from lab.model.batches import TensorBatch

TOKENS = np.array([[5, 6, 7, 8], [1, 2, 3, 4]])
LOSS = np.array([[False, True, False, True], [False, True, True, True]])


def batch_of(loss: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> TensorBatch:
    return TensorBatch.from_batch(Batch(tokens=TOKENS, loss=loss, scored=loss), torch.device("cpu"), np.arange(2))


def test_targets_of_each_lag_by_hand() -> None:
    batch = batch_of(LOSS)
    targets = batch.targets(1)
    assert targets.positions_N is not None
    assert targets.positions_N.tolist() == [0, 2, 3, 4, 5]
    assert targets.tokens_N.tolist() == [6, 8, 2, 3, 4]
    targets = batch.targets(2)
    assert targets.positions_N is not None
    assert targets.positions_N.tolist() == [1, 2, 3]
    assert targets.tokens_N.tolist() == [8, 3, 4]


def test_targets_need_no_positions_if_every_token_carries_loss() -> None:
    targets = batch_of(np.ones_like(LOSS)).targets(3)
    assert targets.positions_N is None
    assert targets.tokens_N.tolist() == [8, 4]


def test_targets_at_a_distance_of_each_sample_by_hand() -> None:
    targets = batch_of(LOSS).targets_ahead(lambda indices: np.array([3, 1]))
    assert targets.positions_N is not None
    assert targets.positions_N.tolist() == [0, 3, 4, 5]
    assert targets.tokens_N.tolist() == [8, 2, 3, 4]


def test_a_micro_batch_counts_the_targets_of_the_whole_batch() -> None:
    pieces = batch_of(LOSS).split(2)
    assert [len(piece.targets(1).tokens_N) for piece in pieces] == [2, 3]
    assert [piece.targets(1).count for piece in pieces] == [5, 5]
    assert [piece.targets_ahead(lambda indices: 3 - 2 * indices).count for piece in pieces] == [4, 4]


def test_sizes_tell_batches_apart_that_are_packed_differently() -> None:
    """Two samples of eight tokens, each with one target: the rows depend on where the targets are."""

    def sizes(first: int, second: int) -> tuple[object, ...]:
        loss = np.zeros((2, 8), np.bool_)
        loss[[0, 1], [first, second]] = True
        batch = Batch(tokens=np.zeros((2, 8), np.int64), loss=loss, scored=loss)
        return TensorBatch.from_batch(batch, torch.device("cpu"), np.arange(2)).sizes()

    assert sizes(7, 7) == sizes(7, 7)
    assert len({sizes(7, 7), sizes(7, 2), sizes(7, 3), sizes(6, 6)}) == 4
