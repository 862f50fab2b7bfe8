"""The work of a training step, counted in multiplications, is that of the positions that targets need."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from generators.table import TASKS, build_task
from lab.loss.losses import LOSSES
from lab.model.batches import TensorBatch
from lab.model.config import DataShape
from lab.model.trunks.llama import LlamaConfig
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from tests.lab.objectives.target_masks import largest_share

STAR = {"kind": "star", "degree": 2, "length": 3, "nodes": 5}
POLYNOMIAL = {"kind": "polynomial", "p": 3, "k": 2, "operations_maximum": 3}
WIDTH, HIDDEN, LAYERS, SAMPLES = 16, 44, 3, 8
PASSES = 3
"""A product of matrices takes one pass forward, and one each for the gradients of both factors."""
KEYS_AND_VALUES = 2 * WIDTH**2
QUERIES_AND_ALL_ELSE = 2 * WIDTH**2 + 3 * WIDTH * HIDDEN
BLOCK = KEYS_AND_VALUES + QUERIES_AND_ALL_ELSE


def first_batch(settings: dict[str, object]) -> tuple[TensorBatch, DataShape]:
    task = build_task(TASKS.config(settings, "a test"))
    batch = task.batch("train", np.arange(SAMPLES)).trimmed()
    tensors = TensorBatch.from_batch(batch, torch.device("cpu"), np.arange(SAMPLES), 0)
    return tensors, DataShape(len(task.vocabulary), task.length)


def multiplications(n: int, settings: dict[str, object], loss: str) -> int:
    """Counts those of matrix products in a forward and backward pass, without attention."""
    batch, data = first_batch(settings)
    config = MultiTokenConfig(n=n, match="none" if n > 1 else "layers")
    network = MultiToken(config, LlamaConfig(width=WIDTH, layers=LAYERS, attention_heads=1), data)
    with FlopCounterMode(display=False) as counter:
        LOSSES[loss](network, batch)
    return counter.get_flop_counts()["Global"][torch.ops.aten.mm] // 2


@pytest.mark.parametrize("loss", ["joint", "sequential"])
def test_heads_compute_keys_and_values_at_all_positions_and_the_rest_at_three_targets(loss: str) -> None:
    batch, data = first_batch(STAR)
    positions, targets = batch.inputs_BxP.shape[1], 3
    assert (positions, batch.loss[:, 1:].sum()) == (17, targets * SAMPLES)
    trunk = (LAYERS - 1) * positions * BLOCK
    heads = sum((positions - further) * KEYS_AND_VALUES + targets * QUERIES_AND_ALL_ELSE for further in range(4))
    unembedding = 4 * targets * WIDTH * data.vocabulary
    some = multiplications(4, STAR, loss)
    assert some == PASSES * SAMPLES * (trunk + heads + unembedding)
    with largest_share(0):
        every = multiplications(4, STAR, loss)
    assert every == PASSES * SAMPLES * (trunk + 4 * positions * BLOCK + unembedding)
    assert some < 0.55 * every


@pytest.mark.parametrize("n", [1, 2])
def test_samples_of_unequal_length_take_the_positions_of_their_packed_rows(n: int) -> None:
    batch, data = first_batch(POLYNOMIAL)
    packing = batch.packing()
    assert packing is not None
    places = packing.position_RxC.numel()
    needed = int(packing.pack_mask(packing.places >= 0).sum())
    assert needed <= places <= 1.15 * needed < 0.8 * batch.inputs_BxP.numel()
    blocks = LAYERS - 1 + n
    targets = sum(int(batch.loss[:, lag:].sum()) for lag in range(1, n + 1))
    expected = PASSES * (places * blocks * BLOCK + targets * WIDTH * data.vocabulary)
    assert multiplications(n, POLYNOMIAL, "joint") == expected
