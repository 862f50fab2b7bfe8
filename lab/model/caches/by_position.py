"""A cache of layers that keep something of every position: a state, or keys and values."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from generators.foundation.randomness import Integers
from lab.model.cache import TrunkCache
from lab.model.trunk import Trunk


class KeepsByPosition(Protocol):
    """The methods of a layer that can go on from any earlier position."""

    @property
    def kept_width(self) -> int:
        """How many numbers W the layer keeps of a position."""

    def resume(self, x_BxTxD: Tensor, kept_BxCxW: Tensor, places_BxT: Tensor) -> Tensor:
        """Computes the output [B, T, D] at T consecutive positions of each sample.

        It reads from `kept_BxCxW` what the layer kept of earlier positions, and writes there what it keeps of these.
        """


class PositionCache(TrunkCache):
    """The memory of layers for B samples. Each layer of the trunk is a `KeepsByPosition`.

    Args:
        samples: B.
        capacity: C, the largest number of positions that the cache will hold.
    """

    def __init__(self, trunk: Trunk, samples: int, capacity: int) -> None:
        self.trunk, self.device = trunk, trunk.embed_tokens.weight.device
        self.samples, self.capacity = samples, capacity
        self.kept: dict[nn.Module, Tensor] = {}

    def read(self, tokens_BxT: Integers, start_B: Integers) -> Tensor:
        self.places_BxT = torch.from_numpy(start_B[:, None] + np.arange(tokens_BxT.shape[1])).to(self.device)
        tokens = torch.from_numpy(tokens_BxT).to(self.device)
        x_BxTxD = self.trunk.embed_at(tokens, self.places_BxT.clamp(max=self.trunk.length - 1))
        for layer in self.trunk.layers:
            x_BxTxD = self.applied(layer, x_BxTxD)
        return x_BxTxD.flatten(0, 1)

    def run(self, layers: Sequence[nn.Module], x_NxD: Tensor) -> Tensor:
        x_BxTxD = x_NxD.view(*self.places_BxT.shape, -1)
        return torch.stack([self.applied(layer, x_BxTxD).flatten(0, 1) for layer in layers])

    def applied(self, layer: nn.Module, x_BxTxD: Tensor) -> Tensor:
        """Applies a layer, which has kept nothing before its first call."""
        keeper: KeepsByPosition = layer  # type: ignore[assignment]
        if layer not in self.kept:
            self.kept[layer] = x_BxTxD.new_zeros(self.samples, self.capacity, keeper.kept_width)
        return keeper.resume(x_BxTxD, self.kept[layer], self.places_BxT)

    def keep_samples(self, rows: Integers) -> None:
        self.samples = len(rows)
        rows_B = torch.from_numpy(rows).to(self.device)
        self.kept = {layer: kept[rows_B] for layer, kept in self.kept.items()}
