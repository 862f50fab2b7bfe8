"""Polynomial arithmetic: predict the coefficients of the value of an expression over F_p[X]/(X^k).

Paper, section 4.2, figures 8, S15 and S16: p = 7, k = 5; negation, addition, multiplication, composition; uniform
operands and operators; m operations, with m uniform in 1..5 in training and larger m out of domain. The score is exact
match: all k coefficients right. A split such as "test/m=3" holds expressions of that many operations.

    ( 1 0 2 0 0 + 0 1 0 0 0 ) ∘ 3 1 0 0 0 = 1 6 2 0 0        (1 + X + 2 X^2) o (3 + X) = 1 + 6 X + 2 X^2

Notation: a polynomial is its k coefficients, constant term first, one token each and without separators, because the
width is fixed. Negation is written before its argument; the other operators between their arguments, in brackets unless
outermost. `material/expressions.py` describes how trees are drawn, `material/ring.py` what composition means; the paper
specifies neither of them nor its notation. "=" begins the answer of k tokens; `pause_tokens` precede it.

A sample is one expression, padded to the longest of any split: 65 tokens for m up to 7, of which training uses 28 on
average and 49 at most. With one question per sample, hashing a sample to a split and scoring an exact match refer to
the same question. Padding is at the end and outside the loss mask, so columns that are padding in all rows of a batch
are cut before training. (Prefix notation needs no brackets and at most 53 tokens, but is hard to read.)

Loss is on every token except padding and pauses, as in training a language model on such text, which the paper's setup
implies (`loss_on = "all"`), or on the answer only. Operands are uniform, so each of their coefficients costs
log p = 1.95 nats that no model can avoid.

A guess is right for one token in p and one sample in p^k. The `linear` shortcut solves just over 2^-m of the samples.

Only p, k, the operators and the training range of m decide the expressions. For all other settings (pauses, loss, size
of the training set, tested m), sample i of a split is the same question, so arms that differ in them are compared on
the same data, and training sets of different sizes are nested.
"""

from collections import deque
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field, field_validator

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream
from generators.material.expressions import draw_trees, evaluate, longest, write
from generators.material.ring import OPERATORS, PRIMES
from generators.task import GROUPS, Batch, HeldOutSamples, Mask, Task, TaskConfig, TrainingSamples, shares

SIGNS = (*(operator.symbol for operator in OPERATORS.values()), "(", ")")
EQUALS, PAUSE, PADDING = "=", "<pause>", "<pad>"
OPERATIONS_MAXIMUM = 16

OperatorName = Literal["negation", "addition", "multiplication", "composition"]
Operations = Annotated[int, Field(ge=1, le=OPERATIONS_MAXIMUM)]
V = TypeVar("V")


class PolynomialConfig(TaskConfig):
    """Settings of `polynomial`."""

    sample_independent = TaskConfig.sample_independent | {"pause_tokens", "test_operations"}

    kind: Literal["polynomial"] = "polynomial"
    p: int = Field(default=7, ge=2, le=97, description="a prime; coefficients are 0 to p - 1")
    k: int = Field(default=5, ge=1, le=16, description="coefficients of a polynomial; X^k is 0")
    operators: tuple[OperatorName, ...] = Field(
        default=("negation", "addition", "multiplication", "composition"),
        min_length=1,
        description="operators, drawn uniformly",
    )
    operations_minimum: Operations = Field(default=1, description="fewest in an expression of training and validation")
    operations_maximum: Operations = Field(default=5, description="most in an expression of training and validation")
    test_operations: tuple[Operations, ...] = Field(
        default=(1, 2, 3, 4, 5, 6, 7), min_length=1, description="operations of the test splits test/m=..."
    )
    pause_tokens: int = Field(default=0, ge=0, le=64, description='pauses before "="; the paper tries 5 and 10')
    loss_on: Literal["all", "answer"] = Field(default="all", description="the tokens in the loss mask")
    training_samples: TrainingSamples = None
    validation_samples: HeldOutSamples = 500
    test_samples: HeldOutSamples = Field(default=2000, description="samples for each m")

    @field_validator("p")
    @classmethod
    def _prime(cls, p: int) -> int:
        if p not in PRIMES:
            below, above = max(n for n in PRIMES if n < p), min(n for n in PRIMES if n > p)
            raise ValueError(f"is not a prime; the nearest are {below} and {above}")
        return p

    @field_validator("operators", "test_operations")
    @classmethod
    def _once(cls, values: tuple[V, ...]) -> tuple[V, ...]:
        if len(set(values)) < len(values):
            raise ValueError("should not repeat a value")
        return values


