"""Samples of a task as tensors, and the positions of the latent that predict their targets."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.foundation.randomness import Integers
from generators.task import Batch, Mask

Value = TypeVar("Value")


def to_device(device: torch.device, array: NDArray[np.int64]) -> Tensor:
    """Copies a numpy array to a device without waiting for the copy."""
    tensor = torch.from_numpy(array)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


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
        indices: index of each sample in its split [B]; an objective that draws at random draws by these.
        step: the optimiser step that the batch is trained at; None in evaluation.
        part_of: the whole batch, if this is a micro-batch.
        uneven: whether the batches of the run differ in length or in their number of targets.
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
            TensorBatch(tokens_piece, self.loss[row], self.indices[row], self.step, self, self.uneven)
            for tokens_piece, row in zip(tokens, rows, strict=True)
        ]

    def once(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Returns what `compute` returned when it was first called for this key."""
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

    def targets_ahead(self, distances: Callable[[Integers], Integers]) -> Targets:
        """Returns the targets at a distance that differs between samples, predicted from all P = T - 1 positions.

        Args:
            distances: indices of samples [B] -> tokens ahead [B], at least 1.
        """
        positions, places = self._targets_at(distances)
        count = len(positions) if self.part_of is None else len(self.part_of._targets_at(distances)[0])
        device = self.tokens_BxT.device
        tokens_N = self.tokens_BxT.reshape(-1)[to_device(device, places)]
        return Targets(to_device(device, positions), tokens_N, count)

    def _targets_at(self, distances: Callable[[Integers], Integers]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the flat positions in B x P that have a target [N], and the flat places of the targets in B x T."""
        size, length = self.loss.shape
        place = np.arange(length - 1) + distances(self.indices)[:, None]
        inside = place < length
        flat = np.minimum(place, length - 1) + length * np.arange(size)[:, None]
        carries = inside & self.loss.reshape(-1)[flat]
        return np.flatnonzero(carries), flat[carries]
