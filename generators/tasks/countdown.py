"""Countdown with three numbers: reach a target by combining two of them, and the result with the third.

A sample prints three different numbers in random order, the target, and two equations, each with its larger operand
first. All numbers are whole and positive, and one token each:

    6 32 4 > 104 : 32 - 6 = 26 , 26 * 4 = 104

The loss is on the answer, and the score is on its numbers and operators. The first equation is a plan. Whether it helps
shows only in the second, so a model has to look ahead when it writes the first token. Given the true tokens before it,
every token after the plan is arithmetic or a copy, and a model may learn no more than that. The task is a positive
control for predicting several tokens. Teoh et al. 2025 (arXiv 2511.05963) report right answers of 33% for the next
token, 57% and 55% for eight tokens (parallel heads, joint prediction) and 55% for their latent objective; Huang et al.
2026 (arXiv 2604.11912) report 60% for one token and 65% for several. These figures are from notes on the papers.

The papers count every valid derivation as right. Here every question has exactly one derivation, up to the order of the
operands of a sum or a product, which is printed larger first. So every valid answer that keeps this order equals the
reference, and `exact`, which validation, claims and shortcuts use, is the share of valid greedy answers; a checker of
decoded equations would have needed a metric of its own in all these places. The optimal loss of head 1 is 0, because no
model has to guess which of several derivations a sample shows. The price is another distribution of questions:
a + b + c or a + b - c can be reached in any order, so no question asks for them, and nearly all derivations mix a sum
or difference with a product or quotient. Differences between objectives can be compared with those of the papers,
percentages cannot.

Questions are uniform over all that have one derivation (`domain`), whatever the order of their numbers; the 45,097 of
the default settings make 270,582 samples. Their hashes assign questions to splits, and ignore the order of the numbers.
A run of 3,000 steps of 64 samples sees each of the 39,532 training questions five times, but no held-out question is
among these in any order, so remembering questions does not help with those. Held-out splits contain no question twice.

A rule that ignores the target can still choose a plan (a pair and an operator) that suits the numbers. If it goes on by
arithmetic, its whole answer is right as often as its plan is that of the question. The ceiling of whole answers is the
frequency of the best plan among the questions about the same numbers, averaged over all questions (`blind_plan`
reaches it); that of tokens has the best token of a plan, given those before it, in place of the best plan. Both are
counted over the whole domain.
"""

import operator
from fractions import Fraction
from itertools import combinations, permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, field_validator

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, epochs, sample_keys
from generators.task import GROUPS, Batch, HeldOutSamples, Mask, Task, TaskConfig, TrainingSamples, shares, usual_splits

Operator = Literal["+", "-", "*", "/"]
OPERATORS: tuple[Operator, ...] = ("+", "-", "*", "/")
TARGET, ANSWER, EQUALS, NEXT = ">", ":", "=", ","
MARKS = (TARGET, ANSWER, EQUALS, NEXT)
PAIRS = np.array([(0, 1, 2), (0, 2, 1), (1, 2, 0)])
"""The places of the first two operands, and of the number left, in three numbers in ascending order."""
FIRST, SECOND = 6, 12
"""The positions of the first token of each equation."""
MARKED = {3: TARGET, 5: ANSWER, FIRST + 3: EQUALS, FIRST + 5: NEXT, SECOND + 3: EQUALS}
"""Position -> the mark that every sample has there."""
EQUATIONS = np.repeat((0, 1, 0, 2), (FIRST, 5, 1, 5))
"""The number of the equation that each position belongs to; 0 for none."""
CALCULATE = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


class CountdownConfig(TaskConfig):
    """Settings of `countdown`."""

    kind: Literal["countdown"] = "countdown"
    largest_number: int = Field(default=40, ge=5, le=60, description="the numbers are 1 to this, all different")
    largest_result: int = Field(default=200, ge=10, le=1000, description="results and targets are 1 to this")
    operators: tuple[Operator, ...] = Field(
        default=OPERATORS, min_length=2, description="operators; division leaves no remainder"
    )
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = 1000
    validation_samples: HeldOutSamples = 500

    @field_validator("operators")
    @classmethod
    def _once(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(values)) < len(values):
            raise ValueError("should not repeat a value")
        return values