class Polynomial(Task):
    """Expressions and their values.

    Labels: `coefficient` numbers the tokens of the answer from 1 to k; 0 elsewhere.
    """

    config: PolynomialConfig

    def __init__(self, config: PolynomialConfig) -> None:
        if config.operations_minimum > config.operations_maximum:
            raise UserError(
                f"task.operations_minimum = {config.operations_minimum}: is above task.operations_maximum = "
                f"{config.operations_maximum}; give at most {config.operations_maximum}"
            )
        super().__init__(config)
        self.vocabulary = (*map(str, range(config.p)), *SIGNS, EQUALS, PAUSE, PADDING)
        self.equals, self.pause, self.padding = (self.vocabulary.index(word) for word in (EQUALS, PAUSE, PADDING))
        self.operators = np.array([index for index, name in enumerate(OPERATORS) if name in config.operators])
        binary = any(OPERATORS[name].arguments == 2 for name in config.operators)
        most = max(config.operations_maximum, *config.test_operations)
        self.length = longest(most, config.k, binary) + config.pause_tokens + 1 + config.k
        self.splits = {
            "train": config.training_samples,
            "validation": config.validation_samples,
            **{f"test/m={operations}": config.test_samples for operations in config.test_operations},
        }
        self.shortcuts = {"zero": self.zero, "linear": self.linear}

    def belongs(self, batch: Batch, split: str) -> Mask:
        """Hashes the expression only, so that pauses and padding do not move a question to another split."""
        expression = ~np.logical_or.accumulate(batch.tokens >= self.equals, axis=1)
        return np.isin(shares(np.where(expression, batch.tokens, -1)), GROUPS[split.partition("/")[0]])

    def draw(self, stream: Stream, split: str) -> Batch:
        config, count = self.config, len(stream)
        low, high = config.operations_minimum, config.operations_maximum
        if split.startswith("test/m="):
            low = high = int(split.removeprefix("test/m="))
        operations = low + stream.integers("operations", high - low + 1, 1)[:, 0]
        trees = draw_trees(stream, operations, high, self.operators)
        operands = stream.integers("coefficients", config.p, 2 * high * config.k).reshape(count, 2 * high, config.k)
        signs = config.p + np.arange(len(SIGNS))
        tokens, widths = write(trees, operands, signs, self.padding, self.length)
        pauses = np.full((count, config.pause_tokens), self.pause)
        equals = np.full((count, 1), self.equals)
        ending = np.concatenate((pauses, equals, evaluate(trees, operands, config.p)), axis=1)
        np.put_along_axis(tokens, widths[:, None] + np.arange(ending.shape[1]), ending, axis=1)
        coefficient = np.arange(self.length) - (widths + config.pause_tokens)[:, None]
        coefficient[(coefficient < 0) | (coefficient > config.k)] = 0
        answer = coefficient > 0
        loss = answer.copy() if config.loss_on == "answer" else tokens < self.pause
        loss[:, 0] = False
        return Batch(tokens=tokens, loss=loss, scored=answer, labels={"coefficient": coefficient})

    def oracle(self, batch: Batch) -> Integers:
        """Computes the answer with sympy, which reads the printed expression and shares no code with `ring.py`."""
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            end = tokens.index(self.equals)
            words = deque(self.vocabulary[token] for token in tokens[:end] if token != self.pause)
            answers[row, end + 1 : end + 1 + self.config.k] = value_by_sympy(words, self.config.p, self.config.k)
        return answers

    def text(self, tokens: Integers) -> str:
        return super().text(tokens[tokens != self.padding])

    def zero(self, batch: Batch) -> Integers:
        """Shortcut: predicts 0 for every coefficient."""
        return np.where(batch.scored, 0, -1)

    def linear(self, batch: Batch) -> Integers:
        """Shortcut: treats every operator with two arguments as addition."""
        p, k, rows = self.config.p, self.config.k, np.arange(len(batch))
        minus, opening, closing = (p + SIGNS.index(sign) for sign in ("-", "(", ")"))
        sums = np.zeros((len(batch), k), dtype=np.int64)
        # `signs` is the sign in effect at each depth of brackets, `sign` that of the next operand.
        signs = np.ones((len(batch), OPERATIONS_MAXIMUM + 1), dtype=np.int64)
        sign, (depth, place) = signs[:, 0].copy(), np.zeros((2, len(batch)), dtype=np.int64)
        ended = np.zeros(len(batch), dtype=np.bool_)
        for column in batch.tokens.T:
            ended |= column >= self.equals
            digit = (column < p) & ~ended
            sums[rows, place % k] += np.where(digit, sign * column, 0)
            place += digit
            sign = np.where(column == minus, -sign, np.where(digit | (column == opening), sign, signs[rows, depth]))
            depth += (column == opening).astype(np.int64) - (column == closing)
            signs[rows, depth] = np.where(column == opening, sign, signs[rows, depth])
        guesses = np.full(batch.tokens.shape, -1)
        guesses[batch.scored] = (sums % p).reshape(-1)
        return guesses


def value_by_sympy(words: deque[str], p: int, k: int) -> list[int]:
    """Computes the k coefficients, constant term first, of the value of a printed expression."""
    from sympy import ZZ
    from sympy.polys.galoistools import gf_add, gf_compose, gf_mul, gf_neg, gf_rem, gf_strip

    x_to_the_k = [ZZ(1), *(k * [ZZ(0)])]
    operations = {"+": gf_add, "*": gf_mul, "∘": gf_compose}

    def argument() -> list[Any]:  # coefficients, highest power first
        word = words.popleft()
        if word == "-":
            return list(gf_neg(argument(), p, ZZ))
        if word == "(":
            value = expression()
            assert words.popleft() == ")"
            return value
        coefficients = [int(word), *(int(words.popleft()) for _ in range(k - 1))]
        return list(gf_strip([ZZ(coefficient) for coefficient in reversed(coefficients)]))

    def expression() -> list[Any]:
        value = argument()
        if words and words[0] != ")":
            value = gf_rem(operations[words.popleft()](value, argument(), p, ZZ), x_to_the_k, p, ZZ)
        return value

    value = expression()[::-1]
    assert not words
    return [int(coefficient) for coefficient in value] + (k - len(value)) * [0]
