"""Satisfiability: find the only assignment that satisfies every clause.

A sample prints different clauses of three signed variables, and then the literals that are true in the solution, in the
order of the variables. With 4 variables and 16 clauses (broken into two lines):

    -1 2 3 | -1 2 4 | -1 -2 -4 | -1 -2 -3 | -1 3 -4 | 1 -2 4 | -2 -3 -4 | 1 -3 4 | -1 -2 3 |
    -2 3 -4 | 1 2 3 | 2 -3 4 | 1 -2 -4 | -2 3 4 | 1 2 -3 | -1 -2 4 = 1 -2 3 4

The loss and the score are on the answer. The last literal follows from those before it: the solution is unique, so some
clause has become a unit clause, whose two other literals are false. The first literal needs the whole instance. A model
that is taught with the true literals before each target may learn to look for unit clauses and no more.

From 5 variables on the task is a positive control. Huang et al. 2026 ("How Transformers Learn to Plan via Multi-Token
Prediction", arXiv 2604.11912) report the largest known effect of multi-token prediction: with 5, 7 and 9 variables,
10.4% of whole answers for the next token alone, and 28, 70, 63, 83, 82 and 87% for 2 to 7 tokens. These figures are
from notes on the paper. Not checked: how the paper prints and draws clauses, and whether it uses 41, 45 and 51 clauses
for 5, 7 and 9 variables, which are numbers from memory. They equal 4.258 n + 58.26 n^(-2/3), rounded down, which
Crawford & Auton 1996 ("Experimental results on the crossover point in random 3-SAT") fitted to the point at which half
of all instances have a solution. They are the default from 5 variables on. With 4 variables only 32 clauses exist, the
default is 16, and a small model learns the task from the next token alone (0.865 of the whole answers after 800 steps).

Drawing: a uniform assignment is planted, and the clauses are a uniform choice of those that it satisfies, in random
order. The draw is rejected if another assignment satisfies them too. Draws are pairs of an instance and one of its
solutions, all equally likely, so all instances with exactly one solution are equally likely. Far fewer draws are
rejected than without planting: with 5 variables and 41 clauses 98% are accepted, and 1.2% of all instances have one
solution. At the other defaults (4, 6, 7, 8 and 9 variables) 54, 84, 65, 50 and 36% are accepted.

Splits do not share a set of clauses in any order. With 4 variables and 16 clauses there are 264,766,512 sets with one
solution, of which a run of 3,000 steps of 64 samples sees 0.07%; with more variables there are over 10^20 (`domain`).

A guess is right at 1/2 of the tokens and 2^-n of the whole answers. The scores of the shortcuts have no closed form,
because uniqueness makes the clauses depend on each other; only with 4 variables can all sets be counted (with 16
clauses `majority` is right at 77.9% of the tokens). The ceilings are the scores of `unit_clauses` over the accepted
ones of `RULED` draws, plus three standard errors. More clauses strengthen this shortcut: it gets half of the whole
answers right with 4 variables and 16 clauses, and two thirds with 5 variables and 41.
"""

import math
from itertools import combinations, product
from typing import Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, Words, sample_keys
from generators.task import (
    GROUPS,
    Batch,
    HeldOutSamples,
    Mask,
    Task,
    TaskConfig,
    TrainingSamples,
    shares,
    usual_splits,
    whole_answers,
)

CLAUSE, ANSWER = "|", "="
SIZE = 3
"""Literals of a clause."""
RULED = 4096
"""Draws on which the scores of rules are measured."""
ACCEPTED_MINIMUM = 0.02
DOMAIN_MINIMUM = 10**6


class SatisfiabilityConfig(TaskConfig):
    """Settings of `satisfiability`."""

    kind: Literal["satisfiability"] = "satisfiability"
    variables: int = Field(default=4, ge=4, le=9, description="literals of the answer")
    clauses: int | None = Field(
        default=None, ge=8, le=512, description="16 by default for 4 variables; for 5 to 9: 41, 43, 45, 48 and 51"
    )
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = 1000
    validation_samples: HeldOutSamples = 500


