"""Polynomial tasks for tests, and a parser of their printed expressions that is independent of the task."""

from collections import deque
from typing import Any

import numpy as np

from generators.foundation.randomness import Integers
from generators.tasks.polynomial import Polynomial, PolynomialConfig

Tree = Any
"""An operand as a tuple of words, or ("-", tree), or (tree, sign, tree)."""


def small_task(**changes: Any) -> Polynomial:
    """Builds the task with 50 samples in every held-out split."""
    return Polynomial(PolynomialConfig(**{"validation_samples": 50, "test_samples": 50, **changes}))


def encode(task: Polynomial, text: str) -> Integers:
    """Returns the tokens [1, T] of a printed sample, padded."""
    tokens = [task.vocabulary.index(word) for word in text.split()]
    return np.array([tokens + [task.padding] * (task.length - len(tokens))])


def expression_words(task: Polynomial, tokens: Integers) -> list[str]:
    """Returns the words of a sample's expression, without pauses."""
    words = task.text(tokens).split()
    return [word for word in words[: words.index("=")] if word != "<pause>"]


def parse(words: list[str], k: int) -> Tree:
    """Parses the words of an expression."""
    rest = deque(words)

    def argument() -> Tree:
        word = rest.popleft()
        if word == "-":
            return ("-", argument())
        if word == "(":
            inner = expression()
            assert rest.popleft() == ")"
            return inner
        return (word, *(rest.popleft() for _ in range(k - 1)))

    def expression() -> Tree:
        left = argument()
        return (left, rest.popleft(), argument()) if rest and rest[0] != ")" else left

    tree = expression()
    assert not rest
    return tree


def is_binary(tree: Tree) -> bool:
    return len(tree) == 3 and isinstance(tree[0], tuple)


def print_words(tree: Tree, outermost: bool = True) -> list[str]:
    """Prints a tree with the brackets that it needs."""
    if tree[0] == "-":
        return ["-", *print_words(tree[1], False)]
    if not is_binary(tree):
        return list(tree)
    inner = [*print_words(tree[0], False), tree[1], *print_words(tree[2], False)]
    return inner if outermost else ["(", *inner, ")"]


def operators_in(words: list[str]) -> list[str]:
    return [word for word in words if word in {"-", "+", "*", "∘"}]
