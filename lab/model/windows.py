"""Windows: the few positions of each row at which a layer computes its output, because nothing reads the others.

A layer still computes keys and values at every position, since the positions of a window attend to all before them.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from generators.foundation.randomness import Integers
from generators.task import Mask
from lab.model.devices import select_rows, to_device

LARGEST_SHARE = 0.75
"""The largest share of the positions that a window may have; a larger one would save no time."""


@dataclass(frozen=True)
class Window:
    """Q distinct positions of each of B rows, in ascending order, out of the T positions that a layer reads.

    Attributes:
        length: T.
        width: Q.
        start: the first position, if the positions are contiguous and the same in every row; otherwise None.
        places: the positions as numpy, int64 [B, Q].
        places_BxQ: the positions on the device; None for a window with a start.
        flat_BxQ: the same as indices into the flattened positions B x T; None for a window with a start.
        causal: which positions each position of the window attends to in a causal layer, [Q, T] or [B, 1, Q, T].
    """

    length: int
    width: int
    start: int | None
    places: Integers
    places_BxQ: Tensor | None
    flat_BxQ: Tensor | None
    causal: Tensor

    def select(self, x_BxTxD: Tensor) -> Tensor:
        """Returns the window's positions of a tensor [B, Q, D]."""
        if self.start is not None:
            return x_BxTxD[:, self.start : self.start + self.width]
        assert self.flat_BxQ is not None
        return select_rows(x_BxTxD, self.flat_BxQ)

    def spread(self, x_BxQxD: Tensor) -> Tensor:
        """Returns a tensor [B, T, D] with these values at the window's positions and zeros elsewhere."""
        if self.start is not None:
            return F.pad(x_BxQxD, (0, 0, self.start, self.length - self.start - self.width))
        assert self.flat_BxQ is not None
        B, _, D = x_BxQxD.shape
        zeros_MxD = x_BxQxD.new_zeros(B * self.length, D)
        return zeros_MxD.index_copy(0, self.flat_BxQ.flatten(), x_BxQxD.flatten(0, 1)).view(B, self.length, D)

    def rotary(self, table: Tensor) -> Tensor:
        """Returns the window's positions of a rotary table: [2, T, K] or, if samples differ, [2, B, 1, T, K]."""
        if self.start is not None:
            return table[..., self.start : self.start + self.width, :]
        assert self.places_BxQ is not None
        if table.dim() == 3:
            return table[:, self.places_BxQ].unsqueeze(2)
        return table.take_along_dim(self.places_BxQ[None, :, None, :, None], dim=3)

    def mask(self, mask: Tensor | None) -> Tensor:
        """Returns the window's queries of an attention mask [T, T] or [B, 1, T, T]; None stands for the causal mask."""
        if mask is None:
            return self.causal
        if self.start is not None:
            return mask[..., self.start : self.start + self.width, :]
        assert self.places_BxQ is not None
        if mask.dim() == 2:
            return mask[self.places_BxQ].unsqueeze(1)
        return mask.take_along_dim(self.places_BxQ[:, None, :, None], dim=2)

    def index(self, flat_N: Integers) -> Integers:
        """Converts N positions of the window from indices into the flattened B x T to indices into the flattened window
        B x Q.
        """
        flat = (self.places + self.length * np.arange(len(self.places))[:, None]).reshape(-1)
        index_M = np.zeros(len(self.places) * self.length, np.int64)
        index_M[flat] = np.arange(flat.size)
        index_N: Integers = index_M[flat_N]
        return index_N


def window_of(needed_BxT: Mask, device: torch.device) -> Window | None:
    """Returns the window of the needed positions; None if there are too many of them for it to save time."""
    first = needed_BxT[0]
    if (needed_BxT == first).all() and first.any():  # the common case of answers at one place needs to be fast
        start, end = int(first.argmax()), len(first) - int(first[::-1].argmax())
        if first[start:end].all():
            return window_from(start, end - start, needed_BxT.shape, device)
    return window_at(covering_places(needed_BxT), needed_BxT.shape[1], device)


def covering_places(needed_BxT: Mask) -> Integers:
    """Returns Q positions of each row that include all needed ones [B, Q], ascending and distinct.

    They are contiguous if the needed ones are. A row that needs fewer than Q has some others too.
    """
    length = needed_BxT.shape[1]
    count_B = needed_BxT.sum(axis=1)
    width = int(count_B.max(initial=1))
    first_B = needed_BxT.argmax(axis=1)
    last_B = length - 1 - needed_BxT[:, ::-1].argmax(axis=1)
    if (last_B - first_B < width)[count_B > 0].all():
        first_B[count_B == 0] = first_B[count_B.argmax()]  # where all other rows are equal, the window has one start
        start_B = np.minimum(first_B, length - width)
        places: Integers = start_B[:, None] + np.arange(width)
        return places
    order = np.argsort(~needed_BxT, axis=1, kind="stable")
    return np.sort(order[:, :width], axis=1)


def window_at(places: Integers, length: int, device: torch.device) -> Window | None:
    """Builds the window of these positions; None if there are too many of them for it to save time.

    Args:
        places: ascending positions [B, Q].
        length: number T of positions that the layer reads.
    """
    size, width = places.shape
    if width > LARGEST_SHARE * length:
        return None
    first = places[0]
    if first[-1] - first[0] == width - 1 and (places == first).all():
        return window_from(int(first[0]), width, (size, length), device)
    causal = to_device(device, places[:, None, :, None] >= np.arange(length))
    flat_BxQ = to_device(device, places + length * np.arange(size)[:, None])
    return Window(length, width, None, places, to_device(device, places), flat_BxQ, causal)


def window_from(start: int, width: int, shape: tuple[int, ...], device: torch.device) -> Window | None:
    """Builds the window of the same contiguous positions in all rows; None if it would save no time.

    Args:
        shape: number of rows B and of positions T that the layer reads.
    """
    return None if width > LARGEST_SHARE * shape[1] else _window_from(start, width, shape, device)


@lru_cache(maxsize=256)
def _window_from(start: int, width: int, shape: tuple[int, ...], device: torch.device) -> Window:
    rows, length = shape
    places = np.arange(start, start + width)
    causal = to_device(device, places[:, None] >= np.arange(length))
    return Window(length, width, start, np.broadcast_to(places, (rows, width)), None, None, causal)
