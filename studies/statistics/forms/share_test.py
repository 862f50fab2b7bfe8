"""The exact unconditional test of two shares, and the interval that inverts it.

Two arms of n runs each have x and y runs that solve their task. The test asks how probable a result at least as extreme
is if the shares differ by `shift` (Barnard 1945; Chan & Zhang 1999, doi 10.1111/j.0006-341X.1999.01202.x):

    results are ordered by the score statistic of the shift       the difference minus the shift, in standard errors of
                                                                  the most likely shares that differ by the shift
    the p value is the largest over all pairs of shares           so no assumption is made about the shares
    that differ by the shift
    the p value against "at most a shift" is the largest of       so p values rise with the shift, and an interval that
    those of all smaller shifts                                   inverts the test agrees with it

Fisher's exact test conditions on the number of runs that solve the task in both arms. It is valid too, but more
conservative: with five of five against none it gives p = 0.0079 where this test gives 0.0020. An interval from shifted
scores, which serves every other measure, does not exist for shares, because a shifted 0 or 1 is neither.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from studies.statistics.forms.form import TOLERANCE, Scores

SHIFTS = np.linspace(-1.0, 1.0, 401)
"""The shifts that are tested; the ends of an interval are among them."""
NUISANCES = 101
"""Number of pairs of shares, from one extreme to the other, over which a p value is maximised."""
EXACT_MAXIMUM = 64
"""Runs per arm up to which the test is exact; beyond, the score statistic is taken to be normal."""


@dataclass(frozen=True)
class SharesTest:
    """The test of one pair of arms.

    Attributes:
        treatment: runs of the treatment that solved the task.
        control: runs of the control that solved the task.
        runs: runs of each arm.
    """

    treatment: int
    control: int
    runs: int

    def above(self, shift: float) -> float:
        """Returns the p value against "the difference is at most `shift`".

        Between two tested shifts it is the p value of the larger one, so that verdict and interval agree there too.
        """
        next_tested = min(int(np.searchsorted(SHIFTS, shift - TOLERANCE)), len(SHIFTS) - 1)
        return float(p_values(self.treatment, self.control, self.runs)[next_tested])

    def below(self, shift: float) -> float:
        """Returns the p value against "the difference is at least `shift`"."""
        return SharesTest(self.control, self.treatment, self.runs).above(-shift)

    def bounds(self, level: float) -> tuple[float, float]:
        """Returns the two one-sided bounds of the difference, each at `level`."""
        return self._low(level), -SharesTest(self.control, self.treatment, self.runs)._low(level)

    def _low(self, level: float) -> float:
        rejected = p_values(self.treatment, self.control, self.runs) <= level + TOLERANCE
        return float(SHIFTS[rejected][-1]) if rejected.any() else -1.0


def p_values(treatment: int, control: int, runs: int) -> Scores:
    """Returns the p values against "the difference is at most a shift" for all `SHIFTS`."""
    if runs > EXACT_MAXIMUM:
        successes = np.array([[treatment, control]])
        p = np.array([stats.norm.sf(score_statistics(successes, runs, shift)[0]) for shift in SHIFTS])
    else:
        p = exact_p_values(runs)[:, treatment, control]
    return np.asarray(np.maximum.accumulate(p))


@lru_cache(maxsize=32)
def exact_p_values(runs: int) -> Scores:
    """Returns the p value of every shift and result: [shift, runs that solve it in one arm, in the other]."""
    counts = np.arange(runs + 1)
    results = np.stack(np.meshgrid(counts, counts, indexing="ij"), axis=-1).reshape(-1, 2)
    tables = np.empty((len(SHIFTS), len(results)))
    for index, shift in enumerate(SHIFTS):
        control, treatment = shares_that_differ_by(shift)
        probability = np.einsum(
            "px,py->pxy",
            stats.binom.pmf(counts, runs, treatment[:, None]),
            stats.binom.pmf(counts, runs, control[:, None]),
        ).reshape(NUISANCES, -1)
        statistics = np.round(score_statistics(results, runs, shift), 9)
        order = np.argsort(-statistics, kind="stable")
        largest = probability[:, order].cumsum(axis=1).max(axis=0)
        last_of_equals = np.searchsorted(-statistics[order], -statistics, side="right") - 1
        tables[index] = np.minimum(1.0, largest[last_of_equals])
    return tables.reshape(len(SHIFTS), runs + 1, runs + 1)


def shares_that_differ_by(shift: float) -> tuple[Scores, Scores]:
    """Returns the shares of control and treatment in pairs that differ by the shift, over the whole range."""
    control = np.linspace(max(0.0, -shift), min(1.0, 1.0 - shift), NUISANCES)
    return control, np.clip(control + shift, 0.0, 1.0)


def score_statistics(results: NDArray[np.int64], runs: int, shift: float) -> Scores:
    """Returns the score statistic of each result [R, 2], runs that solve the task in treatment and control.

    The standard error is that of the pair of shares, among those that differ by the shift, under which the result is
    most likely (Farrington & Manning 1990).
    """
    control, treatment = shares_that_differ_by(shift)
    solved, rest = results[:, None, :], runs - results[:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = (
            special.xlogy(solved[..., 0], treatment)
            + special.xlogy(rest[..., 0], 1 - treatment)
            + special.xlogy(solved[..., 1], control)
            + special.xlogy(rest[..., 1], 1 - control)
        )
        chosen = np.argmax(likelihood, axis=1)
        p, q = treatment[chosen], control[chosen]
        deviation = np.sqrt((p * (1 - p) + q * (1 - q)) / runs)
        excess = (results[:, 0] - results[:, 1]) / runs - shift
        statistics = np.where(np.abs(excess) < TOLERANCE, 0.0, excess / deviation)
    return np.asarray(statistics)
