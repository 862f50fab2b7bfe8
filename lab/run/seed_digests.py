"""Digests of what the seed of a run decides: equal ones in two seeds show that their runs are not independent.

The weights are those drawn from the seed, before a checkpoint or a start is loaded, and the batch is that of the first
step. Both follow from the spec alone, so a run that was killed and resumed has the digests of an undisturbed one.
"""

from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.checkpoints import content_digest

DIGITS = 16
"""Hexadecimal digits kept of each digest."""


def seed_digests(network: Objective, first_batch: TensorBatch) -> dict[str, str]:
    """Returns the digests of the weights of a network and of the tokens of a batch.

    Args:
        network: the network as `assemble` returns it.
        first_batch: the training batch of step 0.
    """
    contents = {"initial_weights": network.state_dict(), "first_batch": {"tokens": first_batch.tokens_BxT}}
    return {name: content_digest(tensors, {})[:DIGITS] for name, tensors in contents.items()}
