"""Task samples as tensors, and which positions of the latent answer for which targets."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.foundation.randomness import Integers
from generators.task import Batch, Mask


def to_device(device: torch.device, array: NDArray[np.int64]) -> Tensor:
    """A numpy array on a device, which nobody waits for."""
    tensor = torch.from_numpy(array)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


@dataclass(frozen=True)
class Targets:
    """N tokens that carry loss, and where in B x P hidden states each is predicted."""

    positions_N: Tensor | None
    """Into the flattened positions, or None where all of them count."""
    tokens_N: Tensor
    count: int
    """Targets of the whole batch this one is a piece of: what a sum of losses is divided by."""

    def of(self, hidden_BxPxD: Tensor) -> Tensor:
        """The hidden states that answer [N, D]."""
        hidden_MxD = hidden_BxPxD.flatten(0, 1)
        return hidden_MxD if self.positions_N is None else hidden_MxD[self.positions_N]


@dataclass(frozen=True)
class TensorBatch:
    """B samples of T tokens on a device. The trunk reads tokens 0..T-2; head i at position t predicts token t+i."""

    tokens_BxT: Tensor
    loss: Mask
    indices: Integers
    """Each sample's place in its split [B]: what an objective that draws at random draws by."""
    step: int | None = None
    """The optimiser step it is trained at, or None where it is evaluated."""
    part_of: "TensorBatch | None" = None
    """The whole batch, where this is a micro-batch of it."""
    _targets: dict[int, Targets] = field(default_factory=dict)

    @classmethod
    def from_batch(
        cls, batch: Batch, device: torch.device, indices: Integers, step: int | None = None
    ) -> "TensorBatch":
        """The tokens and the loss mask of a numpy batch, on `device`."""
        return cls(to_device(device, batch.tokens), batch.loss, indices, step)

    @property
    def inputs_BxP(self) -> Tensor:
        """Tokens the trunk reads [B, T-1]: the last one has nothing left to predict."""
        return self.tokens_BxT[:, :-1]

    @property
    def whole(self) -> "TensorBatch":
        """The batch whose means the losses are."""
        return self.part_of or self

    def split(self, pieces: int) -> "list[TensorBatch]":
        """Micro-batches, whose losses and gradients add up to those of the whole."""
        if pieces == 1:
            return [self]
        rows = np.array_split(np.arange(len(self.loss)), pieces)
        tokens = self.tokens_BxT.tensor_split(pieces)
        return [
            TensorBatch(some, self.loss[row], self.indices[row], self.step, self)
            for some, row in zip(tokens, rows, strict=True)
        ]

    def targets(self, lag: int) -> Targets:
        """The targets `lag` tokens ahead of each of the first T - lag positions. Found on the CPU: the device is never
        waited for."""
        if lag not in self._targets:
            mask = self.loss[:, lag:]
            tokens = self.tokens_BxT[:, lag:].reshape(-1)
            count = int(np.count_nonzero(self.whole.loss[:, lag:]))
            if mask.all():
                self._targets[lag] = Targets(None, tokens, count)
            else:
                positions = to_device(tokens.device, np.flatnonzero(mask))
                self._targets[lag] = Targets(positions, tokens[positions], count)
        return self._targets[lag]

    def targets_ahead(self, ahead: Callable[[Integers], Integers]) -> Targets:
        """The targets a distance of its own ahead in each sample, from all P = T - 1 positions.

        Args:
            ahead: indices of samples [B] -> tokens ahead [B], at least 1.
        """
        where, landing = self._landing(ahead)
        count = len(where) if self.part_of is None else len(self.part_of._landing(ahead)[0])
        device = self.tokens_BxT.device
        tokens_N = self.tokens_BxT.reshape(-1)[to_device(device, landing)]
        return Targets(to_device(device, where), tokens_N, count)

    def _landing(self, ahead: Callable[[Integers], Integers]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Flat positions [N] in B x P that have a target, and the flat place of it in B x T [N]."""
        size, length = self.loss.shape
        landing = np.arange(length - 1) + ahead(self.indices)[:, None]
        inside = landing < length
        flat = np.minimum(landing, length - 1) + length * np.arange(size)[:, None]
        carries = inside & self.loss.reshape(-1)[flat]
        return np.flatnonzero(carries), flat[carries]
