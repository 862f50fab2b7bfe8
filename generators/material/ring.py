"""Arithmetic in F_p[X]/(X^k), a whole batch at a time.

A polynomial is a row of k coefficients, constant term first: with p = 7 and k = 5 the row 3 0 1 6 2 is
3 + X^2 + 6 X^3 + 2 X^4. Sums, negatives and products of residue classes are well defined. Composition is not: X^5 is 0
in the ring, but X^5 composed with 1 + X is (1 + X)^5, which is not 0. So composition here takes the representatives of
degree below k, composes them as polynomials, and truncates the result at X^k:

    (0 0 1 0 0) o (1 1 0 0 0) = (1 2 1 0 0)        X^2 o (1 + X) = 1 + 2 X + X^2

Therefore (f + g) o h = f o h + g o h always holds, but (f g) o h = (f o h)(g o h) and (f o g) o h = f o (g o h) are
certain only if h has no constant term.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from generators.foundation.randomness import Integers

PRIMES = tuple(n for n in range(2, 98) if all(n % divisor for divisor in range(2, n)))


def negate(f: Integers, p: int) -> Integers:
    """Computes -f [B, k]."""
    return -f % p


def add(f: Integers, g: Integers, p: int) -> Integers:
    """Computes f + g [B, k]."""
    return (f + g) % p


def multiply(f: Integers, g: Integers, p: int) -> Integers:
    """Computes f g [B, k], truncated at X^k."""
    return times(multiplication(g), f, p)


def compose(f: Integers, g: Integers, p: int) -> Integers:
    """Computes f(g(X)) [B, k], truncated at X^k, by Horner's rule; truncation commutes with sums and products."""
    by_g = multiplication(g)
    value = np.zeros_like(f)
    value[:, 0] = f[:, -1]
    for power in range(f.shape[1] - 2, -1, -1):
        value = times(by_g, value, p)
        value[:, 0] = (value[:, 0] + f[:, power]) % p
    return value


def multiplication(g: Integers) -> Integers:
    """Returns the matrices [B, k, k] of multiplication by g: entry (i, j) is the coefficient of X^(i-j) in g."""
    k = g.shape[1]
    padded = np.concatenate((np.zeros((len(g), k - 1), dtype=np.int64), g), axis=1)
    powers = np.arange(k)
    return padded[:, k - 1 + powers[:, None] - powers]


def times(matrices: Integers, f: Integers, p: int) -> Integers:
    """Applies matrices [B, k, k] to rows [B, k]."""
    product: Integers = np.einsum("bij,bj->bi", matrices, f)
    return product % p


@dataclass(frozen=True, kw_only=True)
class Operator:
    """An operation of the ring.

    Attributes:
        symbol: its printed sign.
        arguments: how many arguments it takes, 1 or 2.
        apply: computes the value [B, k] from the arguments f and g, modulo p; an operation of one argument ignores g.
    """

    symbol: str
    arguments: int
    apply: Callable[[Integers, Integers, int], Integers]


OPERATORS = {
    "negation": Operator(symbol="-", arguments=1, apply=lambda f, _, p: negate(f, p)),
    "addition": Operator(symbol="+", arguments=2, apply=add),
    "multiplication": Operator(symbol="*", arguments=2, apply=multiply),
    "composition": Operator(symbol="∘", arguments=2, apply=compose),
}
