"""Exact tests and intervals for small numbers of seeds.

With five seeds an arm, normal theory is a hope and a bootstrap interval of a difference is too short. So what
claims say is tested by permutation, and every interval is the inversion of that same test: a verdict and its
interval cannot disagree. One idea serves every claim (Pitman 1937; Hartigan 1969, "Using subsample values as
typical values"):

    the effect is a weighted sum of the arms' means     a difference: (1, -1); a slope over levels: centred ranks
    exchanging scores between the arms changes it       by as much as the effect itself where nothing else differs
    each exchange has one typical value                 the shift at which it gives as large an effect as observed
    the p value of any shift is a count of them         and the interval runs between two of them

Two forms say which scores may be exchanged:

    independent   any: C(2k, k) divisions of two arms; 252 for five seeds an arm
    paired        those of one seed: 2^k for two arms; 32 for five seeds, too few for 0.05 two-sided

Arms that share their data are positively correlated by seed; the independent form is then conservative, never
liberal. It is the default because five seeds can decide up to six claims with it. benchmarks/verdicts.py measures
what is promised here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import chain, combinations, permutations
from math import comb, factorial, prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Form = Literal["independent", "paired"]
Scores = NDArray[np.float64]
SEEDS_MINIMUM = 5
"""Fewer decide nothing, whatever p they give."""
ENUMERATED_MAXIMUM = 200_000
DRAWN = 50_000
"""Exchanges drawn, with a fixed generator, where there are more than `ENUMERATED_MAXIMUM`: the same for every claim."""
TOLERANCE = 1e-12


def exchanges(arms: int, seeds: int, form: Form) -> int:
    """In how many ways the scores can be divided among the arms, the way they are included."""
    if form == "paired":
        return int(factorial(arms) ** seeds)
    return prod(comb(seeds * arm, seeds) for arm in range(1, arms + 1))


def smallest_p(arms: int, seeds: int, form: Form) -> float:
    """The smallest two-sided p value that this many seeds an arm can give."""
    count = exchanges(arms, seeds, form)
    return min(1.0, 2 / (count if count <= ENUMERATED_MAXIMUM else 1 + DRAWN))


def typical_values(scores_AxK: Scores, weights_A: Scores, form: Form) -> Scores:
    """The shifts of the effect, `weights_A @ scores_AxK.mean(axis=1)`, at which an exchange gives as much; sorted.

    Take a shift s of the effect out of the scores, s * d for the direction d = weights / |weights|^2 of the arms'
    means, and exchange: the effect is at least that observed exactly when s >= (T(y) - T(gy)) / (1 - T(gd)), with
    T the effect and g the exchange. For two arms that is the mean of the scores the treatment loses less the mean
    of those it gains (independent), or the mean difference of the seeds that are exchanged (paired).
    """
    arms, seeds = scores_AxK.shape
    if form == "paired" and exchanges(arms, seeds, form) <= ENUMERATED_MAXIMUM:
        effects, scales = _every_order_within_seeds(scores_AxK, weights_A)
    else:
        weights_GxAK, scales = _rearranged(tuple(map(float, weights_A)), seeds, form)
        effects = weights_GxAK @ scores_AxK.ravel()
    effect, moved = weights_A @ scores_AxK.mean(axis=1), scales < 1 - TOLERANCE
    return np.sort((effect - effects[moved]) / (1 - scales[moved]))


def _every_order_within_seeds(scores_AxK: Scores, weights_A: Scores) -> tuple[Scores, Scores]:
    """The effect under each exchange within seeds [G], and that of the direction [G]: sums over seeds of each's own."""
    arms, seeds = scores_AxK.shape
    weights_PxA = weights_A[np.array(list(permutations(range(arms))))]
    effects_KxP = (weights_PxA @ scores_AxK / seeds).T
    scales_P = weights_PxA @ weights_A / (weights_A @ weights_A) / seeds
    effects, scales = (reduce(lambda sums, one: np.add.outer(sums, one).ravel(), each)
                       for each in (effects_KxP, [scales_P] * seeds))  # fmt: skip
    return effects, scales


