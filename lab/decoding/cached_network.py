"""A network with a cache: it reads every token once, if its trunk offers a cache."""

import numpy as np
import torch
from torch import Tensor

from generators.foundation.randomness import Integers
from lab.decoding.recomputation import Recomputation
from lab.objectives.objective import Objective


class CachedNetwork:
    """A network that continues B samples, each from its own position.

    Args:
        samples: B.
        capacity: the largest number of positions that the cache will hold.
    """

    def __init__(self, network: Objective, samples: int, capacity: int) -> None:
        self.network = network
        cache = network.trunk.new_cache(samples, capacity)
        self.cache = cache or Recomputation(network.trunk, samples, capacity)

    def read(self, tokens: Integers, start: Integers, heads: int) -> Tensor:
        """Reads new tokens [B, T] that begin at position `start` [B] of each sample.

        Returns:
            The hidden states [heads, B, T, D] of the first `heads` heads.
        """
        tokens = np.ascontiguousarray(tokens)
        latent_NxD = self.cache.read(tokens, start)
        tokens_N = torch.from_numpy(tokens).to(latent_NxD.device).flatten()
        return self.network.proposals(latent_NxD, tokens_N, heads, self.cache.run).view(heads, *tokens.shape, -1)

    def keep_samples(self, rows: Integers) -> None:
        """Drops all samples except these [B']."""
        self.cache.keep_samples(rows)