class Countdown(Task):
    """Samples of 17 tokens. The token of number n is n - 1.

    A *plan* is a pair of `PAIRS` and an operator, numbered 4 pair + operator. A derivation is a plan and a second
    operator, numbered 4 plan + operator.

    Labels: `equation` is 1 or 2 at the tokens of an equation; 0 elsewhere.

    Attributes:
        triples: int64 [N, 3], all choices of three numbers, each in ascending order.
        targets: int64 [N, 48], the target of each derivation; 0 if one of its results is not allowed.
        domain: int64 [Q, 2], the questions, each a row of `triples` and its only derivation.
        questions: split -> rows of `domain` [n] that belong to it.
        plans: int64 [N, 12], the number of questions about each choice of numbers that each plan answers.
    """

    config: CountdownConfig

    def __init__(self, config: CountdownConfig) -> None:
        super().__init__(config)
        self.most = max(config.largest_number, config.largest_result)
        self.vocabulary = (*map(str, range(1, self.most + 1)), *OPERATORS, *MARKS)
        self.length = SECOND + 5
        self.splits = usual_splits(config)
        self.triples = np.array(list(combinations(range(1, config.largest_number + 1), 3)))
        results = self.results(self.triples[:, PAIRS[:, 0]], self.triples[:, PAIRS[:, 1]])
        targets = self.results(results, self.triples[:, PAIRS[:, 2], None])
        self.targets = np.where(results[..., None] > 0, targets, 0).reshape(len(self.triples), -1)
        self.domain = np.argwhere((self.targets > 0) & occurs_once(self.targets))
        rows, derivations = self.domain.T
        share = shares(np.column_stack((self.triples[rows], self.targets[rows, derivations])))
        self.questions = {split: np.flatnonzero(np.isin(share, GROUPS[split])) for split in self.splits}
        self._check_sizes()
        plans = np.bincount(12 * rows + derivations // 4, minlength=12 * len(self.triples))
        self.plans = plans.reshape(-1, 12)
        self.shortcuts = {"blind_plan": self.blind_plan, "usual_plan": self.usual_plan}
        self.ceilings = self._ceilings()

    def _check_sizes(self) -> None:
        """Raises a UserError if a split has no questions, or a held-out split fewer than its size."""
        for split, size in self.splits.items():
            room = len(self.questions[split])
            larger = "a larger task.largest_number or task.largest_result"
            if not room:
                raise UserError(
                    f"task.operators = {list(self.config.operators)}: {len(self.domain)} questions have exactly one "
                    f"derivation with these settings, and none of them is for the {split} split; give all four "
                    f"operators, or {larger}"
                )
            if split != "train" and size is not None and size > room:
                raise UserError(
                    f"task.{split}_samples = {size}: {len(self.domain)} questions have exactly one derivation with "
                    f"these settings, of which {room} are for the {split} split; give at most {room}, or {larger}"
                )

    def _ceilings(self) -> dict[str, dict[str, float]]:
        """Returns the scores of the best rule that ignores the target until it has written a plan."""
        counts = self.plans.reshape(-1, 3, 4)
        largest = counts[:, 1:]  # the plans that begin with the largest number; the others begin with the middle one
        first = np.maximum(counts[:, 0].sum(axis=1), largest.sum(axis=(1, 2)))
        sign = counts[:, 0].max(axis=1) + largest.sum(axis=1).max(axis=1)
        second = counts[:, 0].sum(axis=1) + largest.max(axis=1).sum(axis=1)
        tokens = float((first + sign + second).sum() / len(self.domain))
        whole = float(self.plans.max(axis=1).sum() / len(self.domain))
        return {"accuracy": {"target_ignored": (5 + tokens) / 8}, "exact": {"target_ignored": whole}}

    def results(self, first: Integers, second: Integers) -> Integers:
        """Returns the results [..., 4] of two numbers [...] by operator, larger first; 0 for a result not allowed."""
        large, small = np.maximum(first, second), np.minimum(first, second)
        divisor = np.maximum(small, 1)
        values = (large + small, large - small, large * small, np.where(large % divisor, 0, large // divisor))
        results = np.stack(values, axis=-1)
        allowed = np.isin(OPERATORS, self.config.operators) & (results <= self.config.largest_result)
        return np.where(allowed, results, 0)

    def batch(self, split: str, indices: ArrayLike, seed: int = 0) -> Batch:
        """Draws samples `indices` [B] of a split.

        A held-out split is read from its list of questions in epochs, as a fixed training set is: no question occurs
        twice before all have occurred.
        """
        if split == "train" or split not in self.splits:
            return super().batch(split, indices, seed)
        name, questions = f"{self.name}:{split}:{seed}", self.questions[split]
        return self._print(questions[epochs(name, indices, len(questions))], Stream(sample_keys(name, indices)))

    def belongs(self, batch: Batch, split: str) -> Mask:
        """Hashes the question only, with its numbers in ascending order."""
        question = np.column_stack((np.sort(batch.tokens[:, :3], axis=1), batch.tokens[:, 4])) + 1
        return np.isin(shares(question), GROUPS[split.partition("/")[0]])

    def draw(self, stream: Stream, split: str) -> Batch:
        questions = self.questions[split]
        return self._print(questions[stream.integers("question", len(questions), 1)[:, 0]], stream)

    def _print(self, questions: Integers, stream: Stream) -> Batch:
        """Returns the samples with these rows of `domain` [B], their numbers in random order."""
        row, derivation = self.domain[questions].T
        plan, second = np.divmod(derivation, 4)
        pair, first = np.divmod(plan, 4)
        numbers = self.triples[row]
        small, large, left = np.take_along_axis(numbers, PAIRS[pair], axis=1).T
        result = np.take_along_axis(self.results(large, small), first[:, None], axis=1)[:, 0]
        target = self.targets[row, derivation]
        tokens = np.empty((len(questions), self.length), np.int64)
        tokens[:, :3] = np.take_along_axis(numbers, stream.choose("order", 3, 3), axis=1) - 1
        marks = {place: self.vocabulary.index(mark) for place, mark in MARKED.items()}
        tokens[:, list(marks)] = list(marks.values())
        tokens[:, 4] = target - 1
        equations = (
            (FIRST, large, first, small, result),
            (SECOND, np.maximum(result, left), second, np.minimum(result, left), target),
        )
        for start, larger, sign, smaller, value in equations:
            tokens[:, start], tokens[:, start + 2], tokens[:, start + 4] = larger - 1, smaller - 1, value - 1
            tokens[:, start + 1] = self.most + sign
        equation = EQUATIONS[None].repeat(len(tokens), axis=0)
        loss = np.arange(self.length)[None].repeat(len(tokens), axis=0) >= FIRST
        scored = loss & ~np.isin(np.arange(self.length), list(MARKED))
        return Batch(tokens=tokens, loss=loss, scored=scored, labels={"equation": equation})

    def oracle(self, batch: Batch) -> Integers:
        """Tries all derivations of the printed question; gives no answer unless exactly one leads to the target."""
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            words = [self.vocabulary[token] for token in tokens]
            numbers, target = [int(word) for word in words[:3]], int(words[4])
            derivations = [
                f"{first} {EQUALS} {result} {NEXT} {second} {EQUALS} {target}".split()
                for x, y, left in permutations(numbers)
                for first, result in self._equations(x, y)
                for second, value in self._equations(*sorted((result, left), reverse=True))
                if value == target
            ]
            if len(derivations) == 1:
                answer = [self.vocabulary.index(word) for word in derivations[0]]
                answers[row, FIRST:] = np.where(batch.scored[row, FIRST:], answer, -1)
        return answers

    def _equations(self, x: int, y: int) -> list[tuple[str, int]]:
        """Returns the left sides and results of the allowed equations about two numbers; none unless x >= y."""
        sides = [(f"{x} {sign} {y}", Fraction(CALCULATE[sign](Fraction(x), y))) for sign in self.config.operators]
        limit = self.config.largest_result
        return [(side, int(value)) for side, value in sides if x >= y and 0 < value <= limit and value == int(value)]

    def position_classes(self, batch: Batch) -> dict[str, Mask]:
        """Divides the scored tokens by the equation that they belong to."""
        number = np.where(batch.scored, batch.labels["equation"], 0)
        return {"equation 1": number == 1, "equation 2": number == 2, "not scored": ~batch.scored}

    # ---- shortcuts

    def blind_plan(self, batch: Batch) -> Integers:
        """Writes the plan that answers most questions about these numbers, whatever the target; the rest by arithmetic
        from the true tokens before.
        """
        base = self.most ** np.arange(2, -1, -1)
        rows = np.searchsorted(self.triples @ base, (np.sort(batch.tokens[:, :3], axis=1) + 1) @ base)
        return self._follow(batch, self.plans[rows].argmax(axis=1))

    def usual_plan(self, batch: Batch) -> Integers:
        """Writes the plan that answers most questions of all; the rest by arithmetic from the true tokens before."""
        return self._follow(batch, np.full(len(batch), self.plans.sum(axis=0).argmax()))

    def _follow(self, batch: Batch, plan: Integers) -> Integers:
        """Predicts the tokens of plans [B], and what follows from the true tokens before it at the others."""
        numbers = np.sort(batch.tokens[:, :3], axis=1) + 1
        x, sign, y, result = (batch.tokens[:, FIRST + place] + 1 for place in (0, 1, 2, 4))
        left, target = numbers.sum(axis=1) - x - y, batch.tokens[:, 4] + 1
        small, large, _ = np.take_along_axis(numbers, PAIRS[plan // 4], axis=1).T
        guesses = np.full(batch.tokens.shape, -1)
        guesses[:, FIRST], guesses[:, FIRST + 1], guesses[:, FIRST + 2] = large - 1, self.most + plan % 4, small - 1
        value = np.take_along_axis(self.results(x, y), sign[:, None] - 1 - self.most, axis=1)[:, 0]
        leads = (self.results(result, left) == target[:, None]).argmax(axis=1)
        guesses[:, FIRST + 4] = value - 1
        guesses[:, SECOND], guesses[:, SECOND + 2] = np.maximum(result, left) - 1, np.minimum(result, left) - 1
        guesses[:, SECOND + 1], guesses[:, SECOND + 4] = self.most + leads, target - 1
        return guesses


def occurs_once(values: Integers) -> Mask:
    """Returns which values [N, K] occur once in their row."""
    order = np.argsort(values, axis=1)
    ascending = np.take_along_axis(values, order, axis=1)
    differs = np.ones((len(values), values.shape[1] + 1), np.bool_)
    differs[:, 1:-1] = ascending[:, 1:] != ascending[:, :-1]
    once = np.empty(values.shape, np.bool_)
    np.put_along_axis(once, order, differs[:, 1:] & differs[:, :-1], axis=1)
    return once
