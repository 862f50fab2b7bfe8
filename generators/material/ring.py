"""Arithmetic in F_p[X]/(X^k), a whole batch at a time.

A polynomial is a row of k coefficients, constant term first: with p = 7 and k = 5 the row 3 0 1 6 2 is
3 + X^2 + 6 X^3 + 2 X^4. Adding, negating and multiplying residue classes needs no explanation. Composing them
does: X^5 is 0 in the ring, but X^5 composed with 1 + X is (1 + X)^5, which is not. So composition here takes the
representatives of degree below k, composes those as polynomials, and cuts the result off at X^k:

    (0 0 1 0 0) o (1 1 0 0 0) = (1 2 1 0 0)        X^2 o (1 + X) = 1 + 2 X + X^2

It follows that (f + g) o h = f o h + g o h always, while (f g) o h = (f o h)(g o h) and (f o g) o h = f o (g o h)
are sure only where h has no constant term.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from generators.foundation.randomness import Integers

PRIMES = tuple(n for n in range(2, 98) if all(n % divisor for divisor in range(2, n)))


def negate(f: Integers, p: int) -> Integers:
    """-f [B, k]."""
    return -f % p


def add(f: Integers, g: Integers, p: int) -> Integers:
    """f + g [B, k]."""
    return (f + g) % p


def multiply(f: Integers, g: Integers, p: int) -> Integers:
    """f g [B, k], cut off at X^k."""
    return times(multiplication(g), f, p)


def compose(f: Integers, g: Integers, p: int) -> Integers:
    """f(g(X)) [B, k], cut off at X^k, by Horner's rule: cutting off commutes with adding and multiplying."""
    by_g = multiplication(g)
    value = np.zeros_like(f)
    value[:, 0] = f[:, -1]
    for power in range(f.shape[1] - 2, -1, -1):
        value = times(by_g, value, p)
        value[:, 0] = (value[:, 0] + f[:, power]) % p
    return value


def multiplication(g: Integers) -> Integers:
    """The matrices [B, k, k] of "times g": entry (i, j) is the coefficient of X^(i-j) in g."""
    k = g.shape[1]
    padded = np.concatenate((np.zeros((len(g), k - 1), dtype=np.int64), g), axis=1)
    places = np.arange(k)
    return padded[:, k - 1 + places[:, None] - places]


def times(matrices: Integers, f: Integers, p: int) -> Integers:
    """Matrices [B, k, k] on rows [B, k]."""
    product: Integers = np.einsum("bij,bj->bi", matrices, f)
    return product % p


@dataclass(frozen=True, kw_only=True)
class Operator:
    """An operation of the ring: its sign in print, and its value [B, k] on one or two rows of arguments."""

    symbol: str
    arguments: int
    apply: Callable[[Integers, Integers, int], Integers]


OPERATORS = {
    "negation": Operator(symbol="-", arguments=1, apply=lambda f, _, p: negate(f, p)),
    "addition": Operator(symbol="+", arguments=2, apply=add),
    "multiplication": Operator(symbol="*", arguments=2, apply=multiply),
    "composition": Operator(symbol="∘", arguments=2, apply=compose),
}
