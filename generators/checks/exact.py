"""The exact binomial test by which the checks of a task tell a defect from chance."""

from functools import lru_cache

import numpy as np

from generators.foundation.randomness import Floats

LEVEL = 1e-6
"""The probability with which all tests of one question, together, raise a false alarm."""


def upper_tail(hits: int, count: int, probability: float) -> float:
    """Returns P(X >= `hits`) for X binomial with `count` trials of this probability.

    It also bounds the tail of a sum of independent trials whose probabilities only average to `probability`, for hits
    above count * probability + 1 (Hoeffding 1956, "On the distribution of the number of successes in independent
    trials").
    """
    if hits <= count * probability:
        return 1.0
    if probability <= 0:
        return 0.0
    successes = np.arange(hits, count + 1)
    factorials = log_factorials(count)
    choices = factorials[count] - factorials[successes] - factorials[count - successes]
    logs = choices + successes * np.log(probability) + (count - successes) * np.log1p(-probability)
    return float(min(1.0, np.exp(logs).sum()))


@lru_cache(maxsize=8)
def log_factorials(count: int) -> Floats:
    """Returns log 0!, log 1!, ..., log `count`!."""
    return np.append(0.0, np.log(np.arange(1, count + 1)).cumsum())
