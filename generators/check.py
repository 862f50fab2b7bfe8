"""Checks of a task's samples against its oracle, its vocabulary and the separation of its splits, with their speed.

The result also has the scores that a model's are read against: those of shortcuts, ceilings and optimal losses.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from generators.protocols import KnownLosses
from generators.task import Batch, Mask, Task

AT_ONCE = 500
EXAMPLES_MAXIMUM = 10
REPEATED_SHARE_MAXIMUM = 0.1
HEADS = 4
"""Heads whose optimal losses are given, as many as the paper's largest models have."""


@dataclass(frozen=True, kw_only=True)
class TaskCheck:
    """Measurements of a check of a task.

    Attributes:
        task: the task's kind.
        samples: samples checked.
        unconfirmed: samples whose answers the oracle does not confirm.
        examples: the first of those, as text.
        shared_between_splits: samples that two groups of splits have in common.
        held_out_samples: samples of the held-out splits.
        repeated_within_held_out: held-out samples that occur earlier in the same group of splits.
        tokens_out_of_vocabulary: tokens outside the vocabulary.
        vocabulary: tokens of the vocabulary.
        tokens_a_sample: tokens of a sample, padding included.
        scored_share: scored tokens of the held-out splits, as a share of those in the loss mask.
        shortcuts: accuracy of each shortcut on the first test split; none if it scores no token, or some are foreign.
        ceilings: as the task declares them.
        optimal_losses: the loss of the first heads of a perfect model in nats, by term, where the task knows it.
        samples_per_second, tokens_per_second: speed of generating samples.
    """

    task: str
    samples: int
    unconfirmed: int
    examples: list[str]
    shared_between_splits: int
    held_out_samples: int
    repeated_within_held_out: int
    tokens_out_of_vocabulary: int
    vocabulary: int
    tokens_a_sample: int
    scored_share: float
    shortcuts: dict[str, float]
    ceilings: dict[str, dict[str, float]]
    optimal_losses: dict[str, float]
    samples_per_second: float
    tokens_per_second: float

    @property
    def passed(self) -> bool:
        """True if the samples can be trusted.

        Up to a tenth of the held-out samples may be repeats. More means that so few distinct samples exist that keeping
        the splits apart distorts each of them.
        """
        if self.repeated_within_held_out > REPEATED_SHARE_MAXIMUM * self.held_out_samples:
            return False
        return not (self.unconfirmed or self.shared_between_splits or self.tokens_out_of_vocabulary)


def check_task(task: Task, count: int) -> TaskCheck:
    """Checks the first `count` training samples and every held-out split (`count` samples of an endless one)."""
    unconfirmed: list[str] = []
    outside = samples = tokens = 0
    seen: dict[str, set[bytes]] = {}
    scored = targets = repeated = held_out = 0
    drawing_seconds = 0.0
    for split in task.splits:
        before = time.perf_counter()
        for batch in batches(task, split, count):
            drawing_seconds += time.perf_counter() - before
            refuted = np.flatnonzero(~task.confirmed(batch))
            foreign = (batch.tokens < 0) | (batch.tokens >= len(task.vocabulary))
            for row in refuted:  # a foreign token has no text
                text = str(batch.tokens[row].tolist()) if foreign[row].any() else task.text(batch.tokens[row])
                unconfirmed.append(f"{split}: {text}")
            outside += int(foreign.sum())
            samples += len(batch)
            tokens += batch.tokens.size
            group = seen.setdefault(split.partition("/")[0], set())
            rows = [row.tobytes() for row in batch.tokens]
            if split != "train":
                held_out += len(batch)
                scored += int(batch.scored.sum())
                targets += int(batch.loss.sum())
                repeated += len(rows) - len(set(rows) - group)
            group.update(rows)
            before = time.perf_counter()
    return TaskCheck(
        task=task.config.kind,
        samples=samples,
        unconfirmed=len(unconfirmed),
        examples=unconfirmed[:EXAMPLES_MAXIMUM],
        shared_between_splits=sum(len(first & second) for first, second in combinations(seen.values(), 2)),
        held_out_samples=held_out,
        repeated_within_held_out=repeated,
        tokens_out_of_vocabulary=outside,
        vocabulary=len(task.vocabulary),
        tokens_a_sample=task.length,
        scored_share=scored / max(1, targets),
        shortcuts={} if outside else shortcut_accuracies(task, count),
        ceilings={score: dict(best) for score, best in task.ceilings.items()},
        optimal_losses=optimal_losses(task),
        samples_per_second=samples / drawing_seconds,
        tokens_per_second=tokens / drawing_seconds,
    )


def batches(task: Task, split: str, count: int) -> Iterator[Batch]:
    """Yields all batches of a held-out split, or the first `count` samples of a training or endless split."""
    size = count if split == "train" else (task.splits[split] or count)
    for start in range(0, size, AT_ONCE):
        yield task.batch(split, np.arange(start, min(start + AT_ONCE, size)))


def shortcut_accuracies(task: Task, count: int) -> dict[str, float]:
    """Returns the accuracy of each shortcut on the scored tokens of the first test split."""
    hits: dict[str, list[Mask]] = {}
    for batch in batches(task, task.test_split, count):
        for name, right in task.shortcut_scores(batch).items():
            hits.setdefault(name, []).append(right)
    joined = {name: np.concatenate(parts) for name, parts in hits.items()}
    return {name: float(right.mean()) for name, right in joined.items() if len(right)}


def optimal_losses(task: Task) -> dict[str, float]:
    """Returns the loss of each of the first heads of a perfect model, in nats; nothing where the task does not know."""
    if not isinstance(task, KnownLosses):
        return {}
    lags = range(1, min(HEADS, task.length - 1) + 1)
    return {f"loss_{lag}": float(nats) for lag, nats in zip(lags, task.optimal_losses(lags).nats, strict=True)}
