"""Samples of a task as tensors, and the positions of the latent that predict their targets."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from generators.foundation.randomness import Integers
from generators.task import Batch, Mask
from lab.model import windows
from lab.model.devices import to_device
from lab.model.packing import Packing, pack_samples
from lab.model.windows import Window, window_of

Value = TypeVar("Value")


@dataclass(frozen=True)
class Targets:
    """N tokens in the loss mask, and the positions in B x P hidden states that predict them.

    Attributes:
        positions_N: indices into the flattened positions; None if every position predicts a target.
        tokens_N: the tokens to predict.
        count: targets of the whole batch, by which a sum of losses is divided; more than N in a micro-batch.
    """

    positions_N: Tensor | None
    tokens_N: Tensor
    count: int

    def select(self, hidden_BxPxD: Tensor) -> Tensor:
        """Returns the hidden states that predict the targets [N, D]."""
        hidden_MxD = hidden_BxPxD.flatten(0, 1)
        return hidden_MxD if self.positions_N is None else hidden_MxD[self.positions_N]


@dataclass(frozen=True)
class TensorBatch:
    """B samples of T tokens on a device. The trunk reads tokens 0..T-2; head i at position t predicts token t+i.

    Attributes:
        tokens_BxT: the tokens.
        loss: the loss mask [B, T], as numpy.
        indices: index of each sample in its split [B]; an objective that draws random numbers derives them from these.
        step: the optimiser step that the batch is trained at; None in evaluation.
        part_of: the whole batch, if this is a micro-batch.
        uneven: whether `sizes` differs between the batches of the run.
    """

    tokens_BxT: Tensor
    loss: Mask
    indices: Integers
    step: int | None = None
    part_of: "TensorBatch | None" = None
    uneven: bool = False
    _computed: dict[Hashable, Any] = field(default_factory=dict)

    @classmethod
    def from_batch(
        cls, batch: Batch, device: torch.device, indices: Integers, step: int | None = None, uneven: bool = False
    ) -> "TensorBatch":
        """Copies the tokens and the loss mask of a numpy batch to a device."""
        return cls(to_device(device, batch.tokens), batch.loss, indices, step, uneven=uneven)

    @property
    def inputs_BxP(self) -> Tensor:
        """The tokens that the trunk reads [B, P = T-1]; the last token of a sample has nothing to predict."""
        return self.tokens_BxT[:, :-1]

    @property
    def whole(self) -> "TensorBatch":
        """The batch over which losses are averaged: this one, or the batch that this micro-batch is part of."""
        return self.part_of or self

    def split(self, pieces: int) -> "list[TensorBatch]":
        """Returns micro-batches, whose losses and gradients add up to those of the whole batch."""
        if pieces == 1:
            return [self]
        rows = np.array_split(np.arange(len(self.loss)), pieces)
        tokens = self.tokens_BxT.tensor_split(pieces)
        return [
            TensorBatch(tokens_piece, self.loss[row], self.indices[row], self.step, self.whole, self.uneven)
            for tokens_piece, row in zip(tokens, rows, strict=True)
        ]

    def once(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Returns the result of `compute`, which is called only once for each key."""
        if key not in self._computed:
            self._computed[key] = compute()
        value: Value = self._computed[key]
        return value

    def targets(self, lag: int) -> Targets:
        """Returns the targets `lag` tokens ahead of each of the first T - lag positions.

        They are selected on the CPU, so that no step waits for the device.
        """

        def compute() -> Targets:
            mask = self.loss[:, lag:]
            tokens = self.tokens_BxT[:, lag:].reshape(-1)
            count = int(np.count_nonzero(self.whole.loss[:, lag:]))
            if mask.all():
                return Targets(None, tokens, count)
            positions = to_device(tokens.device, np.flatnonzero(mask))
            return Targets(positions, tokens[positions], count)

        return self.once(("targets", lag), compute)

    def packing(self) -> Packing | None:
        """Returns the rows into which layers may pack the samples; None if the samples should stay as they are."""
        return self.once("packing", lambda: pack_samples(self.loss, self.tokens_BxT.device))

    def window(self, lags: tuple[int, ...]) -> Window | None:
        """Returns the window of the positions that predict a target of some lag; None if it would save no time.

        It has the rows of `packing`, or those of the first T - min(lags) positions if samples are not packed.
        """

        def compute() -> Window | None:
            length, packing = self.loss.shape[1], self.packing()
            columns = length - (min(lags) if packing is None else 1)
            positions = len(self.loss) * columns if packing is None else packing.source_RxC.numel()
            if max(len(self.targets(lag).tokens_N) for lag in lags) > windows.LARGEST_SHARE * positions:
                return None
            needed = np.zeros((len(self.loss), columns), np.bool_)
            for lag in lags:
                needed[:, : length - lag] |= self.loss[:, lag:]
            return self.window_over(needed)

        return self.once(("window", lags), compute)

    def window_over(self, needed_BxT: Mask) -> Window | None:
        """Returns the window of the needed positions, among T or, if samples are packed, in the rows of `packing`."""
        packing = self.packing()
        return window_of(needed_BxT if packing is None else packing.pack_mask(needed_BxT), self.tokens_BxT.device)

    def sizes(self) -> tuple[object, ...]:
        """Returns the sizes that compiled code depends on: of samples, targets, packed rows and the window of lag 1."""
        packing, window = self.packing(), self.window((1,))
        rows = None if packing is None else tuple(packing.position_RxC.shape)
        places = None if window is None else (window.start, window.width)
        return self.loss.shape, len(self.targets(1).tokens_N), rows, places

    def targets_in_rows(self, lag: int, windowed: bool) -> Targets:
        """Returns the targets of a lag, with positions in packed rows, or in the window of the lag if `windowed`."""

        def compute() -> Targets:
            targets, packing, window = self.targets(lag), self.packing(), self.window((lag,)) if windowed else None
            if packing is None and window is None:
                return targets
            mask = self.loss[:, lag:]
            if packing is not None:
                index_N = packing.places[:, : mask.shape[1]][mask]
            elif window is not None and window.places.size == len(targets.tokens_N):
                return replace(targets, positions_N=None)
            else:
                index_N = np.flatnonzero(mask)
            if window is not None:
                index_N = window.index(index_N)
            return replace(targets, positions_N=to_device(self.tokens_BxT.device, index_N))

        return self.once(("targets in rows", lag, windowed), compute)

    def targets_ahead(self, distances: Callable[[Integers], Integers]) -> Targets:
        """Returns the targets at a distance that differs between samples, predicted from all P = T - 1 positions.

        Args:
            distances: indices of samples [B] -> tokens ahead [B], at least 1.
        """
        length = self.loss.shape[1]
        positions = np.flatnonzero(self.predicting_ahead(distances))
        sample, place = np.divmod(positions, length - 1)
        places = sample * length + place + distances(self.indices)[sample]
        count = int(np.count_nonzero(self.whole.predicting_ahead(distances)))
        device = self.tokens_BxT.device
        tokens_N = self.tokens_BxT.reshape(-1)[to_device(device, places)]
        return Targets(to_device(device, positions), tokens_N, count)

    def predicting_ahead(self, distances: Callable[[Integers], Integers]) -> Mask:
        """Returns which positions [B, P] predict a target at the distance of their sample (see `targets_ahead`)."""
        length = self.loss.shape[1]
        place = np.arange(length - 1) + distances(self.indices)[:, None]
        carries: Mask = np.take_along_axis(self.loss, np.minimum(place, length - 1), axis=1) & (place < length)
        return carries
