"""Packing of samples of unequal length into fewer rows, so that layers compute no padding after their last targets.

A sample keeps its rotary positions, and attends to nothing but itself.
"""

import heapq
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from generators.foundation.randomness import Integers
from generators.task import Mask
from lab.model.devices import select_rows, to_device

LARGEST_SHARE = 0.85
"""The largest share of the positions that packed rows may have; with more of them, packing would save no time."""


ROW_PLACES = 40
"""Places of a row, unless the longest sample has more: shorter rows end with more empty places, and the attention of
longer ones takes more time."""


@dataclass(frozen=True)
class Packing:
    """R rows of C places, which hold the positions up to the last target of B samples of P positions.

    Attributes:
        places: the place of each position of each sample as numpy, an index into the flattened R x C [B, P]; -1 for a
            position that is left out.
        place_BxP: the same on the device, with 0 for a position that is left out.
        source_RxC: the index, into the flattened B x P, of the position at each place; 0 for an empty place.
        position_RxC: the position, within its sample, at each place.
        mask: which places each place attends to [R, 1, C, C].
    """

    places: Integers
    place_BxP: Tensor
    source_RxC: Tensor
    position_RxC: Tensor
    mask: Tensor

    def pack(self, x_BxP: Tensor) -> Tensor:
        """Returns the rows [R, C, ...] of a tensor [B, P, ...]."""
        return select_rows(x_BxP, self.source_RxC)

    def unpack(self, x_RxCxD: Tensor) -> Tensor:
        """Returns the tensor [B, P, D] of these rows, with arbitrary values at positions that are left out."""
        return select_rows(x_RxCxD, self.place_BxP)

    def pack_mask(self, mask_BxP: Mask) -> Mask:
        """Returns the rows [R, C] of a mask that is false at all positions that are left out."""
        rows = np.zeros(tuple(self.position_RxC.shape), np.bool_)
        rows.reshape(-1)[self.places[mask_BxP]] = True
        return rows

    @property
    def width(self) -> int:
        """The number of places C of a row."""
        return self.position_RxC.shape[1]

    def rotary(self, table_2xTxK: Tensor) -> Tensor:
        """Returns the rotary table of the rows [2, R, 1, C, K]."""
        return table_2xTxK[:, self.position_RxC].unsqueeze(2)


def pack_samples(loss_BxT: Mask, device: torch.device) -> Packing | None:
    """Packs the positions up to the last target of each sample; returns None if that would save no time."""
    size, positions = loss_BxT.shape[0], loss_BxT.shape[1] - 1
    if loss_BxT[:, -1].all():
        return None
    lengths_B = np.where(loss_BxT.any(axis=1), positions - loss_BxT[:, ::-1].argmax(axis=1), 0)
    row_B, start_B, rows, width = arrange(lengths_B)
    if rows * width > LARGEST_SHARE * size * positions:
        return None
    kept_BxP = np.arange(positions) < lengths_B[:, None]
    places = np.where(kept_BxP, (row_B * width + start_B)[:, None] + np.arange(positions), -1)
    kept_K, place_K = np.flatnonzero(kept_BxP), places[kept_BxP]
    source_M, sample_M = np.zeros(rows * width, np.int64), np.full(rows * width, -1)
    source_M[place_K], sample_M[place_K] = kept_K, kept_K // positions
    sample_RxC = sample_M.reshape(rows, width)
    mask_RxCxC = (sample_RxC[:, :, None] == sample_RxC[:, None]) & np.tri(width, dtype=np.bool_)
    return Packing(
        places,
        to_device(device, np.maximum(places, 0)),
        to_device(device, source_M.reshape(rows, width)),
        to_device(device, (source_M % positions).reshape(rows, width)),
        to_device(device, mask_RxCxC[:, None]),
    )


def arrange(lengths_B: Integers) -> tuple[Integers, Integers, int, int]:
    """Arranges samples in rows of about the same length.

    The longest sample that is left always joins the emptiest row (Graham 1969, longest processing time first).

    Returns:
        The row of each sample [B], its first place there [B], the number of rows and their width.
    """
    rows = max(1, -(-int(lengths_B.sum()) // max(ROW_PLACES, int(lengths_B.max()))))
    filled = [(0, row) for row in range(rows)]
    row_B, start_B = np.zeros_like(lengths_B), np.zeros_like(lengths_B)
    for sample in np.argsort(-lengths_B, kind="stable").tolist():
        start, row = filled[0]
        row_B[sample], start_B[sample] = row, start
        heapq.heapreplace(filled, (start + int(lengths_B[sample]), row))
    return row_B, start_B, rows, max(1, max(places for places, _ in filled))
