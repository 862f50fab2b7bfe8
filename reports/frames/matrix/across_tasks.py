"""Objectives compared across tasks: how often one improves on the baseline, ranks, and performance profiles.

The ideas are those of rliable (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical
precipice", arXiv 2108.13264): compare distributions over runs and tasks, with intervals, instead of a mean of a few
seeds. Their bootstrap intervals are replaced by exact ones. All of it is about the share of its budget that a run took
to solve its task, in the seeds that every arm has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reports.frames.matrix.results import MatrixResults
from studies.statistics.effects import PAIR
from studies.statistics.exact import holm
from studies.statistics.forms.form import TOLERANCE
from studies.statistics.forms.paired import PAIRED

Budgets = NDArray[np.float64]


@dataclass(frozen=True)
class Improvement:
    """How often a run beats that of the baseline with the same task and seed.

    Attributes:
        probability: of a win, where a tie counts half.
        low, high: its interval.
    """

    wins: int
    ties: int
    pairs: int
    probability: float
    low: float
    high: float


def improvement(budgets: Budgets, baseline: Budgets, level: float = 0.05) -> Improvement:
    """Returns the probability that a run takes a smaller share of its budget than the baseline's.

    Pairs of different seeds or tasks are independent. The interval is that of Clopper & Pearson (1934), whose lower end
    counts ties as losses and whose upper end counts them as wins; it is exact for any share of ties, and wide if many
    pairs are tied. If tasks differ in their probability, the number of wins varies less than a binomial number with the
    mean probability (Hoeffding 1956), so the interval holds for the mean over tasks too.
    """
    gains = (baseline - budgets).ravel()
    wins, ties, pairs = int((gains > TOLERANCE).sum()), int((abs(gains) <= TOLERANCE).sum()), gains.size
    if not pairs:
        return Improvement(0, 0, 0, np.nan, np.nan, np.nan)
    low = stats.binomtest(wins, pairs).proportion_ci(1 - level, "exact").low
    high = stats.binomtest(wins + ties, pairs).proportion_ci(1 - level, "exact").high
    return Improvement(wins, ties, pairs, (wins + ties / 2) / pairs, float(low), float(high))


@dataclass(frozen=True)
class Rank:
    """The rank of an objective by its mean over tasks and seeds; 1 is best.

    Attributes:
        mean: the mean share of the budget.
        rank: equal means share the mean of their ranks.
        low, high: the ranks that the comparisons with all others leave open.
        by_task: the mean over tasks of its rank on each.
    """

    mean: float
    rank: float
    low: int
    high: int
    by_task: float


def ranks(matrix: MatrixResults) -> dict[str, Rank]:
    """Returns objective -> rank; {} if no seed has run in every arm.

    Every pair of objectives is compared by the exact paired test over tasks and seeds, with Holm's correction over the
    pairs. An objective that is worse than b others and better than w of the m has a rank from 1 + b to m - w, for all
    objectives together with the probability 1 - level (Mohamad, Goeman & van Zwet 2022, doi 10.1111/biom.13468).
    """
    if not matrix.seeds:
        return {}
    names = list(matrix.objectives)
    budgets = {name: matrix.budgets_TxK(name) for name in names}
    means = {name: float(values.mean()) for name, values in budgets.items()}
    order = dict(zip(names, stats.rankdata(list(means.values())), strict=True))
    by_task = stats.rankdata(np.array([values.mean(axis=1) for values in budgets.values()]), axis=0).mean(axis=1)
    pairs = list(combinations(names, 2))
    p_values = np.array([_paired_p(budgets[first], budgets[second]) for first, second in pairs])
    corrected = holm(p_values)[0] if pairs else p_values
    better, worse = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for (first, second), p in zip(pairs, corrected, strict=True):
        if p <= matrix.level:
            winner, loser = (first, second) if means[first] < means[second] else (second, first)
            worse[winner] += 1
            better[loser] += 1
    return {
        name: Rank(means[name], float(order[name]), 1 + better[name], len(names) - worse[name], float(mean_rank))
        for name, mean_rank in zip(names, by_task, strict=True)
    }


def _paired_p(first: Budgets, second: Budgets) -> float:
    """Returns the two-sided p value of equal arms."""
    if np.allclose(first, second):
        return 1.0
    test = PAIRED.pair_test(np.stack([first.ravel(), second.ravel()]), PAIR)
    return min(1.0, 2 * min(test.above(0.0), test.below(0.0)))


def profile(budgets: Budgets, solved: NDArray[np.bool_], shares: Sequence[float]) -> list[float]:
    """Returns the share of runs, over tasks and seeds, that solved their task within each share of their budget."""
    return [float((solved & (budgets <= share + TOLERANCE)).mean()) for share in shares]
