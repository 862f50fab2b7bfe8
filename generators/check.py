"""Whether a task's samples can be trusted: the oracle, the vocabulary, the splits, and how fast they are drawn."""

import time
from collections.abc import Iterator

import numpy as np

from generators.foundation.settings import Tree
from generators.task import Batch, Task

AT_ONCE = 500
SHOWN_MAXIMUM = 10
REPEATED_SHARE_MAXIMUM = 0.1


def check(task: Task, count: int) -> Tree:
    """Check `count` training samples and every held-out split.

    Returns:
        samples checked, those the oracle does not confirm (with the first few as text), samples that two groups of
        splits share, samples of a held-out split that come twice in it, tokens outside the vocabulary, the share of
        target tokens that are scored (held-out splits, where a task scores), and speed.
    """
    unconfirmed: list[str] = []
    outside = checked = tokens = 0
    seen: dict[str, set[bytes]] = {}
    scored = targets = repeated = held_out = 0
    drawn_seconds = 0.0
    for split in task.splits:
        before = time.perf_counter()
        for batch in drawn(task, split, count):
            drawn_seconds += time.perf_counter() - before
            wrong = np.flatnonzero(~task.confirmed(batch))
            unconfirmed += [f"{split}: {task.text(batch.tokens[row])}" for row in wrong]
            outside += int(((batch.tokens < 0) | (batch.tokens >= len(task.vocabulary))).sum())
            checked += len(batch)
            tokens += batch.tokens.size
            if split != "train":
                held_out += len(batch)
                scored += int(batch.scored.sum())
                targets += int(batch.loss.sum())
            group = seen.setdefault(split.partition("/")[0], set())
            rows = [row.tobytes() for row in batch.tokens]
            repeated += len(rows) - len(set(rows) - group) if split != "train" else 0
            group.update(rows)
            before = time.perf_counter()
    groups = list(seen.values())
    shared = sum(len(one & other) for place, one in enumerate(groups) for other in groups[:place])
    return {
        "task": task.config.kind,
        "samples": checked,
        "unconfirmed": len(unconfirmed),
        "examples": unconfirmed[:SHOWN_MAXIMUM],
        "shared_between_splits": shared,
        "held_out_samples": held_out,
        "repeated_within_held_out": repeated,
        "tokens_out_of_vocabulary": outside,
        "vocabulary": len(task.vocabulary),
        "tokens_a_sample": task.length,
        "scored_share": scored / max(1, targets),
        "samples_per_second": checked / drawn_seconds,
        "tokens_per_second": tokens / drawn_seconds,
    }


def drawn(task: Task, split: str, count: int) -> Iterator[Batch]:
    """A held-out split whole, or the first `count` training samples."""
    size = count if split == "train" else (task.splits[split] or count)
    for start in range(0, size, AT_ONCE):
        yield task.batch(split, np.arange(start, min(start + AT_ONCE, size)))


def sound(found: Tree) -> bool:
    """Whether a check found nothing wrong.

    Some repeats within the held-out splits are allowed; where they are many, so few samples exist that keeping the
    splits apart bends what each of them shows.
    """
    if found["repeated_within_held_out"] > REPEATED_SHARE_MAXIMUM * found["held_out_samples"]:
        return False
    return not (found["unconfirmed"] or found["shared_between_splits"] or found["tokens_out_of_vocabulary"])