class Satisfiability(Task):
    """Samples of 4 `clauses` + `variables` tokens.

    Labels: `variable` numbers the tokens of the answer from 1; 0 elsewhere.

    Attributes:
        clauses: the number of clauses of an instance.
        accepted: the share of draws with one solution, measured on `RULED` draws.
        domain: the number of sets of clauses with exactly one solution, by that share.
    """

    config: SatisfiabilityConfig

    def __init__(self, config: SatisfiabilityConfig) -> None:
        super().__init__(config)
        count = config.variables
        self.clauses = config.clauses or (16 if count == 4 else int(4.258 * count + 58.26 * count ** (-2 / 3)))
        self.triples = np.array(list(combinations(range(count), SIZE)))
        satisfied = (2**SIZE - 1) * len(self.triples)
        if self.clauses > satisfied:
            raise UserError(
                f"task.clauses = {self.clauses}: an assignment of {count} variables satisfies {satisfied} different "
                f"clauses; give fewer"
            )
        self.vocabulary = (*(f"{sign}{n + 1}" for n in range(count) for sign in ("", "-")), CLAUSE, ANSWER)
        self.answer = (SIZE + 1) * self.clauses
        self.length = self.answer + count
        self.splits = usual_splits(config)
        self.falsified, self.assignment = self._bits()
        self.every = np.bitwise_or.reduce(self.assignment, axis=0)
        self.codes = np.zeros((count, count, count), np.int64)
        self.codes[tuple(self.triples.T)] = 2**SIZE * np.arange(len(self.triples))
        self.shortcuts = {"unit_clauses": self.unit_clauses, "majority": self.majority}
        drawn = self.draw(Stream(sample_keys(f"{self.name}:ceilings", np.arange(RULED))), "train")
        only = drawn.take(self._has_one_solution(drawn, self._clause_codes(drawn.tokens)))
        self.accepted = len(only) / RULED
        self.domain = round(2**count * math.comb(satisfied, self.clauses) * self.accepted)
        self._check_domain()
        right = self.shortcut_scores(only)["unit_clauses"]
        scores = {"accuracy": float(right.mean()), "exact": float(whole_answers(only, right).mean())}
        self.ceilings = {
            score: {"units_seen": min(1.0, share + 3 * math.sqrt(share * (1 - share) / len(only)))}
            for score, share in scores.items()
        }

    def _bits(self) -> tuple[Words, Words]:
        """Returns the assignments that each clause falsifies [C, W] and each assignment by itself [2^n, W], as bits."""
        count = self.config.variables
        values = np.array(list(product((0, 1), repeat=count)))  # 1 is true; the index is the number in base 2
        signs = np.array(list(product((0, 1), repeat=SIZE)))
        falsified = (values[:, self.triples][:, :, None] != signs).all(axis=3).reshape(len(values), -1).T
        return packed(falsified), packed(np.eye(len(values), dtype=np.bool_))

    def _check_domain(self) -> None:
        """Raises a UserError if too few draws are accepted, or too few instances exist."""
        few, small = self.accepted < ACCEPTED_MINIMUM, self.domain < DOMAIN_MINIMUM
        if few or small:
            reason = "hardly any instance" if few else f"only {self.domain} sets of that many clauses"
            raise UserError(
                f"task.clauses = {self.clauses}: {reason} of {self.config.variables} variables "
                f"{'has' if few else 'have'} exactly one solution; give {'more' if few else 'fewer'}"
            )

    def belongs(self, batch: Batch, split: str) -> Mask:
        """Hashes the set of clauses, so that no split has another's in a different order; rejects instances with
        several solutions.
        """
        codes = self._clause_codes(batch.tokens)
        group = np.isin(shares(np.sort(codes, axis=1)), GROUPS[split.partition("/")[0]])
        return group & self._has_one_solution(batch, codes)

    def _has_one_solution(self, batch: Batch, codes: Integers) -> Mask:
        """Returns which instances [B] have no solution but the printed one.

        Args:
            codes: the numbers [B, clauses] of their clauses.
        """
        falsified = np.bitwise_or.reduce(self.falsified[codes], axis=1)
        values = 1 - batch.tokens[:, self.answer :] % 2
        number = values @ 2 ** np.arange(self.config.variables - 1, -1, -1)
        unique: Mask = ((falsified | self.assignment[number]) == self.every).all(axis=1)
        return unique

    def draw(self, stream: Stream, split: str) -> Batch:
        rows, count = len(stream), self.config.variables
        solution = stream.integers("solution", 2, count)
        satisfied = stream.choose("clauses", (2**SIZE - 1) * len(self.triples), self.clauses)
        triple, pattern = np.divmod(satisfied, 2**SIZE - 1)
        variables = self.triples[triple]
        true = (pattern[:, :, None] + 1 >> np.arange(SIZE)) & 1  # at least one literal of three
        values = np.take_along_axis(solution[:, None], variables, axis=2)
        tokens = np.empty((rows, self.length), np.int64)
        printed = tokens[:, : self.answer].reshape(rows, self.clauses, SIZE + 1)  # a view of `tokens`
        printed[:, :, :SIZE] = 2 * variables + (values ^ true)
        printed[:, :, SIZE] = self.vocabulary.index(CLAUSE)
        tokens[:, self.answer - 1] = self.vocabulary.index(ANSWER)
        tokens[:, self.answer :] = 2 * np.arange(count) + 1 - solution
        number = np.maximum(np.arange(self.length) - self.answer + 1, 0)[None].repeat(rows, axis=0)
        return Batch(tokens=tokens, loss=number > 0, scored=number > 0, labels={"variable": number})

    def oracle(self, batch: Batch) -> Integers:
        """Tries every assignment of the printed clauses; gives no answer unless exactly one satisfies them."""
        answers = np.full(batch.tokens.shape, -1)
        assignments = np.array(list(product((1, -1), repeat=self.config.variables)))
        for row, tokens in enumerate(batch.tokens.tolist()):
            text = " ".join(self.vocabulary[token] for token in tokens).partition(ANSWER)[0]
            clauses = np.array([[int(word) for word in clause.split()] for clause in text.split(CLAUSE)])
            holds = assignments[:, abs(clauses) - 1] == np.sign(clauses)
            solutions = assignments[holds.any(axis=2).all(axis=1)]
            if len(solutions) == 1:
                literals = solutions[0] * np.arange(1, self.config.variables + 1)
                answers[row, self.answer :] = [self.vocabulary.index(str(literal)) for literal in literals.tolist()]
        return answers

    # ---- shortcuts

    def unit_clauses(self, batch: Batch) -> Integers:
        """Predicts the literal of a clause whose others are false by the true literals before it; without such a
        clause, the more frequent polarity. It is always right at the last variable.
        """
        guesses = self.majority(batch)
        literals = self._literals(batch.tokens)
        for place in range(SIZE - 1, self.config.variables):
            true = batch.tokens[:, None, self.answer : self.answer + place]
            false = (literals[:, :, :, None] == (true ^ 1)[:, :, None]).any(axis=3).sum(axis=2) == SIZE - 1
            for sign in (0, 1):
                forced = (false & (literals == 2 * place + sign).any(axis=2)).any(axis=1)
                guesses[forced, self.answer + place] = 2 * place + sign
        return guesses

    def majority(self, batch: Batch) -> Integers:
        """Predicts the more frequent polarity of each variable, the positive one in a tie."""
        literals = self._literals(batch.tokens).reshape(len(batch), -1, 1)
        counts = (literals == np.arange(2 * self.config.variables)).sum(axis=1)
        guesses = np.full(batch.tokens.shape, -1)
        places = np.arange(self.config.variables)
        guesses[:, self.answer :] = 2 * places + (counts[:, 1::2] > counts[:, ::2])
        return guesses

    def _literals(self, tokens: Integers) -> Integers:
        """Returns the literals [B, clauses, 3] of the printed clauses."""
        return tokens[:, : self.answer].reshape(len(tokens), self.clauses, SIZE + 1)[:, :, :SIZE]

    def _clause_codes(self, tokens: Integers) -> Integers:
        """Returns the numbers [B, clauses] of the printed clauses."""
        literals = self._literals(tokens)
        first, second, third = (literals[:, :, place] >> 1 for place in range(SIZE))
        positive = (literals & 1) ^ 1
        codes: Integers = (
            self.codes[first, second, third] + 4 * positive[:, :, 0] + 2 * positive[:, :, 1] + positive[:, :, 2]
        )
        return codes


def packed(flags: Mask) -> Words:
    """Packs flags [N, F] into uint64 words [N, W]."""
    padded = np.zeros((len(flags), -(-flags.shape[1] // 64) * 64), np.bool_)
    padded[:, : flags.shape[1]] = flags
    return np.packbits(padded, axis=1).view(np.uint64)
