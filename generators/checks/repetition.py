"""Checks that a sample depends neither on when it is drawn, nor on the rest of its batch, nor on the task object."""

import numpy as np

from generators.checks.draws import AT_ONCE
from generators.foundation.randomness import Integers, sample_keys
from generators.task import Batch, Task

SAMPLES = 40


def repetition_problem(task: Task, split: str, kept: Batch) -> str:
    """Returns how samples differ from those that were drawn first, or "".

    Args:
        kept: the first samples of the split, drawn `AT_ONCE` at a time.
    """
    count = min(AT_ONCE, len(kept))
    first = kept.take(np.arange(count))
    if difference := difference_of(first, task.batch(split, np.arange(count)), np.arange(count)):
        return f"{difference} when the same batch is drawn again; a batch should depend on its arguments alone"
    order = np.argsort(sample_keys("order of repeated draws", np.arange(min(SAMPLES, count))))
    for rows in (order[:1], order[1:8], order[8:]):
        if difference := difference_of(first, task.batch(split, rows), rows) if len(rows) else "":
            return f"{difference} in a batch of {len(rows)}; a sample should not depend on the others in its batch"
    try:
        again = type(task)(task.config).batch(split, order)
    except Exception:  # a task that is built from more than its settings is in no table
        return ""
    if difference := difference_of(first, again, order):
        return f"{difference} when the task is built again; a task should depend on its settings alone"
    return ""


def difference_of(first: Batch, second: Batch, rows: Integers) -> str:
    """Describes the first difference between samples `rows` of `first` and all of `second`; "" if they are equal."""
    if len(second) != len(rows):
        return f"{len(rows)} samples become {len(second)}"
    expected = first.take(rows)
    pairs = {name: (getattr(expected, name), getattr(second, name)) for name in ("tokens", "loss", "scored")}
    if expected.labels.keys() != second.labels.keys():
        return f"the labels {', '.join(expected.labels)} become {', '.join(second.labels)}"
    pairs |= {f"label {name!r}": (values, second.labels[name]) for name, values in expected.labels.items()}
    for name, (before, after) in pairs.items():
        if before.shape != after.shape:
            return f"the shape of {name} changes"
        differs = (before != after).any(axis=1)
        if differs.any():
            return f"sample {rows[differs.argmax()]} differs ({name})"
    return ""
