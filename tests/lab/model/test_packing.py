"""Packed rows hold every sample up to its last target, next to other samples that it does not attend to."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from generators.foundation.randomness import Integers
from generators.task import Mask
from lab.model import packing
from lab.model.config import DataShape
from lab.model.network import initialise
from lab.model.packing import Packing, arrange, pack_samples
from lab.model.trunks.llama import Llama, LlamaConfig
from tests.lab.objectives.target_masks import largest_share

CPU = torch.device("cpu")


def packing_of(loss: Mask) -> Packing:
    with largest_share(9):
        packed = pack_samples(loss, CPU)
    assert packed is not None
    return packed


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12).map(np.array))
def test_samples_stand_side_by_side_in_rows_of_limited_length(lengths: Integers) -> None:
    row, start, rows, width = arrange(lengths)
    taken = {(row[sample], start[sample] + place) for sample in range(len(lengths)) for place in range(lengths[sample])}
    assert len(taken) == lengths.sum()
    assert all(0 <= row < rows and 0 <= place < width for row, place in taken)
    assert rows == max(1, -(-lengths.sum() // max(packing.ROW_PLACES, lengths.max())))
    assert width <= max(packing.ROW_PLACES, lengths.max()) + lengths.max() or width == 1


def test_samples_fill_their_rows_nearly_to_the_end() -> None:
    lengths = np.array([17, 4, 9, 12, 6, 6, 16, 5, 8, 10])
    _, _, rows, width = arrange(lengths)
    assert lengths.sum() == 93
    assert (rows, width) == (3, 32)


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9)))
def test_packing_and_unpacking_keep_every_position_up_to_the_last_target(loss: Mask) -> None:
    loss[:, -1] = False
    loss[0, 1] = True
    packed = packing_of(loss)
    x = torch.randn(len(loss), loss.shape[1] - 1, 2)
    kept = np.logical_or.accumulate(loss[:, :0:-1], axis=1)[:, ::-1].copy()
    assert (packed.places >= 0).tolist() == kept.tolist()
    assert torch.equal(packed.unpack(packed.pack(x))[torch.from_numpy(kept)], x[torch.from_numpy(kept)])
    assert packed.pack_mask(kept).sum() == kept.sum()


def test_a_trunk_computes_in_packed_rows_what_it_computes_without() -> None:
    loss = np.zeros((4, 9), np.bool_)
    loss[np.arange(4), [8, 3, 4, 2]] = True
    config = LlamaConfig(width=8, layers=1, attention_heads=2, rotary_base=100.0)
    trunk = Llama(config, 2, DataShape(vocabulary=5, length=9))
    initialise(trunk, 2, torch.Generator().manual_seed(0))
    trunk.double()
    tokens = torch.randint(5, (4, 8), generator=torch.Generator().manual_seed(0))
    packed = packing_of(loss)
    assert tuple(packed.position_RxC.shape) == (2, 9)
    kept = torch.from_numpy(packed.places >= 0)
    torch.testing.assert_close(trunk.forward_rows(tokens, packed, None)[kept], trunk(tokens)[kept])


def test_samples_of_equal_length_are_not_packed_nor_those_of_nearly_equal_length() -> None:
    loss = np.zeros((4, 9), np.bool_)
    loss[:, 8] = True
    assert pack_samples(loss, CPU) is None
    loss[0, 7:] = True, False
    assert pack_samples(loss, CPU) is None
    loss[:3, 8], loss[:3, 2] = False, True
    assert pack_samples(loss, CPU) is not None
