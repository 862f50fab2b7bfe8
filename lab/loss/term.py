"""A named loss term, and the protocol of a network that yields terms."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from lab.loss.graph import Graph
from lab.model.batches import TensorBatch


@dataclass(frozen=True)
class Term:
    """One named loss of an objective.

    Attributes:
        name: the name under which the value is logged.
        value: mean over `count` targets, in nats.
        count: targets of the whole batch, even if `value` is the share of a micro-batch.
        weight: factor of the value in the loss that is minimised.
    """

    name: str
    value: Tensor
    count: int
    weight: float = 1.0


class TermSource(Protocol):
    """The part of an objective that the losses need."""

    def prepare(self, batch: TensorBatch) -> None:
        """Computes what `latent` and `terms` read from the numpy arrays of a batch, before compiled code runs."""

    def latent_for_terms(self, batch: TensorBatch) -> Tensor:
        """Computes the latent z [B, S, D] at the positions at which the terms read it."""

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        """Yields the terms one at a time; the graph of a term may be freed before the next term is built."""