@lru_cache(maxsize=4)
def _rearranged(weights: tuple[float, ...], seeds: int, form: Form) -> tuple[Scores, Scores]:
    """The weight of every score under each exchange [G, A * K], and the effect of the direction under it [G].

    Divisions of two arms are enumerated where they are few enough, others drawn.
    """
    each_A, rng = np.array(weights), np.random.default_rng(0)
    if form == "paired":
        drawn_GxKxA = rng.permuted(np.tile(each_A, (DRAWN, seeds, 1)), axis=2)
        given_GxAK = drawn_GxKxA.transpose(0, 2, 1).reshape(DRAWN, -1)
    elif len(weights) == 2 and exchanges(2, seeds, form) <= ENUMERATED_MAXIMUM:
        chosen = np.fromiter(chain.from_iterable(combinations(range(2 * seeds), seeds)), dtype=np.int64)
        given_GxAK = np.full((len(chosen) // seeds, 2 * seeds), each_A[1])
        np.put_along_axis(given_GxAK, chosen.reshape(-1, seeds), each_A[0], axis=1)
    else:
        given_GxAK = rng.permuted(np.tile(np.repeat(each_A, seeds), (DRAWN, 1)), axis=1)
    direction = np.repeat(each_A / (each_A @ each_A), seeds)
    return given_GxAK / seeds, given_GxAK @ direction / seeds


def p_above(shifts: Scores, shift: float) -> float:
    """Exact one-sided p value against "the effect is no more than `shift`"."""
    return float((1 + (shifts <= shift + TOLERANCE).sum()) / (1 + len(shifts)))


def p_below(shifts: Scores, shift: float) -> float:
    """Exact one-sided p value against "the effect is at least `shift`"."""
    return float((1 + (shifts >= shift - TOLERANCE).sum()) / (1 + len(shifts)))


def ends(shifts: Scores, level: float) -> tuple[float, float]:
    """The two one-sided bounds of an effect, each at `level`; infinite where the seeds cannot say."""
    outside = int(np.floor(level * (1 + len(shifts)) + TOLERANCE))
    return (float(shifts[outside - 1]), float(shifts[-outside])) if outside else (-np.inf, np.inf)


@dataclass(frozen=True)
class Contrast:
    """An effect and the interval that holds it with probability at least 1 - level."""

    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    """What scores say of an effect.

    An effect is a difference, a slope, or how far the best of some arms is above the best of others.

    effect: as observed. shifts: the typical values of named arm r less other arm c; one row and column where the
    effect is a single weighted sum. The named are above the others where for each other there is a named one above it:
    an intersection over the others, tested each at the whole level (Berger 1982), of unions over the named, which
    share it (Bonferroni). And the other way round.
    """

    effect: float
    shifts: Sequence[Sequence[Scores]]

    def above(self, shift: float) -> float:
        """One-sided p value against "the effect is no more than `shift`"."""
        p_RxC = np.array([[p_above(one, shift) for one in row] for row in self.shifts])
        return min(1.0, float(len(p_RxC) * p_RxC.min(axis=0).max()))

    def below(self, shift: float) -> float:
        """One-sided p value against "the effect is at least `shift`"."""
        p_RxC = np.array([[p_below(one, shift) for one in row] for row in self.shifts])
        return min(1.0, float(p_RxC.shape[1] * p_RxC.min(axis=1).max()))

    def contrast(self, level: float) -> Contrast:
        """The effect with its interval, by inverting `above` and `below` at half the level each."""
        rows, columns = len(self.shifts), len(self.shifts[0])
        low = np.array([[ends(one, level / 2 / rows)[0] for one in row] for row in self.shifts])
        high = np.array([[ends(one, level / 2 / columns)[1] for one in row] for row in self.shifts])
        return Contrast(self.effect, float(low.max(axis=0).min()), float(high.min(axis=1).max()))


def weighed(scores_AxK: Scores, weights_A: Scores, form: Form) -> Evidence:
    """The evidence on one weighted sum of the means of arms of k scores each; paired by position where `form` is."""
    return Evidence(float(weights_A @ scores_AxK.mean(axis=1)), [[typical_values(scores_AxK, weights_A, form)]])


def ranked(scores_AxK: Scores, named: int, form: Form) -> Evidence:
    """The evidence on how far the best of the first `named` arms is above the best of the rest."""
    means, pair = scores_AxK.mean(axis=1), np.array([1.0, -1.0])
    shifts = [
        [typical_values(np.stack([one, other]), pair, form) for other in scores_AxK[named:]]
        for one in scores_AxK[:named]
    ]
    return Evidence(float(means[:named].max() - means[named:].max()), shifts)


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


def mean_interval(scores: Scores, level: float) -> tuple[float, float]:
    """Student's t interval of an arm's mean over seeds; the point itself where the scores do not vary.

    It covers as promised where scores are near normal. benchmarks/verdicts.py measures it, and docs/statistics.md says
    where it falls short: no interval of five scores can know of the seed in ten that does not learn.
    """
    if len(scores) < 2 or np.ptp(scores) < TOLERANCE:
        return float(scores.mean()), float(scores.mean())
    low, high = stats.t.interval(1 - level, len(scores) - 1, scores.mean(), stats.sem(scores))
    return float(low), float(high)
