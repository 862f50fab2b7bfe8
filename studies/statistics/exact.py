"""Exact tests and intervals for small numbers of seeds.

With five seeds per arm, normal theory is unreliable and a bootstrap interval of a difference is too narrow. Claims are
therefore tested by permutation, and every interval inverts that same test: a verdict and its interval cannot disagree.
One idea serves every claim (Pitman 1937; Hartigan 1969, "Using subsample values as typical values"):

    the effect is a weighted sum of the arms' means     a difference: (1, -1); a slope over levels: centred ranks
    exchanging scores between the arms changes it       by as much as the effect itself if nothing else differs
    each exchange has one typical value                 the shift at which it gives as large an effect as observed
    the p value of any shift is a count of them         and the interval extends from one of them to another

Which scores may be exchanged is the form of the test (`forms/`). Arms that share their data are positively correlated
by seed; the independent form is then conservative, never liberal. It is the default because five seeds can decide up
to six claims with it. benchmarks/verdicts.py measures the error rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from studies.statistics.forms.form import TOLERANCE, PairTest, Scores

SEEDS_MINIMUM = 5
"""A verdict needs at least this many seeds, whatever p value fewer would give."""


@dataclass(frozen=True)
class Contrast:
    """An effect and the interval that contains it with probability at least 1 - level."""

    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    """The outcome of an exact test: p values of any shift, and the interval that inverts them.

    effect: as observed. tests: the tests of candidate arm r minus rival arm c, in row r and column c; one row and one
    column if the effect is a single weighted sum. The candidates are above the rivals if, for every rival, some
    candidate is above it: an intersection over the rivals, each tested at the whole level (Berger 1982), of unions
    over the candidates, which share it (Bonferroni). The same holds the other way round.
    """

    effect: float
    tests: Sequence[Sequence[PairTest]]

    def above(self, shift: float) -> float:
        """Returns the one-sided p value against "the effect is at most `shift`"."""
        p_RxC = np.array([[test.above(shift) for test in row] for row in self.tests])
        return min(1.0, float(len(p_RxC) * p_RxC.min(axis=0).max()))

    def below(self, shift: float) -> float:
        """Returns the one-sided p value against "the effect is at least `shift`"."""
        p_RxC = np.array([[test.below(shift) for test in row] for row in self.tests])
        return min(1.0, float(p_RxC.shape[1] * p_RxC.min(axis=1).max()))

    def contrast(self, level: float) -> Contrast:
        """Returns the effect with its interval, which inverts `above` and `below` at half the level each."""
        rows, columns = len(self.tests), len(self.tests[0])
        low = np.array([[test.bounds(level / 2 / rows)[0] for test in row] for row in self.tests])
        high = np.array([[test.bounds(level / 2 / columns)[1] for test in row] for row in self.tests])
        return Contrast(self.effect, float(low.max(axis=0).min()), float(high.min(axis=1).max()))


def holm(p_values: Scores) -> tuple[Scores, NDArray[np.int64]]:
    """Applies Holm's step-down correction (1979) to the p values of m claims.

    The claim of rank r is judged at level / (m - r). statsmodels implements it too, but its garbage collection at every
    call makes a simulation of many studies a hundred times slower.

    Returns:
        corrected p values [m], and the rank 0..m-1 of each claim [m].
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    ranks = np.empty(count, dtype=np.int64)
    ranks[order] = np.arange(count)
    stepped = np.maximum.accumulate((count - np.arange(count)) * p_values[order])
    return np.minimum(stepped, 1.0)[ranks], ranks


def mean_interval(scores: Scores, level: float, bounds: tuple[float, float] | None = None) -> tuple[float, float]:
    """Returns the interval of an arm's mean over seeds, or (nan, nan) for a single score and for equal scores.

    Without bounds it is Student's t interval. Between bounds it is Student's t interval of the mean's logit, with the
    standard error of the delta method, so that it lies between them. Equal scores in a few seeds do not show that the
    variance is zero. The interval has its nominal coverage if scores are nearly normal. benchmarks/verdicts.py measures
    the coverage, and docs/statistics.md lists where it is too low: no interval of five scores can account for the one
    seed in ten that does not learn. Shares have an exact interval instead (`share_interval`).

    Args:
        bounds: the smallest and the largest value that a score can have.
    """
    if len(scores) < 2 or np.ptp(scores) < TOLERANCE:
        return np.nan, np.nan
    mean, error = float(scores.mean()), float(stats.sem(scores))
    reach = float(stats.t.ppf(1 - level / 2, len(scores) - 1))
    if bounds is None:
        return mean - reach * error, mean + reach * error
    smallest, width = bounds[0], bounds[1] - bounds[0]
    share = (mean - smallest) / width
    logit_error = error / width / (share * (1 - share))
    low, high = special.expit(special.logit(share) + reach * logit_error * np.array([-1.0, 1.0]))
    return smallest + width * float(low), smallest + width * float(high)


def share_interval(scores: Scores, level: float) -> tuple[float, float]:
    """Returns the exact interval of the share of ones among scores of 0 or 1 (Clopper & Pearson 1934).

    It covers the share with at least its nominal probability, and is an interval even where all scores are equal.
    """
    if not len(scores):
        return np.nan, np.nan
    interval = stats.binomtest(round(scores.sum()), len(scores)).proportion_ci(1 - level, "exact")
    return float(interval.low), float(interval.high)
