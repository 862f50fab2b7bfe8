"""Exact tests and intervals for small numbers of seeds.

With five seeds per arm, normal theory is unreliable and a bootstrap interval of a difference is too short. Claims are
therefore tested by permutation, and every interval inverts that same test: a verdict and its interval cannot disagree.
One idea serves every claim (Pitman 1937; Hartigan 1969, "Using subsample values as typical values"):

    the effect is a weighted sum of the arms' means     a difference: (1, -1); a slope over levels: centred ranks
    exchanging scores between the arms changes it       by as much as the effect itself if nothing else differs
    each exchange has one typical value                 the shift at which it gives as large an effect as observed
    the p value of any shift is a count of them         and the interval runs between two of them

Which scores may be exchanged is the form of the test (`forms/`). Arms that share their data are positively correlated
by seed; the independent form is then conservative, never liberal. It is the default because five seeds can decide up
to six claims with it. benchmarks/verdicts.py measures the error rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from studies.statistics.forms.form import TOLERANCE, Scores

SEEDS_MINIMUM = 5
"""A verdict needs at least this many seeds, whatever p value fewer would give."""


def p_above(shifts: Scores, shift: float) -> float:
    """Returns the exact one-sided p value against "the effect is at most `shift`"."""
    return float((1 + (shifts <= shift + TOLERANCE).sum()) / (1 + len(shifts)))


def p_below(shifts: Scores, shift: float) -> float:
    """Returns the exact one-sided p value against "the effect is at least `shift`"."""
    return float((1 + (shifts >= shift - TOLERANCE).sum()) / (1 + len(shifts)))


def bounds(shifts: Scores, level: float) -> tuple[float, float]:
    """Returns the two one-sided bounds of an effect, each at `level`; infinite if there are too few seeds."""
    outside = int(np.floor(level * (1 + len(shifts)) + TOLERANCE))
    return (float(shifts[outside - 1]), float(shifts[-outside])) if outside else (-np.inf, np.inf)


@dataclass(frozen=True)
class Contrast:
    """An effect and the interval that contains it with probability at least 1 - level."""

    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    """The outcome of an exact test: p values of any shift, and the interval that inverts them.

    effect: as observed. shifts: the typical values of candidate arm r minus rival arm c, in row r and column c; one row
    and one column where the effect is a single weighted sum. The candidates are above the rivals where for every rival
    there is a candidate above it: an intersection over the rivals, each tested at the whole level (Berger 1982), of
    unions over the candidates, which share it (Bonferroni). The same holds the other way round.
    """

    effect: float
    shifts: Sequence[Sequence[Scores]]

    def above(self, shift: float) -> float:
        """Returns the one-sided p value against "the effect is at most `shift`"."""
        p_RxC = np.array([[p_above(values, shift) for values in row] for row in self.shifts])
        return min(1.0, float(len(p_RxC) * p_RxC.min(axis=0).max()))

    def below(self, shift: float) -> float:
        """Returns the one-sided p value against "the effect is at least `shift`"."""
        p_RxC = np.array([[p_below(values, shift) for values in row] for row in self.shifts])
        return min(1.0, float(p_RxC.shape[1] * p_RxC.min(axis=1).max()))

    def contrast(self, level: float) -> Contrast:
        """Returns the effect with its interval, which inverts `above` and `below` at half the level each."""
        rows, columns = len(self.shifts), len(self.shifts[0])
        low = np.array([[bounds(values, level / 2 / rows)[0] for values in row] for row in self.shifts])
        high = np.array([[bounds(values, level / 2 / columns)[1] for values in row] for row in self.shifts])
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


def mean_interval(scores: Scores, level: float) -> tuple[float, float]:
    """Returns Student's t interval of an arm's mean over seeds, or (nan, nan) for a single score and for equal scores.

    Equal scores in a few seeds do not show that the variance is zero. The interval has its nominal coverage if scores
    are nearly normal. benchmarks/verdicts.py measures the coverage, and docs/statistics.md lists where it is too low:
    no interval of five scores can account for the one seed in ten that does not learn.
    """
    if len(scores) < 2 or np.ptp(scores) < TOLERANCE:
        return np.nan, np.nan
    low, high = stats.t.interval(1 - level, len(scores) - 1, scores.mean(), stats.sem(scores))
    return float(low), float(high)
