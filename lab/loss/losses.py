"""Three ways from the terms of an objective to its gradient: joint, sequential and chunked give the same one.

L_n = sum over heads of the mean cross-entropy of head i (paper, section 2). Every term is reported under its own
name, so that runs with different n can be compared on head 1.
"""

from functools import partial

from torch import Tensor

from lab.loss.compiler import Compiler
from lab.loss.graph import CutGraph, FusedGraph, Graph
from lab.loss.term import TermSource, weight_of
from lab.model.batches import TensorBatch


def joint(objective: TermSource, batch: TensorBatch, compiler: Compiler | None = None) -> dict[str, Tensor]:
    """Adds the gradient of a batch by one backward pass through the weighted sum of all terms.

    Returns:
        The value of each term by name, detached; the same for `sequential` and `chunked`.
    """
    if compiler is not None and compiler.whole:
        total, values = compiler(total_and_values, objective, batch)
    else:
        total, values = total_and_values(objective, batch, compiler is not None)
    total.backward()  # type: ignore[no-untyped-call]
    return {name: value.detach() for name, value in values.items()}


def total_and_values(
    objective: TermSource, batch: TensorBatch, readouts_compiled: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """Computes the weighted sum of all terms, and the value of each by name."""
    terms = list(objective.terms(objective.latent_for_terms(batch), batch, Graph(readouts_compiled)))
    total = weight_of(terms[0], objective, batch) * terms[0].value
    for term in terms[1:]:
        total = total + weight_of(term, objective, batch) * term.value
    return total, {term.name: term.value for term in terms}


def sequential(objective: TermSource, batch: TensorBatch, compiler: Compiler | None = None) -> dict[str, Tensor]:
    """Adds the gradient of a batch head by head, as in the paper: only one head's logits are alive at a time."""
    return _term_by_term(objective, batch, CutGraph(compiler is not None), compiler)


def chunked(objective: TermSource, batch: TensorBatch, compiler: Compiler | None = None) -> dict[str, Tensor]:
    """Adds the gradient head by head with the unembedding fused into the cross-entropy: only few logits are alive at a
    time.
    """
    return _term_by_term(objective, batch, FusedGraph(compiler is not None), compiler)


def _term_by_term(
    objective: TermSource, batch: TensorBatch, graph: CutGraph, compiler: Compiler | None
) -> dict[str, Tensor]:
    """Runs the backward pass of each term as soon as it is built, and that of the trunk last."""
    values = {}
    compute = partial(compiler, latent) if compiler is not None and compiler.whole else latent
    latent_BxSxD = compute(objective, batch)
    for term in objective.terms(graph.share(latent_BxSxD), batch, graph):
        (weight_of(term, objective, batch) * term.value).backward()  # type: ignore[no-untyped-call]
        values[term.name] = term.value.detach()
        del term  # frees its graph before the next term is built
    graph.finish()
    return values


def latent(objective: TermSource, batch: TensorBatch) -> Tensor:
    """Computes the latent of an objective."""
    return objective.latent_for_terms(batch)


LOSSES = {"joint": joint, "sequential": sequential, "chunked": chunked}


def accumulate_gradient(
    objective: TermSource,
    batch: TensorBatch,
    loss: str,
    micro_batches: int = 1,
    compiler: Compiler | None = None,
) -> dict[str, Tensor]:
    """Adds the gradient of a batch to that of the parameters, one micro-batch after the other.

    Args:
        loss: joint, sequential or chunked.
        micro_batches: the number of pieces that the batch is split into.
        compiler: compiles the loss, or parts of it.

    Returns:
        The value of each term by name, in nats, detached.

    Raises:
        NotTraceable: `compiler.whole` is true, and the objective cannot be compiled as one piece.
    """
    values: dict[str, Tensor] = {}
    for piece in batch.split(micro_batches):
        for name, value in LOSSES[loss](objective, piece, compiler).items():
            values[name] = values[name] + value if name in values else value
    return values
