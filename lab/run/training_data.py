"""The training batches of a run, which depend on its spec and the step alone, and digests of what its seed decides.

Equal digests of two seeds show that their runs are not independent. They follow from the spec alone, so a run that was
killed and resumed has the digests of an undisturbed one.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch

from generators.foundation.randomness import Integers
from generators.task import Batch, Task
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.checkpoints import content_digest
from lab.run.spec import RunSpec

STEPS_DRAWN_AT_ONCE = 32
"""Steps whose data is drawn in one call, which makes numpy's cost per call small beside that of the steps."""
DIGEST_DIGITS = 16
"""Hexadecimal digits kept of each digest."""


def drawn_batches(task: Task, spec: RunSpec, start: int) -> Iterator[tuple[int, Integers, Batch]]:
    """Yields each step from `start` on, the indices of its samples, s * B to (s + 1) * B - 1 at step s, and these."""
    size, steps = spec.training.batch_size, spec.training.steps
    for first in range(start, steps, STEPS_DRAWN_AT_ONCE):
        count = min(STEPS_DRAWN_AT_ONCE, steps - first)
        drawn = task.batch("train", np.arange(first * size, (first + count) * size), spec.seed)
        for step in range(first, first + count):
            indices = np.arange(step * size, (step + 1) * size)
            yield step, indices, drawn.take(indices - first * size).trimmed()


def training_batches(task: Task, spec: RunSpec, device: torch.device, start: int) -> Iterator[TensorBatch]:
    """Yields the training batches from step `start` on. Step s reads samples s * B to (s + 1) * B - 1."""
    uneven = spec.training.compile and batches_are_uneven(task, spec)
    for step, indices, batch in drawn_batches(task, spec, start):
        yield TensorBatch.from_batch(batch, device, indices, step, uneven)


def batches_are_uneven(task: Task, spec: RunSpec) -> bool:
    """Returns whether the first batches of a run differ in the sizes of what is computed."""
    cpu, first = torch.device("cpu"), islice(drawn_batches(task, spec, 0), STEPS_DRAWN_AT_ONCE)
    return len({TensorBatch.from_batch(batch, cpu, indices).sizes() for _, indices, batch in first}) > 1


def seed_digests(network: Objective, first_batch: TensorBatch) -> dict[str, str]:
    """Returns the digests of the weights of a network and of the tokens of a batch.

    The weights are those drawn from the seed, before a checkpoint or a start is loaded.

    Args:
        network: the network as `assemble` returns it.
        first_batch: the training batch of step 0.
    """
    contents = {"initial_weights": network.state_dict(), "first_batch": {"tokens": first_batch.tokens_BxT}}
    return {name: content_digest(tensors, {})[:DIGEST_DIGITS] for name, tensors in contents.items()}
