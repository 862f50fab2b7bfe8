"""The training batches of a run, which depend on its spec and the step alone, and digests of what its seed decides.

Equal digests of two seeds show that their runs are not independent. They follow from the spec alone, so a run that was
killed and resumed has the digests of an undisturbed one.
"""

from collections.abc import Iterator

import numpy as np
import torch

from generators.task import Task
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.checkpoints import content_digest
from lab.run.spec import RunSpec

STEPS_DRAWN_AT_ONCE = 32
"""Steps whose data is drawn in one call, which makes numpy's cost per call small beside that of the steps."""
DIGEST_DIGITS = 16
"""Hexadecimal digits kept of each digest."""


def training_batches(task: Task, spec: RunSpec, device: torch.device, start: int) -> Iterator[TensorBatch]:
    """Yields the training batches from step `start` on. Step s reads samples s * B to (s + 1) * B - 1."""
    size, steps = spec.training.batch_size, spec.training.steps
    uneven = spec.training.compile and batches_are_uneven(task, spec)
    for first in range(start, steps, STEPS_DRAWN_AT_ONCE):
        count = min(STEPS_DRAWN_AT_ONCE, steps - first)
        drawn = task.batch("train", np.arange(first * size, (first + count) * size), spec.seed)
        for step in range(first, first + count):
            indices = np.arange(step * size, (step + 1) * size)
            batch = drawn.take(indices - first * size).trimmed()
            yield TensorBatch.from_batch(batch, device, indices, step, uneven)


def batches_are_uneven(task: Task, spec: RunSpec) -> bool:
    """Returns whether the first batches of a run differ in the sizes of what is computed."""
    size, count = spec.training.batch_size, min(STEPS_DRAWN_AT_ONCE, spec.training.steps)
    drawn = task.batch("train", np.arange(count * size), spec.seed)
    batches = (drawn.take(np.arange(step * size, (step + 1) * size)).trimmed() for step in range(count))
    cpu, indices = torch.device("cpu"), np.arange(size)
    return len({TensorBatch.from_batch(batch, cpu, indices).sizes() for batch in batches}) > 1


def seed_digests(network: Objective, first_batch: TensorBatch) -> dict[str, str]:
    """Returns the digests of the weights of a network and of the tokens of a batch.

    The weights are those drawn from the seed, before a checkpoint or a start is loaded.

    Args:
        network: the network as `assemble` returns it.
        first_batch: the training batch of step 0.
    """
    contents = {"initial_weights": network.state_dict(), "first_batch": {"tokens": first_batch.tokens_BxT}}
    return {name: content_digest(tensors, {})[:DIGEST_DIGITS] for name, tensors in contents.items()}
