"""The contract of an objective: a network that knows what it is trained to predict."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig
from lab.model.layers import Block
from lab.model.network import Trunk, count_parameters

RunLayers = Callable[[Sequence[Block], Tensor], Tensor]
"""Transformer layers side by side [H], what they all read [N, D] -> what each makes of it [H, N, D]."""


class ObjectiveConfig(Settings):
    """Settings of an objective."""

    kind: str

    def unused(self, steps: int) -> str:
        """What of these settings comes to nothing in a run of so many optimiser steps, in a sentence; empty if none."""
        return ""


@dataclass(frozen=True)
class DataShape:
    """What a network must know of its task: V tokens in the vocabulary, samples of T tokens."""

    vocabulary: int
    length: int


@dataclass(frozen=True)
class NextTokenPath:
    """What stands on the trunk on the way to the next token: layers, the norm and the unembedding."""

    layers: Sequence[nn.Module]
    norm: nn.RMSNorm
    unembedding: nn.Linear


class Objective(nn.Module, ABC):
    """Trunk, heads and unembedding.

    A subclass builds its heads after `super().__init__`, which builds the trunk; weights are drawn later, for all
    modules alike. Term names are `loss_1` for the next token and `loss_i` for the token i ahead.
    """

    config: ObjectiveConfig
    lags: tuple[int, ...] = (1,)
    """The tokens ahead that it can propose, in the order of heads; 1 is the next token and always there."""

    def __init__(self, config: ObjectiveConfig, model: ModelConfig, data: DataShape, trunk_layers: int) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(model.shape, trunk_layers, data.vocabulary, data.length, model.rotary_base)

    def latent(self, batch: TensorBatch) -> Tensor:
        """z [B, S, D] that the terms are made from; its first P positions are those of the batch's inputs."""
        z_BxSxD: Tensor = self.trunk(batch.inputs_BxP)
        return z_BxSxD

    @property
    def drafts(self) -> int:
        """The most tokens that `proposals` gives."""
        return 1

    @abstractmethod
    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        """The losses, one at a time: a term's graph may be freed before the next is built, so a hidden state that
        more than one of them reads goes through `graph.share`, and targets are read by `graph.cross_entropy`."""

    @abstractmethod
    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        """Normed hidden states [B, P, D] from which the token `lag` ahead of each of the P positions is read.

        Args:
            latent_BxPxD: the trunk's, or what `latent` gave; only the first P positions are read.
            tokens_BxQ: what is known, Q >= P + lag - 1: heads that read tokens between t and t + lag find them here.
                P = Q - lag + 1 positions are answered.
        """

    def proposals(self, latent_NxD: Tensor, heads: int, run: RunLayers) -> Tensor:
        """Normed hidden states [heads, N, D] from which the tokens 1, 2, .. `heads` ahead are read, none of them known.

        Args:
            latent_NxD: the trunk's, of N tokens.
            run: applies transformer layers, keeping their keys and values; each layer goes through it once.

        Raises:
            UserError: this objective cannot draft so many.
        """
        if heads > 1:
            raise UserError(f"--draft {heads}: objective {self.config.kind} proposes one token at a time; give 1")
        path = self.next_token_path()
        x_NxD = latent_NxD
        for layer in path.layers:
            x_NxD = run([layer], x_NxD)[0] if isinstance(layer, Block) else layer(x_NxD)
        hidden_NxD: Tensor = path.norm(x_NxD)
        return hidden_NxD[None]

    @abstractmethod
    def unembed(self, hidden_NxD: Tensor, lag: int) -> Tensor:
        """Logits [N, V] of the token `lag` ahead."""

    @abstractmethod
    def next_token_path(self) -> NextTokenPath:
        """The modules between the trunk and the next token's logits."""

    @abstractmethod
    def head_parts(self) -> dict[str, nn.Module]:
        """The modules behind the trunk that hold parameters, by the name they are counted under."""

    def parameters_by_part(self) -> dict[str, int]:
        """Parameters of each part, in the order of the forward pass."""
        parts = {"embedding": self.trunk.embed_tokens, "trunk": self.trunk.layers, **self.head_parts()}
        return {name: count_parameters(part) for name, part in parts.items()}
