"""Checks that training samples of different seeds are different draws, and that no training sample is held out."""

from collections.abc import Iterable

import numpy as np

from generators.checks.draws import DrawnSplit, digests
from generators.checks.exact import LEVEL, upper_tail
from generators.foundation.randomness import Integers
from generators.task import Task

SAMPLES = 2000
OFFSETS = (*(2**power for power in range(11, 25)), *(n * 10**power for power in range(3, 8) for n in (1, 2, 3, 5)))
"""Distances between the samples of two seeds at which a task could read the same stream."""
SAMPLES_PER_OFFSET = 32


def seed_problems(task: Task, splits: Iterable[DrawnSplit]) -> list[str]:
    """Returns sentences about training samples of seed 1 that seed 0 or a held-out split has too.

    Two seeds may share samples as often as one seed repeats its own: a task with few samples repeats itself.
    """
    if "train" not in task.splits:
        return []
    size = task.splits["train"]
    other = digests(task.batch("train", np.arange(min(SAMPLES, size or SAMPLES)), 1).tokens)
    problems = []
    for drawn in splits:
        shared = len(set(other).intersection(drawn.digests))
        if shared and drawn.group != "train":
            problems.append(f"{shared:,} training samples of seed 1 are also {drawn.split} samples")
    if "train" in task.seeds_only_order:
        return problems
    own = digests(task.batch("train", indices_of_seed_0(size), 0).tokens)
    known = set(own)
    shared, repeated = sum(digest in known for digest in other), len(own) - len(known)
    if upper_tail(shared, shared + 2 * repeated, len(other) / (len(other) + len(own))) <= LEVEL:
        problems.append(
            f"{shared:,} of {len(other):,} training samples of seed 1 are also training samples of seed 0, of which "
            f"only {repeated:,} in {len(own):,} are repeated; each seed should draw its own samples, "
            "unless `seeds_only_order` names the split"
        )
    return problems


def indices_of_seed_0(size: int | None) -> Integers:
    """Returns the indices of the first samples and, in an endless split, of some samples at each of `OFFSETS`.

    If a task numbers its samples consecutively across seeds, the next seed's samples are in the same stream, further
    on.
    """
    if size is not None:
        return np.arange(min(SAMPLES, size))
    far = np.add.outer(np.array(OFFSETS), np.arange(SAMPLES_PER_OFFSET))
    return np.unique(np.concatenate((np.arange(SAMPLES), far.reshape(-1))))
