"""Arithmetic in F_p[X]/(X^k): the laws of the ring hold, and composition is that of truncated polynomials."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import polynomial

from generators.foundation.randomness import Integers
from generators.material.ring import PRIMES, add, compose, multiply, negate


@st.composite
def polynomials(draw: st.DrawFn) -> tuple[int, list[Integers]]:
    """Draws a prime p and three polynomials with coefficients modulo p."""
    p, k = draw(st.sampled_from(PRIMES)), draw(st.integers(1, 8))
    row = st.lists(st.integers(0, p - 1), min_size=k, max_size=k)
    return p, [np.array([draw(row)]) for _ in range(3)]


@given(polynomials())
def test_products_and_compositions_are_those_of_untruncated_polynomials_truncated(
    case: tuple[int, list[Integers]],
) -> None:
    p, (f, g, _) = case
    k = f.shape[1]
    composed, power = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)
    for coefficient in f[0]:
        composed = polynomial.polyadd(composed, coefficient * power) % p
        power = np.rint(polynomial.polymul(power, g[0])).astype(np.int64) % p
    multiplied = np.rint(polynomial.polymul(f[0], g[0])).astype(np.int64) % p
    for truncated, whole in ((multiply(f, g, p), multiplied), (compose(f, g, p), composed)):
        expected = np.zeros(k, dtype=np.int64)
        expected[: min(k, len(whole))] = whole[:k]
        assert (truncated[0] == expected).all()


@given(polynomials())
def test_the_laws_of_a_commutative_ring_hold(case: tuple[int, list[Integers]]) -> None:
    p, (f, g, h) = case
    zero, unit = np.zeros_like(f), np.eye(1, f.shape[1], dtype=np.int64)
    assert (add(f, g, p) == add(g, f, p)).all()
    assert (add(add(f, g, p), h, p) == add(f, add(g, h, p), p)).all()
    assert (add(f, negate(f, p), p) == zero).all()
    assert (negate(negate(f, p), p) == f).all()
    assert (multiply(f, g, p) == multiply(g, f, p)).all()
    assert (multiply(multiply(f, g, p), h, p) == multiply(f, multiply(g, h, p), p)).all()
    assert (multiply(f, add(g, h, p), p) == add(multiply(f, g, p), multiply(f, h, p), p)).all()
    assert (multiply(f, unit, p) == f).all()
    assert (multiply(negate(f, p), g, p) == negate(multiply(f, g, p), p)).all()


@given(polynomials())
def test_composition_distributes_over_sums_and_without_constant_term_over_products_and_compositions(
    case: tuple[int, list[Integers]],
) -> None:
    p, (f, g, h) = case
    assert (compose(add(f, g, p), h, p) == add(compose(f, h, p), compose(g, h, p), p)).all()
    h[:, 0] = 0
    assert (compose(multiply(f, g, p), h, p) == multiply(compose(f, h, p), compose(g, h, p), p)).all()
    assert (compose(compose(f, g, p), h, p) == compose(f, compose(g, h, p), p)).all()


@given(polynomials())
def test_x_is_neutral_in_composition_and_constants_ignore_their_argument(case: tuple[int, list[Integers]]) -> None:
    p, (f, g, _) = case
    constant = f * np.eye(1, f.shape[1], dtype=np.int64)
    assert (compose(constant, g, p) == constant).all()
    if f.shape[1] > 1:
        x = np.eye(1, f.shape[1], 1, dtype=np.int64)
        assert (compose(f, x, p) == f).all()
        assert (compose(x, f, p) == f).all()


def test_composition_uses_representatives_because_it_is_undefined_for_residue_classes() -> None:
    x4, x, inner = np.array([[0, 0, 0, 0, 1]]), np.array([[0, 1, 0, 0, 0]]), np.array([[1, 1, 0, 0, 0]])
    assert compose(multiply(x4, x, 7), inner, 7).tolist() == [[0, 0, 0, 0, 0]]
    fifth_power = [[1, 5, 10 % 7, 10 % 7, 5]]
    assert multiply(compose(x4, inner, 7), compose(x, inner, 7), 7).tolist() == fifth_power
