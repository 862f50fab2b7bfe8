"""Checks that no simple rule gets the scored tokens of a task right more often than the task allows.

The greatest ceiling of a task says how often a simple rule can be right: at scored tokens (`accuracy`), tested on one
token of each sample, chosen at random, and in whole samples (`exact`). As a ceiling is a share of all scored tokens,
samples with fewer of them are left out more often, so that all tokens are chosen with equal probability. A task without
a ceiling of its accuracy is measured by its best shortcut: the limit is half-way between that shortcut's accuracy and
1. Where most tokens are scored, as in text, such a task is not tested, because text is partly predictable.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from generators.checks.exact import LEVEL, upper_tail
from generators.checks.rules import Answers, MemorisedRules, any_answers, copying_rules, learn, numbered_answers
from generators.foundation.randomness import Integers
from generators.task import Batch, Mask, Task

TEXT_SHARE = 0.75
"""The share of scored tokens from which a task without a ceiling counts as text."""
ANSWER_TOKENS_MAXIMUM = 32
"""Scored tokens of a sample up to which rules are tested on whole answers."""
COPIED, REMEMBERED, SHORTCUT = "copied", "remembered", "shortcut"

Batches = Mapping[str, Batch]
"""The first samples of splits by name."""
Guesses = Iterable[tuple[str, Integers]]
"""Rules by name, each with the answers [N] that it guesses."""


@dataclass(frozen=True)
class RuleScore:
    """How often a rule is right.

    Attributes:
        kind: `COPIED`, `REMEMBERED` or `SHORTCUT`.
        rule: the name of the rule.
        place: the scored tokens or answers that were tested.
        hits, count: the number of those that the rule gets right, and of all.
        ceiling: the probability with which a simple rule may be right.
        limit: where that probability is from.
    """

    kind: str
    rule: str
    place: str
    hits: int
    count: int
    ceiling: float
    limit: str

    @property
    def chance(self) -> float:
        """The probability of this many hits or more at the ceiling."""
        return upper_tail(self.hits, self.count, self.ceiling)

    @property
    def sentence(self) -> str:
        """Says how often the rule is right, and how often it may be."""
        subject = {
            COPIED: f"the answer can be copied: {self.rule} is right",
            REMEMBERED: f"the answer can be memorised: a table of training answers by {self.rule} is right",
            SHORTCUT: f"the shortcut {self.rule!r} is right",
        }[self.kind]
        return f"{subject} at {self.hits:,} of {self.count:,} {self.place}, but {self.limit} {self.ceiling:z.1%}"


def ease_problems(task: Task, batches: Batches) -> list[str]:
    """Returns a sentence for each kind of simple rule that is right too often, about the clearest rule of that kind."""
    scoring = {name: batch for name, batch in batches.items() if batch.scored.any()}
    if not scoring:
        return []
    scores = [*token_scores(task, scoring, batches.get("train")), *answer_scores(task, scoring)]
    worst: dict[str, RuleScore] = {}
    for score in scores:
        if score.chance * len(scores) <= LEVEL:
            worst[score.kind] = min(worst.get(score.kind, score), score, key=lambda s: (s.chance, -s.hits / s.count))
    return [score.sentence for score in worst.values()]


# ---- scored tokens


def token_scores(task: Task, scoring: Batches, train: Batch | None) -> Iterator[RuleScore]:
    """Yields the scores of all rules at one scored token of each sample.

    Args:
        train: training samples; where nothing is scored in them, tables are learned from all targets.
    """
    declared = task.ceilings.get("accuracy")
    if not declared and next(iter(scoring.values())).scored.mean() >= TEXT_SHARE:
        return
    candidates = possible_answers(scoring)
    memory = None
    if train is not None:
        lesson = any_answers(train, train.scored if "train" in scoring else train.loss)
        memory = learn(lesson, len(task.vocabulary))
    for name, batch in scoring.items():
        answers = any_answers(batch, batch.scored, equally=bool(declared))
        shortcuts = {key: rule(batch)[answers.rows, answers.positions] for key, rule in task.shortcuts.items()}
        ceiling = max(declared.values()) if declared else half_way(answers, shortcuts, memory)
        limit = "`ceilings` allow" if declared else "with its shortcuts the task leaves room for"
        if ceiling >= 1:
            continue
        rules: list[tuple[str, Guesses]] = [(SHORTCUT, shortcuts.items()), (COPIED, copying_rules(answers, candidates))]
        if memory is not None and name != "train":
            rules.append((REMEMBERED, memory.guesses(answers)))
        chosen = "one of each sample" if len(answers) == batch.scored.any(axis=1).sum() else "at most one of a sample"
        place = f"scored tokens of {name} ({chosen})"
        for kind, guesses_by_rule in rules:
            for rule, guesses in guesses_by_rule:
                hits = int(np.count_nonzero(guesses == answers.tokens))
                yield RuleScore(kind, rule, place, hits, len(answers), ceiling, limit)


def possible_answers(scoring: Batches) -> Integers:
    """Returns the tokens that are scored in the training samples or, if no training sample was scored, in the first
    other split.
    """
    source = scoring.get("train") or next(iter(scoring.values()))
    return np.unique(source.tokens[source.scored])


def half_way(answers: Answers, shortcuts: Mapping[str, Integers], memory: MemorisedRules | None) -> float:
    """Returns the middle between 1 and the accuracy of the best shortcut, or of the most common training answer."""
    constant = np.full(len(answers), -1 if memory is None else memory.commonest)
    return (1 + max(float((guesses == answers.tokens).mean()) for guesses in (constant, *shortcuts.values()))) / 2


# ---- whole answers


def answer_scores(task: Task, scoring: Batches) -> Iterator[RuleScore]:
    """Yields the scores on whole answers of the shortcuts, and of rules that may use another place for each token."""
    ceiling = max(task.ceilings.get("exact", {}).values(), default=1.0)
    if ceiling >= 1:
        return
    for name, batch in scoring.items():
        for shortcut, rule in task.shortcuts.items():
            right = (rule(batch) == batch.tokens) | ~batch.scored
            yield whole_score(SHORTCUT, shortcut, name, batch, right.all(axis=1), ceiling)
    train = scoring.get("train")
    if train is None or max(batch.scored.sum(axis=1).max() for batch in scoring.values()) > ANSWER_TOKENS_MAXIMUM:
        return
    held_out = {name: batch for name, batch in scoring.items() if name != "train"}
    for kind in (COPIED, REMEMBERED):
        right = {name: np.ones(len(batch), bool) for name, batch in held_out.items()}
        first = ""
        for number in range(int(train.scored.sum(axis=1).max())):
            lesson = numbered_answers(train, train.scored, number)
            memory = learn(lesson, len(task.vocabulary)) if kind == REMEMBERED else None
            candidates = possible_answers(scoring)
            best = best_rule(guesses_of(lesson, candidates, memory), lesson.tokens)
            first = first or best
            for name, batch in held_out.items():
                answers = numbered_answers(batch, batch.scored, number)
                guesses = dict(guesses_of(answers, candidates, memory)).get(best, np.full(len(answers), -1))
                right[name][answers.rows] &= guesses == answers.tokens
        for name, batch in held_out.items():
            yield whole_score(kind, f"{first}, with a place for each further token,", name, batch, right[name], ceiling)


def guesses_of(answers: Answers, candidates: Integers, memory: MemorisedRules | None) -> Guesses:
    """Returns the guesses of the rules that remember or, without a memory, of those that copy."""
    return copying_rules(answers, candidates) if memory is None else memory.guesses(answers)


def best_rule(guesses_by_rule: Guesses, truth: Integers) -> str:
    """Returns the name of the rule that is right most often, the first in a tie."""
    hits = {rule: int(np.count_nonzero(guesses == truth)) for rule, guesses in guesses_by_rule}
    return max(hits, key=hits.__getitem__)


def whole_score(kind: str, rule: str, split: str, batch: Batch, right: Mask, ceiling: float) -> RuleScore:
    """Returns the score of a rule that is right in some samples [B], counted over those in which a token is scored."""
    answered = batch.scored.any(axis=1)
    hits, count = int(np.count_nonzero(right & answered)), int(np.count_nonzero(answered))
    return RuleScore(kind, rule, f"whole answers of {split}", hits, count, ceiling, "`ceilings` allow")
