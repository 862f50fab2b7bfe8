"""Decoding without a cache: a trunk that offers none reads all tokens again for every new one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from generators.foundation.randomness import Integers
from lab.model.cache import TrunkCache
from lab.model.trunk import Trunk


class Recomputation(TrunkCache):
    """The tokens of B samples and the inputs of head layers, from which all is computed anew.

    Args:
        samples: B.
        capacity: C, the largest number of positions that will be read.
    """

    def __init__(self, trunk: Trunk, samples: int, capacity: int) -> None:
        self.trunk, self.device = trunk, trunk.embed_tokens.weight.device
        self.tokens_BxC = torch.zeros(samples, capacity, dtype=torch.int64, device=self.device)
        self.inputs: dict[nn.Module, Tensor] = {}

    def read(self, tokens_BxT: Integers, start_B: Integers) -> Tensor:
        places_BxT = start_B[:, None] + np.arange(tokens_BxT.shape[1])
        self.end = min(int(places_BxT.max()) + 1, self.trunk.length)
        self.rows_Bx1 = torch.arange(len(tokens_BxT), device=self.device)[:, None]
        self.places_BxT = torch.from_numpy(places_BxT).to(self.device)
        self.tokens_BxC[self.rows_Bx1, self.places_BxT] = torch.from_numpy(tokens_BxT).to(self.device)
        return self.at_places(self.trunk(self.tokens_BxC[:, : self.end]))

    def run(self, layers: Sequence[nn.Module], x_NxD: Tensor) -> Tensor:
        if layers[0] not in self.inputs:
            self.inputs[layers[0]] = x_NxD.new_zeros(*self.tokens_BxC.shape, x_NxD.shape[-1])
        inputs_BxCxD = self.inputs[layers[0]]
        inputs_BxCxD[self.rows_Bx1, self.places_BxT] = x_NxD.view(*self.places_BxT.shape, -1)
        read_BxPxD = inputs_BxCxD[:, : self.end]
        return torch.stack([self.at_places(self.trunk.apply_layer(layer, read_BxPxD)) for layer in layers])

    def at_places(self, x_BxPxD: Tensor) -> Tensor:
        """Returns the values [N, D] at the positions of the latest `read`."""
        return x_BxPxD[self.rows_Bx1, self.places_BxT.clamp(max=self.end - 1)].flatten(0, 1)

    def keep_samples(self, rows: Integers) -> None:
        rows_B = torch.from_numpy(rows).to(self.device)
        self.tokens_BxC = self.tokens_BxC[rows_B]
        self.inputs = {layer: inputs[rows_B] for layer, inputs in self.inputs.items()}
