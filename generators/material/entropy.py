"""Entropies of distributions that are known, in nats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from generators.foundation.randomness import Floats as Floats


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
