"""From an objective's terms to a gradient.

L_n = sum over heads of the mean cross-entropy of head i (paper, section 2). Every term is kept under its own
name, so that runs with different n can be compared on head 1.
"""

from torch import Tensor

from lab.batches import TensorBatch
from lab.objectives.objective import Objective


def joint(objective: Objective, latent_BxPxD: Tensor, batch: TensorBatch) -> dict[str, Tensor]:
    """One backward pass through the weighted sum of all terms. Returns each term's value by name, detached."""
    terms = list(objective.terms(latent_BxPxD, batch))
    total = terms[0].weight * terms[0].value
    for term in terms[1:]:
        total = total + term.weight * term.value
    total.backward()  # type: ignore[no-untyped-call]
    return {term.name: term.value.detach() for term in terms}
