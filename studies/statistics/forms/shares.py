"""The form of shares: runs solve their task or do not, and arms are compared by the share of runs that do.

A study does not select it. It is the form of every claim whose measure is a share, in place of the form that the study
declares. Its test of two arms is exact and makes no assumption about the shares (`share_test`). It ignores that arms
share their data by seed, which makes it conservative where their outcomes are positively correlated. A trend over more
than two levels exchanges scores as the independent form does. An interaction, whose arms are differences of runs, has
the form that the study declares.
"""

import numpy as np

from studies.statistics.forms.form import PairTest, Scores
from studies.statistics.forms.independent import Independent
from studies.statistics.forms.share_test import SharesTest

TWO_ARMS = ((1.0, -1.0), (-1.0, 1.0))
"""Weights of a difference between two shares, also of a trend over two levels."""


class Shares(Independent):
    """Arms whose scores are 0 or 1."""

    name = "shares"

    def pair_test(self, scores_AxK: Scores, weights_A: Scores) -> PairTest:
        if tuple(weights_A) not in TWO_ARMS:
            return super().pair_test(scores_AxK, weights_A)
        treatment, control = (round(solved) for solved in scores_AxK.sum(axis=1)[np.argsort(-weights_A)])
        return SharesTest(treatment, control, scores_AxK.shape[1])

    def further_scores(self, rng: np.random.Generator, scores_AxK: Scores, studies: int, seeds: int) -> Scores:
        """Draws runs that solve the task with the observed share, moved by half a run towards 1/2."""
        arms, observed = scores_AxK.shape
        share_A = (scores_AxK.sum(axis=1) + 0.5) / (observed + 1)
        return np.asarray(rng.random((studies, arms, seeds)) < share_A[:, None], dtype=np.float64)

    def smallest_p(self, arms: int, seeds: int) -> float:
        return float(2.0 * 0.25**seeds) if arms == 2 else super().smallest_p(arms, seeds)


SHARES = Shares()
