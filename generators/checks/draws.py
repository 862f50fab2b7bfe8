"""Draws the splits of a task for its checks: every sample is checked by itself, and the first ones are kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from generators.checks.answers import confirm, place_of, refutation
from generators.checks.form import form_problem, mask_problem, vocabulary_problem
from generators.foundation.errors import UserError
from generators.foundation.outside import error_description
from generators.foundation.randomness import Integers
from generators.task import Batch, Task

AT_ONCE = 500
TOKENS_KEPT = 4_000_000
"""Tokens of a split that are kept for the checks that compare samples."""


@dataclass
class DrawnSplit:
    """The samples of a split, and what is wrong with them one by one.

    Attributes:
        split: the name of the split.
        problems: sentences that leave out their subject, the split.
        kept: the first samples.
        digests: a digest of the tokens of every sample, in order.
        sound: False if arrays are malformed or tokens are outside the vocabulary; further checks would only repeat
            that.
        unconfirmed: the text of every sample that the oracle does not confirm.
        foreign: the number of tokens outside the vocabulary.
        tokens, scored, targets: the numbers of tokens, of scored tokens and of tokens in the loss mask.
        seconds: time spent drawing.
    """

    split: str
    problems: list[str] = field(default_factory=list)
    kept: Batch | None = None
    digests: list[bytes] = field(default_factory=list)
    sound: bool = True
    unconfirmed: list[str] = field(default_factory=list)
    foreign: int = 0
    tokens: int = 0
    scored: int = 0
    targets: int = 0
    seconds: float = 0.0

    @property
    def group(self) -> str:
        """The group of the split: "test" for "test/m=1"."""
        return self.split.partition("/")[0]


def draw_split(task: Task, split: str, count: int) -> DrawnSplit:
    """Draws and checks the first `count` samples of a split.

    Raises:
        UserError: the task refuses to draw them.
    """
    drawn = DrawnSplit(split)
    kept: list[Batch] = []
    answers = AnswerLog()
    for start in range(0, count, AT_ONCE):
        indices = np.arange(start, min(start + AT_ONCE, count))
        before = time.perf_counter()
        try:
            batch = task.batch(split, indices)
        except UserError:
            raise
        except Exception as error:  # another package's task can raise anything
            drawn.problems.append(f"drawing samples {start} to {indices[-1]} raises {error_description(error)}")
            drawn.sound = False
            break
        drawn.seconds += time.perf_counter() - before
        if problem := form_problem(task, batch, len(indices)):
            drawn.problems.append(problem)
            drawn.sound = False
            break
        if problem := vocabulary_problem(task, batch, start):
            drawn.sound = False
            drawn.problems += [problem] if not drawn.foreign else []
        if (problem := mask_problem(batch, start)) and not drawn.problems:
            drawn.problems.append(problem)
        foreign = (batch.tokens < 0) | (batch.tokens >= len(task.vocabulary))
        drawn.foreign += int(foreign.sum())
        drawn.tokens += batch.tokens.size
        drawn.scored += int(batch.scored.sum())
        drawn.targets += int(batch.loss.sum())
        drawn.digests += digests(batch.tokens)
        answers.add(task, batch, start)
        for row in answers.refuted_rows:
            text = str(batch.tokens[row].tolist()) if foreign[row].any() else sample_text(task, batch.tokens[row])
            drawn.unconfirmed.append(f"{split}: {text}")
        if start * task.length < TOKENS_KEPT:
            kept.append(batch)
    if drawn.digests and not drawn.targets:
        drawn.problems.append("the loss mask leaves out every token")
    drawn.problems += answers.problems
    drawn.kept = joined(kept) if kept else None
    return drawn


class AnswerLog:
    """Counts the samples of a split that the oracle does not confirm, and describes the first of each kind.

    Attributes:
        refuted_rows: the rows of the latest batch that are not confirmed.
    """

    def __init__(self) -> None:
        self.refuted, self.raising = 0, 0
        self.first_refuted = self.first_raising = ""
        self.refuted_rows: Integers = np.empty(0, np.int64)

    def add(self, task: Task, batch: Batch, start: int) -> None:
        """Confirms the samples of a batch, the first of which has the index `start`."""
        result = confirm(task, batch)
        self.refuted_rows = np.flatnonzero(~result.confirmed)
        refuted = [row for row in self.refuted_rows.tolist() if row not in result.errors]
        if refuted and not self.refuted:
            self.first_refuted = f"sample {start + refuted[0]}{refutation(task, batch, refuted[0])}"
        if result.errors and not self.raising:
            row, error = next(iter(result.errors.items()))
            sound = np.flatnonzero(result.confirmed)
            place = place_of(task, batch, row, int(sound[0]) if len(sound) else None)
            self.first_raising = f"sample {start + row}{place}: the oracle raises {error_description(error)}"
        self.refuted += len(refuted)
        self.raising += len(result.errors)

    @property
    def problems(self) -> list[str]:
        """A sentence for each kind of sample that is not confirmed."""
        kinds = ((self.first_refuted, self.refuted), (self.first_raising, self.raising))
        return [f"{first}{f' ({count:,} such samples)' if count > 1 else ''}" for first, count in kinds if count]


def sample_text(task: Task, tokens: Integers) -> str:
    """Returns the text of a sample, or its numbers if the task cannot spell it."""
    try:
        return task.text(tokens)
    except Exception:  # another package's task can raise anything
        return str(tokens.tolist())


def digests(tokens: Integers) -> list[bytes]:
    """Returns a digest of each sample [B, T]."""
    return [blake2b(row.tobytes(), digest_size=16).digest() for row in tokens]


def joined(parts: Sequence[Batch]) -> Batch:
    """Joins batches of one split into one."""
    return Batch(
        tokens=np.concatenate([part.tokens for part in parts]),
        loss=np.concatenate([part.loss for part in parts]),
        scored=np.concatenate([part.scored for part in parts]),
        labels={name: np.concatenate([part.labels[name] for part in parts]) for name in parts[0].labels},
    )
