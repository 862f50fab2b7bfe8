"""A network with a key-value cache: it reads every token once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from generators.foundation.randomness import Integers
from lab.decoding.cached_layers import BlockPositions, CachedLayers
from lab.model.layers import Block
from lab.objectives.objective import Objective


class CachedNetwork:
    """A network that continues B samples, each from its own position.

    Args:
        samples: B.
        capacity: the largest number of positions that the cache will hold.
    """

    def __init__(self, network: Objective, samples: int, capacity: int) -> None:
        self.network, self.samples, self.capacity = network, samples, capacity
        self.layers: dict[Block, CachedLayers] = {}
        weight, rotary = network.trunk.embed_tokens.weight, network.trunk.rotary_2xTxK
        half = rotary.shape[2] // 2
        self.rotations_CxK = torch.complex(*rotary[:, :, half:].to(weight.dtype))  # in this half, sines keep their sign
        self.masks: dict[int, Tensor] = {}

    def read(self, tokens: Integers, start: Integers, heads: int) -> Tensor:
        """Reads new tokens [B, T] that begin at position `start` [B] of each sample.

        Returns:
            The hidden states [heads, B, T, D] of the first `heads` heads.
        """
        positions = self.positions_of(start, tokens.shape[1])

        def run(blocks: Sequence[Block], x_NxD: Tensor) -> Tensor:
            if blocks[0] not in self.layers:
                self.layers[blocks[0]] = CachedLayers(blocks, self.samples, self.capacity)
            output = self.layers[blocks[0]](x_NxD, positions)
            return output if len(blocks) > 1 else output[None]

        tokens_N = torch.from_numpy(np.ascontiguousarray(tokens).reshape(-1)).to(self.rotations_CxK.device)
        x_NxD = self.network.trunk.embed_tokens(tokens_N)
        for layer in self.network.trunk.layers:
            assert isinstance(layer, Block)
            x_NxD = run([layer], x_NxD)[0]
        return self.network.proposals(x_NxD, heads, run).view(heads, *tokens.shape, -1)

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
        """Drops all samples except these [B']."""
        self.samples = len(rows)
        rows_B = torch.from_numpy(rows).to(self.rotations_CxK.device)
        for layers in self.layers.values():
            layers.keep_samples(rows_B)
