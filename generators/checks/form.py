"""Checks of the form of a batch: shapes, types, and whether its masks mark targets."""

import numpy as np

from generators.task import Batch, Task

TYPES = {"tokens": np.dtype(np.int64), "loss": np.dtype(np.bool_), "scored": np.dtype(np.bool_)}


def form_problem(task: Task, batch: Batch, count: int) -> str:
    """Returns what is wrong with the arrays of a batch of `count` samples, or ""."""
    expected = (count, task.length)
    arrays = {"tokens": batch.tokens, "loss": batch.loss, "scored": batch.scored}
    arrays |= {f"labels[{name!r}]": values for name, values in batch.labels.items()}
    for name, values in arrays.items():
        if not isinstance(values, np.ndarray):
            return f"{name} is of type {type(values).__name__}; should be a numpy array"
        if values.shape != expected:
            return (
                f"{name} has the shape {shape(values)}; should be {expected[0]} x {expected[1]} "
                "(samples requested x length of the task)"
            )
        kind = TYPES.get(name)
        if kind is not None and values.dtype != kind:
            return f"{name} has the type {values.dtype}; should be {kind}"
    return ""


def shape(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    """Formats the shape of an array."""
    return " x ".join(map(str, values.shape)) or "a single number"


def mask_problem(batch: Batch, first: int) -> str:
    """Returns what is wrong with the masks of a batch whose form is right, or "".

    Args:
        first: the index of the first sample of the batch in its split.
    """
    if len(rows := np.flatnonzero(batch.scored[:, 0])):
        return (
            f"sample {first + rows[0]}, position 0: the token is scored, but no token precedes it; "
            "a mask describes the target at its own position"
        )
    rows, places = np.nonzero(batch.scored & ~batch.loss)
    if len(rows):
        return (
            f"sample {first + rows[0]}, position {places[0]}: the token is scored, but the loss mask leaves it out; "
            "a mask describes the target at its own position"
        )
    varies = len(np.unique(batch.tokens[:, -1])) > 1  # otherwise the last column can be padding
    if varies and batch.loss[:, 0].all() and not batch.loss[:, -1].any():
        return (
            "the loss mask has position 0 of every sample and the last position of none; "
            "a mask describes the target at its own position, and not the position that predicts it"
        )
    return ""


def vocabulary_problem(task: Task, batch: Batch, first: int) -> str:
    """Returns where the batch has the first token outside the vocabulary, or ""."""
    rows, places = np.nonzero((batch.tokens < 0) | (batch.tokens >= len(task.vocabulary)))
    if not len(rows):
        return ""
    token = batch.tokens[rows[0], places[0]]
    return (
        f"sample {first + rows[0]}, position {places[0]}: token {token} is outside the vocabulary "
        f"of {len(task.vocabulary)} tokens"
    )
