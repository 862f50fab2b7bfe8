"""Prompts cut from samples, and the position classes of the tokens that continue them."""

from dataclasses import replace

import numpy as np

from generators.foundation.randomness import Integers
from generators.task import Batch, Mask, Task


def prompts_of(batch: Batch) -> tuple[Integers, Integers, int]:
    """Cuts samples off at their first scored token, or in the middle if they are scored from the start.

    Returns:
        prompts [B, P], left-aligned; their lengths [B]; and how many tokens fit after the longest of them.
    """
    length = batch.tokens.shape[1]
    first = batch.scored.argmax(axis=1)
    lengths = np.where(first > 1, first, length // 2)
    longest = int(lengths.max())
    return batch.tokens[:, :longest], lengths, length - longest


def continuation_classes(task: Task, batch: Batch, tokens: Integers) -> dict[str, Mask]:
    """Returns the position classes of decoded tokens [B, N] that continue the prompts of a batch.

    Returns:
        Class -> a mask of the decoded places [B, N] that belong to it.
    """
    _, lengths, _ = prompts_of(batch)
    rows, places = np.arange(len(batch))[:, None], lengths[:, None] + np.arange(tokens.shape[1])
    sequences = batch.tokens.copy()
    sequences[rows, places] = tokens
    classes = task.position_classes(replace(batch, tokens=sequences))
    return {name: mask[rows, places] for name, mask in classes.items()}
