"""Checks of a task: its samples, its oracle, its splits and seeds, and how often simple rules get its answers right.

`generators/checks` has the checks; each returns sentences about what is wrong. The result also has the numbers that a
model's scores are compared with: the scores of the shortcuts, the ceilings and the optimal losses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import TypeVar

from generators.checks.draws import DrawnSplit, draw_split
from generators.checks.ease import ease_problems
from generators.checks.repetition import repetition_problem
from generators.checks.seeds import seed_problems
from generators.checks.separation import overlapping_windows, shared_documents, shared_samples
from generators.checks.vocabulary import vocabulary_problems
from generators.foundation.errors import UserError
from generators.foundation.outside import error_description
from generators.protocols import KnownLosses
from generators.task import Task, whole_answers

T = TypeVar("T")

EXAMPLES_MAXIMUM = 10
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
        shortcuts: accuracy of each shortcut on the first test split; empty if that split scores no token or is
            malformed.
        shortcuts_exact: share of whole answers of that split that each shortcut gets right.
        ceilings: as the task declares them.
        optimal_losses: the loss of the first heads of a perfect model in nats, by term; empty if the task does not know
            them.
        samples_per_second, tokens_per_second: speed of generating samples.
        problems: a sentence for each reason not to trust the samples.
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
    shortcuts_exact: dict[str, float]
    ceilings: dict[str, dict[str, float]]
    optimal_losses: dict[str, float]
    samples_per_second: float
    tokens_per_second: float
    problems: list[str]

    @property
    def passed(self) -> bool:
        """True if the samples can be trusted."""
        return not self.problems


def check_task(task: Task, count: int) -> TaskCheck:
    """Checks the first `count` training samples and every held-out split (`count` samples of an endless one).

    Raises:
        UserError: the task refuses to draw samples with its settings.
    """
    splits = {
        split: draw_split(task, split, count if split == "train" else (size or count))
        for split, size in task.splits.items()
    }
    shared = shared_samples(splits.values())
    problems = [f"{drawn.split}: {problem}" for drawn in splits.values() for problem in drawn.problems]
    problems += shared.problems
    sound = all(drawn.sound for drawn in splits.values())
    if sound:
        for name, check in checks_of_sound_splits(task, splits).items():
            problems += attempted(name, check, problems, [])
    unconfirmed = [text for drawn in splits.values() for text in drawn.unconfirmed]
    held_out = [drawn for drawn in splits.values() if drawn.group != "train"]
    samples = sum(len(drawn.digests) for drawn in splits.values())
    seconds = max(1e-9, sum(drawn.seconds for drawn in splits.values()))
    unknown: tuple[dict[str, float], dict[str, float]] = ({}, {})
    accuracies, exact = unknown
    if sound:
        score = partial(shortcut_scores, task, splits)
        accuracies, exact = attempted("scoring shortcuts", score, problems, unknown)
    return TaskCheck(
        task=task.config.kind,
        samples=samples,
        unconfirmed=len(unconfirmed),
        examples=unconfirmed[:EXAMPLES_MAXIMUM],
        shared_between_splits=shared.between_groups,
        held_out_samples=shared.held_out,
        repeated_within_held_out=shared.within_held_out,
        tokens_out_of_vocabulary=sum(drawn.foreign for drawn in splits.values()),
        vocabulary=len(task.vocabulary),
        tokens_a_sample=task.length,
        scored_share=sum(drawn.scored for drawn in held_out) / max(1, sum(drawn.targets for drawn in held_out)),
        shortcuts=accuracies,
        shortcuts_exact=exact,
        ceilings={score: dict(best) for score, best in task.ceilings.items()},
        optimal_losses=attempted("giving optimal losses", lambda: optimal_losses(task), problems, {}),
        samples_per_second=samples / seconds,
        tokens_per_second=sum(drawn.tokens for drawn in splits.values()) / seconds,
        problems=problems,
    )


def checks_of_sound_splits(task: Task, splits: Mapping[str, DrawnSplit]) -> dict[str, Callable[[], list[str]]]:
    """Returns description -> check, for the checks that compare samples with each other."""
    drawn = splits.values()
    kept = {name: split.kept for name, split in splits.items() if split.kept is not None}
    pairs = [(first, second) for first, second in combinations(drawn, 2) if first.group != second.group]
    return {
        "drawing samples again": lambda: [
            f"{split}: {problem}"
            for split, batch in kept.items()
            if (problem := repetition_problem(task, split, batch))
        ],
        "reading the label `document`": lambda: shared_documents(drawn),
        "comparing samples of two splits": lambda: [
            problem for first, second in pairs if (problem := overlapping_windows(task, first, second))
        ],
        "comparing seeds": lambda: seed_problems(task, drawn),
        "learning the vocabulary again": lambda: vocabulary_problems(task, drawn),
        "trying simple rules": lambda: ease_problems(task, kept),
    }


def attempted(name: str, check: Callable[[], T], problems: list[str], default: T) -> T:
    """Returns the result of a check. If the task raises an exception, adds it to the problems and returns the default.

    Raises:
        UserError: the task refuses to draw samples with its settings.
    """
    try:
        return check()
    except UserError:
        raise
    except Exception as error:  # another package's task can raise anything
        problems.append(f"{name} raises {error_description(error)}")
        return default


def shortcut_scores(task: Task, splits: Mapping[str, DrawnSplit]) -> tuple[dict[str, float], dict[str, float]]:
    """Returns each shortcut's share of right tokens, and of right whole answers, on the first test split."""
    batch = splits[task.test_split].kept
    if batch is None or not batch.scored.any():
        return {}, {}
    right = task.shortcut_scores(batch)
    return (
        {name: float(tokens.mean()) for name, tokens in right.items()},
        {name: float(whole_answers(batch, tokens).mean()) for name, tokens in right.items()},
    )


def optimal_losses(task: Task) -> dict[str, float]:
    """Returns the loss of each of the first heads of a perfect model, in nats; empty if the task does not know them."""
    if not isinstance(task, KnownLosses):
        return {}
    lags = range(1, min(HEADS, task.length - 1) + 1)
    return {f"loss_{lag}": float(nats) for lag, nats in zip(lags, task.optimal_losses(lags).nats, strict=True)}
