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
        weight: factor of the value in the loss that is minimised (see `weight_of`).
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

    def further_weight(self, batch: TensorBatch) -> Tensor | None:
        """Returns the factor on the weights of all terms but `loss_1`; None if it is 1."""

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        """Yields the terms one at a time; the graph of a term may be freed before the next term is built."""


def weight_of(term: Term, objective: TermSource, batch: TensorBatch) -> float | Tensor:
    """Returns the weight of a term in the loss of a batch, at the step of that batch."""
    factor = None if term.name == "loss_1" else objective.further_weight(batch)
    return term.weight if factor is None else factor * term.weight
