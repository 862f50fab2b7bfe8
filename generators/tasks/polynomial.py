"""Polynomial arithmetic: an expression over F_p[X]/(X^k) is given, the coefficients of its value must follow.

Paper, section 4.2, figures 8, S15 and S16: p = 7, k = 5; negation, addition, multiplication, composition; operands
and operators uniform; m operations, m uniform in 1..5 in training, larger m being out of domain. The score is exact
match: all k coefficients right. Each split "test/m=3" holds expressions of that many operations.

    ( 1 0 2 0 0 + 0 1 0 0 0 ) ∘ 3 1 0 0 0 = 1 6 2 0 0        (1 + X + 2 X^2) o (3 + X) = 1 + 6 X + 2 X^2

Printed form. A polynomial is its k coefficients, constant term first, a token each: its width is fixed, so no sign
stands between them. Negation is written before its argument, the other operators between theirs and in brackets
unless outermost. How trees are drawn is said in `expressions.py`, what composition means in `ring.py`; the paper
says neither, nor how it prints. "=" begins the answer, k tokens again; `pause_tokens` stand before it.

A sample is one expression, padded to the longest of any split: 65 tokens for m up to 7, of which training fills 28
on average and 49 at most. That is the price of a sample, its place among the splits and an exact match being all
about one question. Padding stands at the end and carries no loss, so columns that all rows of a batch pad may be
cut off before it is trained on. (Prefix notation needs no brackets, 53 tokens at the longest, but few can read it.)

Loss is on every token that is not padding or a pause, as in training a language model on such text, which is what
the paper's setup implies (`loss_on = "all"`), or on the answer alone. The operands being uniform, each of their
coefficients then costs log p = 1.95 nats that nothing can be learnt from.

A guess is right for one token in p, and for one sample in p^k. The `linear` shortcut has just over 2^-m of the samples.

What decides the expressions is p, k, the operators and the training range of m. Whatever else is set (pauses, the
loss, the size of a training set, which m are tested), sample i of a split is the same question, so such settings
are compared on the same data, and training sets of different sizes are nested.
"""

from collections import deque
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import Field, field_validator

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream
from generators.material.expressions import draw_trees, evaluate, longest, write
from generators.material.ring import OPERATORS, PRIMES
from generators.task import GROUPS, Batch, Mask, Task, TaskConfig, shares

SIGNS = (*(operator.symbol for operator in OPERATORS.values()), "(", ")")
EQUALS, PAUSE, PADDING = "=", "<pause>", "<pad>"
OPERATIONS_MAXIMUM = 16

OperatorName = Literal["negation", "addition", "multiplication", "composition"]
Operations = Annotated[int, Field(ge=1, le=OPERATIONS_MAXIMUM)]
V = TypeVar("V")


class PolynomialConfig(TaskConfig):
    """Settings of `polynomial`."""

    aside = TaskConfig.aside | {"pause_tokens", "test_operations"}

    kind: Literal["polynomial"] = "polynomial"
    p: int = Field(default=7, ge=2, le=97, description="a prime; coefficients are 0 to p - 1")
    k: int = Field(default=5, ge=1, le=16, description="coefficients of a polynomial; X^k is 0")
    operators: tuple[OperatorName, ...] = Field(
        default=("negation", "addition", "multiplication", "composition"), min_length=1, description="drawn uniformly"
    )
    operations_minimum: Operations = Field(default=1, description="of an expression, in training and validation")
    operations_maximum: Operations = Field(default=5, description="of an expression, in training and validation")
    test_operations: tuple[Operations, ...] = Field(
        default=(1, 2, 3, 4, 5, 6, 7), min_length=1, description="each is a split, test/m=..."
    )
    pause_tokens: int = Field(default=0, ge=0, le=64, description='before "="; the paper tries 5 and 10')
    loss_on: Literal["all", "answer"] = Field(default="all", description="the tokens that carry loss")
    training_samples: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="a fixed training set of that size, read in epochs; without it, fresh samples",
    )
    validation_samples: int = Field(default=500, ge=1, le=10**7)
    test_samples: int = Field(default=2000, ge=1, le=10**7, description="for each m")

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
            raise ValueError("should name each once")
        return values


class Polynomial(Task):
    """Expressions and their values; label `coefficient` numbers the tokens of the answer 1 to k, 0 elsewhere."""

    config: PolynomialConfig

    def __init__(self, config: PolynomialConfig) -> None:
        if config.operations_minimum > config.operations_maximum:
            raise UserError(
                f"task.operations_minimum = {config.operations_minimum}: is above task.operations_maximum = "
                f"{config.operations_maximum}; give at most that"
            )
        super().__init__(config)
        self.vocabulary = (*map(str, range(config.p)), *SIGNS, EQUALS, PAUSE, PADDING)
        self.equals, self.pause, self.padding = (self.vocabulary.index(word) for word in (EQUALS, PAUSE, PADDING))
        self.operators = np.array([place for place, name in enumerate(OPERATORS) if name in config.operators])
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
        """By the hash of the expression alone, so that neither pauses nor padding move a question."""
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
        """By sympy, which reads the printed expression and shares no code with `ring.py`."""
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            end = tokens.index(self.equals)
            words = deque(self.vocabulary[token] for token in tokens[:end] if token != self.pause)
            answers[row, end + 1 : end + 1 + self.config.k] = value_by_sympy(words, self.config.p, self.config.k)
        return answers

    def text(self, tokens: Integers) -> str:
        return super().text(tokens[tokens != self.padding])

    def zero(self, batch: Batch) -> Integers:
        """Shortcut: every coefficient is 0."""
        return np.where(batch.scored, 0, -1)

    def linear(self, batch: Batch) -> Integers:
        """Shortcut: every operator between two polynomials is an addition."""
        p, k, rows = self.config.p, self.config.k, np.arange(len(batch))
        minus, opening, closing = (p + SIGNS.index(sign) for sign in ("-", "(", ")"))
        sums = np.zeros((len(batch), k), dtype=np.int64)
        # By depth of brackets, the sign of what stands there; `sign` is that of the operand to come.
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
    """The k coefficients of a printed expression, constant term first."""
    from sympy import GF, Poly, Symbol

    x, field = Symbol("X"), GF(p, symmetric=False)
    x_to_the_k = Poly.from_list([1] + k * [0], x, domain=field)
    operations = {"+": Poly.add, "*": Poly.mul, "∘": Poly.compose}

    def argument() -> Poly:
        word = words.popleft()
        if word == "-":
            return -argument()
        if word == "(":
            value = expression()
            assert words.popleft() == ")"
            return value
        coefficients = [int(word), *(int(words.popleft()) for _ in range(k - 1))]
        return Poly.from_list(coefficients[::-1], x, domain=field)

    def expression() -> Poly:
        value = argument()
        if words and words[0] != ")":
            value = operations[words.popleft()](value, argument()).rem(x_to_the_k)
        return value

    value = expression().all_coeffs()[::-1]
    assert not words
    return [int(coefficient) for coefficient in value] + (k - len(value)) * [0]
