"""The key-value cache of a Llama."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from generators.foundation.randomness import Integers
from lab.model.cache import TrunkCache
from lab.model.caches.blocks import BlockPositions, CachedLayers
from lab.model.layers import Block


class LlamaCache(TrunkCache):
    """Keys and values of B samples.

    Args:
        embed_tokens: the embedding of the trunk.
        layers: the layers of the trunk.
        rotary_2xTxK: its rotary table.
        samples: B.
        capacity: the largest number of positions that the cache will hold.
    """

    def __init__(
        self, embed_tokens: nn.Embedding, layers: nn.ModuleList, rotary_2xTxK: Tensor, samples: int, capacity: int
    ) -> None:
        self.embed_tokens, self.trunk_layers, self.samples, self.capacity = embed_tokens, layers, samples, capacity
        self.layers: dict[nn.Module, CachedLayers] = {}
        half = rotary_2xTxK.shape[2] // 2
        rotary_2xTxK = rotary_2xTxK[:, :, half:].to(embed_tokens.weight.dtype)  # in this half, sines keep their sign
        self.rotations_CxK = torch.complex(*rotary_2xTxK)
        self.masks: dict[int, Tensor] = {}

    def read(self, tokens_BxT: Integers, start_B: Integers) -> Tensor:
        self.positions = self.positions_of(start_B, tokens_BxT.shape[1])
        tokens_N = torch.from_numpy(np.ascontiguousarray(tokens_BxT).reshape(-1)).to(self.rotations_CxK.device)
        x_NxD: Tensor = self.embed_tokens(tokens_N)
        for layer in self.trunk_layers:
            x_NxD = self.run([layer], x_NxD)[0]
        return x_NxD

    def run(self, layers: Sequence[nn.Module], x_NxD: Tensor) -> Tensor:
        if layers[0] not in self.layers:
            blocks = [layer for layer in layers if isinstance(layer, Block)]
            self.layers[layers[0]] = CachedLayers(blocks, self.samples, self.capacity)
        output = self.layers[layers[0]](x_NxD, self.positions)
        return output if len(layers) > 1 else output[None]

    def positions_of(self, start: Integers, count: int) -> BlockPositions:
        """Returns the positions of `count` tokens from `start` [B]; a slice if all samples have the same start."""
        low, high = int(start.min()), int(start.max())
        end, last = high + count, len(self.rotations_CxK) - 1
        if low == high and end <= last + 1:
            # Contiguous, because attention on a GPU reads a mask that starts anywhere else at misaligned addresses.
            mask = None if count == 1 else self.causal_mask(count)[:, self.capacity - low :][:, :end].contiguous()
            return BlockPositions(self.samples, count, end, None, self.rotations_CxK[low:end, None, None], mask)
        positions_BxT = torch.from_numpy(start[:, None] + np.arange(count)).to(self.rotations_CxK.device)
        # A draft can reach past the longest sample; tokens there are thrown away, so any rotation will do.
        rotations = self.rotations_CxK[positions_BxT.clamp(max=last)][:, :, None, None]
        unseen = torch.arange(end, device=positions_BxT.device) > positions_BxT[:, None, :, None]
        mask = self.rotations_CxK.real.new_zeros(unseen.shape).masked_fill_(unseen, -torch.inf)
        return BlockPositions(self.samples, count, end, positions_BxT, rotations, mask)

    def causal_mask(self, count: int) -> Tensor:
        """Returns the mask [count, capacity + count] of tokens after `capacity` others; a slice of it is the mask for
        fewer others.
        """
        if count not in self.masks:
            among_new = torch.full((count, count), -torch.inf, dtype=self.rotations_CxK.real.dtype).triu(1)
            to_cache = among_new.new_zeros(count, self.capacity)
            self.masks[count] = torch.cat((to_cache, among_new), dim=1).to(self.rotations_CxK.device)
        return self.masks[count]

    def keep_samples(self, rows: Integers) -> None:
        self.samples = len(rows)
        rows_B = torch.from_numpy(rows).to(self.rotations_CxK.device)
        for layers in self.layers.values():
            layers.keep_samples(rows_B)
