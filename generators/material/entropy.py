"""Entropies of distributions that are known, in nats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Numbers [n] in nats, and the standard error of each: 0 where the number is exact."""

    nats: Floats
    error: Floats


def exactly(nats: Sequence[float] | Floats) -> Estimate:
    """Numbers [n] known in closed form."""
    return Estimate(np.asarray(nats), np.zeros(len(nats)))


def averaged(parts: Iterator[Floats]) -> Estimate:
    """The mean over independent sequences of numbers [sequences, n] that come in parts."""
    numbers = np.concatenate(list(parts))
    return Estimate(numbers.mean(axis=0), numbers.std(axis=0, ddof=1) / np.sqrt(len(numbers)))


@dataclass(frozen=True)
class Information:
    """What the next token X and the one after it, Y, tell of each other, the past being known; in nats.

    Attributes:
        x, y: H(X | past), H(Y | past).
        x_given_y, y_given_x: H(X | Y, past), H(Y | X, past).
        mutual: I(X; Y | past).
        error: the largest of their standard errors, 0 where they are exact.
    """

    x: float
    y: float
    x_given_y: float
    y_given_x: float
    mutual: float
    error: float

    @classmethod
    def of(cls, numbers: Floats, error: float) -> "Information":
        """The five numbers as `pair_entropies` gives them."""
        x, y, x_given_y, y_given_x, mutual = numbers.tolist()
        return cls(x=x, y=y, x_given_y=x_given_y, y_given_x=y_given_x, mutual=mutual, error=error)


def entropy(probabilities: Floats) -> Floats:
    """The entropy [...] of distributions [..., V]."""
    total: Floats = -np.sum(probabilities * logarithm(probabilities), axis=-1)
    return total


def logarithm(values: Floats) -> Floats:
    """The natural logarithm, and 0 at 0, since p log p is 0 there."""
    result: Floats = np.log(values, out=np.zeros_like(values), where=values > 0)
    return result


def pair_entropies(joint: Floats) -> Floats:
    """The five numbers of `Information` [N, 5] for joint distributions [N, X, Y], each by its own definition."""
    x, y = joint.sum(axis=2), joint.sum(axis=1)
    log_pair, log_x, log_y = logarithm(joint), logarithm(x)[:, :, None], logarithm(y)[:, None, :]
    surprises = (log_y - log_pair, log_x - log_pair, log_pair - log_x - log_y)
    return np.stack((entropy(x), entropy(y), *((joint * each).sum(axis=(1, 2)) for each in surprises)), axis=1)
