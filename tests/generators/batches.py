"""Comparisons of batches that the tests of every task share."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from generators.task import Batch, Task


def assert_batches_equal(first: Batch, second: Batch) -> None:
    """Asserts that two batches agree in every array and label."""
    for name in ("tokens", "loss", "scored"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
    assert first.labels.keys() == second.labels.keys()
    for name, values in first.labels.items():
        assert np.array_equal(values, second.labels[name]), name


def assert_samples_independent_of_batch(task: Task, split: str, seed: int = 3, cut: int = 13, count: int = 20) -> Batch:
    """Asserts that the first samples of a split are the same one at a time, in parts and in another order.

    Args:
        cut: where the shuffled samples are divided into two batches.

    Returns:
        The samples in order.
    """
    whole = task.batch(split, np.arange(count), seed)
    order = np.random.default_rng(cut).permutation(count)
    for rows in (order[:cut], order[cut:], order[-1:]):
        assert_batches_equal(whole.take(rows), task.batch(split, rows, seed))
    return whole


def assert_splits_disjoint(task: Task, counts: int | Mapping[str, int]) -> dict[str, set[bytes]]:
    """Asserts that no two groups of splits have a sample in common.

    Args:
        counts: how many samples of every split, or of each split by name, are drawn.

    Returns:
        The different samples of each group.
    """
    groups: dict[str, set[bytes]] = {}
    for split in task.splits:
        batch = task.batch(split, np.arange(counts if isinstance(counts, int) else counts[split]))
        groups.setdefault(split.partition("/")[0], set()).update(row.tobytes() for row in batch.tokens)
    for first, second in combinations(groups, 2):
        assert not groups[first] & groups[second], (first, second)
    return groups
