"""The contract of an objective: what is predicted from the latent, and at what weight."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from generators.settings import Settings
from lab.batches import TensorBatch
from lab.model.config import ModelConfig


@dataclass(frozen=True)
class Term:
    """One named loss, in nats, and its weight in the sum that is descended."""

    name: str
    value: Tensor
    weight: float = 1.0


class ObjectiveConfig(Settings):
    """Settings of an objective."""

    kind: str


class Objective(nn.Module, ABC):
    """Heads and unembedding. Term names are `loss_1` for the next token, and `loss_i` for token i ahead."""

    config: ObjectiveConfig
    n: int
    """Tokens predicted at once."""
    trunk_layers: int
    """Layers left for the trunk."""

    def __init__(self, config: ObjectiveConfig, model: ModelConfig, vocabulary_size: int, length: int) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def terms(self, latent_BxPxD: Tensor, batch: TensorBatch) -> Iterator[Term]:
        """The losses, one at a time: a term's graph may be freed before the next is built."""

    @abstractmethod
    def draft(self, latent_BxPxD: Tensor, heads: int) -> list[Tensor]:
        """Hidden states [B, P, D] from which tokens t+1 .. t+heads are read, the next token first."""

    @abstractmethod
    def unembed(self, hidden_NxD: Tensor, lag: int) -> Tensor:
        """Logits [N, V] of the token `lag` ahead."""

    @abstractmethod
    def parts(self) -> dict[str, nn.Module]:
        """The modules that hold the parameters, by the name they are counted under."""
