"""The contract of a cache: the memory of a trunk for the tokens it has read, so that decoding reads each once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from generators.foundation.randomness import Integers


class TrunkCache(ABC):
    """The memory of a trunk and the heads on it for B samples, each of which is continued from its own position.

    A sample may be read again from an earlier position: whatever it kept from there on is then forgotten, as after
    drafts that were rejected. A draft can reach past `Trunk.length`; tokens there are thrown away, so any output will
    do.
    """

    @abstractmethod
    def read(self, tokens_BxT: Integers, start_B: Integers) -> Tensor:
        """Computes the latents [N = B T, D] of new tokens, which begin at position `start_B` of each sample."""

    @abstractmethod
    def run(self, layers: Sequence[nn.Module], x_NxD: Tensor) -> Tensor:
        """Applies H head layers of the trunk's kind to one input, at the positions of the latest `read` [H, N, D]."""

    @abstractmethod
    def keep_samples(self, rows: Integers) -> None:
        """Drops all samples except these [B']."""
