"""Computes entropies of known distributions, in nats."""

from collections.abc import Iterator, Sequence

import numpy as np

from generators.foundation.randomness import Floats
from generators.protocols import EntropyEstimate


def exactly(nats: Sequence[float] | Floats) -> EntropyEstimate:
    """Wraps numbers [n] that are known in closed form."""
    return EntropyEstimate(np.asarray(nats), np.zeros(len(nats)))


def averaged(parts: Iterator[Floats]) -> EntropyEstimate:
    """Averages numbers [sequences, n] of independent sequences, which arrive in parts."""
    numbers = np.concatenate(list(parts))
    return EntropyEstimate(numbers.mean(axis=0), numbers.std(axis=0, ddof=1) / np.sqrt(len(numbers)))


def entropy(probabilities: Floats) -> Floats:
    """Computes the entropy [...] of distributions [..., V]."""
    total: Floats = -np.sum(probabilities * logarithm(probabilities), axis=-1)
    return total


def logarithm(values: Floats) -> Floats:
    """Computes the natural logarithm, with 0 at 0, because p log p tends to 0 there."""
    result: Floats = np.log(values, out=np.zeros_like(values), where=values > 0)
    return result


def pair_entropies(joint: Floats) -> Floats:
    """Computes H(X), H(Y), H(X|Y), H(Y|X) and I(X;Y), each by its own definition.

    Args:
        joint: joint distributions [N, X, Y].

    Returns:
        [N, 5], in the order of `generators.protocols.Information`.
    """
    x, y = joint.sum(axis=2), joint.sum(axis=1)
    log_pair, log_x, log_y = logarithm(joint), logarithm(x)[:, :, None], logarithm(y)[:, None, :]
    surprises = (log_y - log_pair, log_x - log_pair, log_pair - log_x - log_y)
    means = ((joint * surprise).sum(axis=(1, 2)) for surprise in surprises)
    return np.stack((entropy(x), entropy(y), *means), axis=1)
