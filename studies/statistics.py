"""Exact tests and intervals for small numbers of seeds.

With five seeds an arm, normal theory is a hope and a bootstrap interval of a difference is too short. So
contrasts are judged by exact permutation, and their interval is the inversion of that same test: a verdict
and its interval cannot disagree.

Two forms (Pitman 1937; Hartigan 1969, "Using subsample values as typical values"):

    independent   which seeds belong to which arm is permuted: C(2k, k) divisions; 252 for five seeds an arm
    paired        the sign of each seed's difference is permuted: 2^k; 32 for five seeds, too few for 0.05 two-sided

Arms that share their data are positively correlated by seed; the independent form is then conservative, never
liberal. It is the default because five seeds can decide up to six claims with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Form = Literal["independent", "paired"]
Scores = NDArray[np.float64]
ENUMERATED_MAXIMUM = 200_000
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Contrast:
    """Treatment less control.

    difference: of the means. low, high: the interval at the stated level, by inverting the test. p_greater, p_less:
    exact one-sided p values of the difference being above and below zero.
    """

    difference: float
    low: float
    high: float
    p_greater: float
    p_less: float

    @property
    def p_two_sided(self) -> float:
        """Twice the smaller of the one-sided p values."""
        return min(1.0, 2 * min(self.p_greater, self.p_less))


def smallest_p(seeds: int, form: Form) -> float:
    """The smallest two-sided p value that this many seeds an arm can give."""
    return min(1.0, 2 / (comb(2 * seeds, seeds) if form == "independent" else 2**seeds))


def typical_values(treatment: Scores, control: Scores, form: Form, rng: np.random.Generator) -> Scores:
    """The shifts at which the permutation test changes its mind, sorted.

    Removing a shift from the treatment and exchanging some of its seeds for as many of the control gives a larger
    difference than observed exactly when the shift exceeds the mean of those it loses less the mean of those it
    gains. Each exchange gives one such value; so the p value of any shift is a count of them.
    Above `ENUMERATED_MAXIMUM` exchanges, that many are drawn with `rng`.
    """
    if form == "paired":
        return np.sort(np.array([subset.mean() for subset in _subsets(treatment - control, rng)]))
    k = len(treatment)
    if comb(2 * k, k) <= ENUMERATED_MAXIMUM:
        values = [np.subtract.outer(_means(treatment, size), _means(control, size)).ravel() for size in range(1, k + 1)]
        return np.sort(np.concatenate(values))
    drawn = np.empty(ENUMERATED_MAXIMUM)
    for index in range(ENUMERATED_MAXIMUM):
        size = rng.hypergeometric(k, k, k)
        lost, gained = rng.permutation(k)[:size], rng.permutation(k)[:size]
        drawn[index] = treatment[lost].mean() - control[gained].mean() if size else np.inf
    return np.sort(drawn[np.isfinite(drawn)])


def _means(values: Scores, size: int) -> Scores:
    return np.array([np.mean(chosen) for chosen in combinations(values, size)])


def _subsets(values: Scores, rng: np.random.Generator) -> Iterator[Scores]:
    """Every non-empty subset, or as many random ones."""
    if 2 ** len(values) <= ENUMERATED_MAXIMUM:
        for size in range(1, len(values) + 1):
            yield from (np.array(chosen) for chosen in combinations(values, size))
        return
    for _ in range(ENUMERATED_MAXIMUM):
        mask = rng.random(len(values)) < 0.5
        if mask.any():
            yield values[mask]


def p_above(shifts: Scores, shift: float) -> float:
    """Exact p value against "the treatment is above the control by no more than `shift`"."""
    return float((1 + (shifts <= shift + TOLERANCE).sum()) / (1 + len(shifts)))


def p_below(shifts: Scores, shift: float) -> float:
    """Exact p value against "the treatment is above the control by at least `shift`"."""
    return float((1 + (shifts >= shift - TOLERANCE).sum()) / (1 + len(shifts)))


def contrast(treatment: Scores, control: Scores, form: Form, level: float, rng: np.random.Generator) -> Contrast:
    """Compare two arms of k scores each, paired by position where `form` says so.

    The interval holds the true shift with probability at least 1 - level; it is infinite where k is too small to
    say anything at that level.
    """
    if len(treatment) != len(control) or len(treatment) < 1:
        raise ValueError(f"arms of {len(treatment)} and {len(control)} scores; should be of one size, at least 1")
    shifts = typical_values(treatment, control, form, rng)
    outside = int(np.floor(level / 2 * (1 + len(shifts)) + TOLERANCE))
    low, high = (shifts[outside - 1], shifts[-outside]) if outside else (-np.inf, np.inf)
    return Contrast(
        difference=float(treatment.mean() - control.mean()),
        low=float(low),
        high=float(high),
        p_greater=p_above(shifts, 0.0),
        p_less=p_below(shifts, 0.0),
    )


def holm(p_values: Scores) -> tuple[Scores, NDArray[np.int64]]:
    """Holm's step-down correction (1979): corrected p values [m], and the rank 0..m-1 of each claim [m].

    The claim of rank r is judged at level / (m - r). (statsmodels has it too, but collects garbage at every call, which
    makes a simulation of many studies a hundred times slower.)
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    ranks = np.empty(count, dtype=np.int64)
    ranks[order] = np.arange(count)
    stepped = np.maximum.accumulate((count - np.arange(count)) * p_values[order])
    return np.minimum(stepped, 1.0)[ranks], ranks


def mean_interval(scores: Scores, level: float, rng: np.random.Generator) -> tuple[float, float]:
    """Bootstrap interval of an arm's mean over seeds (BCa); the point itself where the scores do not vary."""
    if len(scores) < 2 or np.ptp(scores) < TOLERANCE:
        return float(scores.mean()), float(scores.mean())
    found = stats.bootstrap((scores,), np.mean, confidence_level=1 - level, method="BCa", rng=rng).confidence_interval
    if not np.isfinite([found.low, found.high]).all():
        found = stats.bootstrap((scores,), np.mean, confidence_level=1 - level, method="percentile", rng=rng)
        found = found.confidence_interval
    return float(found.low), float(found.high)
