"""From an objective's terms to a gradient, in three ways that give the same one.

L_n = sum over heads of the mean cross-entropy of head i (paper, section 2). Every term is kept under its own
name, so that runs with different n can be compared on head 1.
"""

from torch import Tensor

from lab.loss.graph import CutGraph, FusedGraph, Graph
from lab.loss.term import TermSource
from lab.model.batches import TensorBatch


def joint(objective: TermSource, batch: TensorBatch, compiled: bool = False) -> dict[str, Tensor]:
    """One backward pass through the weighted sum of all terms. Returns each term's value by name, detached."""
    terms = list(objective.terms(objective.latent(batch), batch, Graph(compiled)))
    total = terms[0].weight * terms[0].value
    for term in terms[1:]:
        total = total + term.weight * term.value
    total.backward()  # type: ignore[no-untyped-call]
    return {term.name: term.value.detach() for term in terms}


def term_by_term(objective: TermSource, batch: TensorBatch, graph: CutGraph) -> dict[str, Tensor]:
    """A backward pass for each term as soon as it is there, and the trunk's last, with what they left at the latent."""
    values = {}
    for term in objective.terms(graph.share(objective.latent(batch)), batch, graph):
        (term.weight * term.value).backward()  # type: ignore[no-untyped-call]
        values[term.name] = term.value.detach()
        del term  # its graph, before the next is built
    graph.finish()
    return values


def sequential(objective: TermSource, batch: TensorBatch, compiled: bool = False) -> dict[str, Tensor]:
    """Forward and backward head by head, as in the paper: logits of one head at a time."""
    return term_by_term(objective, batch, CutGraph(compiled))


def chunked(objective: TermSource, batch: TensorBatch, compiled: bool = False) -> dict[str, Tensor]:
    """Head by head, with the unembedding fused into the cross-entropy: logits of a few targets at a time."""
    return term_by_term(objective, batch, FusedGraph(compiled))


LOSSES = {"joint": joint, "sequential": sequential, "chunked": chunked}


def accumulate_gradient(
    objective: TermSource, batch: TensorBatch, loss: str, micro_batches: int = 1, compiled: bool = False
) -> dict[str, Tensor]:
    """Add the gradient of a batch to the parameters', micro-batch by micro-batch. Returns each term's value by name."""
    values: dict[str, Tensor] = {}
    for piece in batch.split(micro_batches):
        for name, value in LOSSES[loss](objective, piece, compiled).items():
            values[name] = values[name] + value if name in values else value
    return values
