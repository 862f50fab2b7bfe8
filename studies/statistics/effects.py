"""The effects that claims test: a weighted sum of the arms' means, or the lead of the best arm.

Each effect computes its exact evidence from observed scores, approximate p values for many resampled studies at once
(for `power`), and the smallest p value that it can give.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy import stats

from studies.statistics.exact import SEEDS_MINIMUM, Evidence
from studies.statistics.forms.form import Form, Scores

SEEDS_SEARCHED = 1000
PAIR = np.array([1.0, -1.0])
"""Weights of a difference between two arms."""


class Effect(ABC):
    """An effect: one number computed from the scores of the arms [A, K]."""

    @abstractmethod
    def evidence(self, scores_AxK: Scores, form: Form) -> Evidence:
        """Tests the effect on the scores observed."""

    @abstractmethod
    def by_seed(self, scores_AxK: Scores) -> Scores:
        """Returns the effect in each seed: [K]."""

    @abstractmethod
    def approximate_p(self, scores_RxAxK: Scores, form: Form, shift: float, side: int) -> Scores:
        """Approximates the one-sided p values [R] that `Evidence.above` (side 1) or `.below` (side -1) would give."""

    @abstractmethod
    def smallest_p(self, seeds: int, form: Form) -> float:
        """Returns the smallest two-sided p value that the arms can give, the same in both directions."""

    def leaders(self, scores_AxK: Scores) -> tuple[int, int] | None:
        """Returns the two arms whose means differ by the effect, if the scores decide which arms these are; None
        otherwise.
        """
        return None

    def seeds_enough(self, level: float, form: Form) -> int | None:
        """Returns the smallest number of seeds per arm whose smallest p value reaches the level; None if there is no
        such number.
        """
        counts = range(SEEDS_MINIMUM, SEEDS_SEARCHED + 1)
        return next((seeds for seeds in counts if self.smallest_p(seeds, form) <= level), None)


@dataclass(frozen=True)
class WeightedMeans(Effect):
    """A weighted sum of the arms' means: (1, -1) is a difference, centred ranks are a slope."""

    weights: tuple[float, ...] = (1.0, -1.0)

    def evidence(self, scores_AxK: Scores, form: Form) -> Evidence:
        weights_A = np.array(self.weights)
        return Evidence(float(weights_A @ scores_AxK.mean(axis=1)), [[form.pair_test(scores_AxK, weights_A)]])

    def approximate_p(self, scores_RxAxK: Scores, form: Form, shift: float, side: int) -> Scores:
        return approximate_p_of_sum(scores_RxAxK, side * np.array(self.weights), form, side * shift)

    def by_seed(self, scores_AxK: Scores) -> Scores:
        return np.array(self.weights) @ scores_AxK

    def smallest_p(self, seeds: int, form: Form) -> float:
        return form.smallest_p(len(self.weights), seeds)


@dataclass(frozen=True)
class LeadOfBest(Effect):
    """How far the best of the first `candidates` arms is above the best of the `rivals` that follow them."""

    candidates: int
    rivals: int

    def evidence(self, scores_AxK: Scores, form: Form) -> Evidence:
        means = scores_AxK.mean(axis=1)
        candidates, rivals = scores_AxK[: self.candidates], scores_AxK[self.candidates :]
        tests = [[form.pair_test(np.stack([candidate, rival]), PAIR) for rival in rivals] for candidate in candidates]
        return Evidence(float(means[: self.candidates].max() - means[self.candidates :].max()), tests)

    def approximate_p(self, scores_RxAxK: Scores, form: Form, shift: float, side: int) -> Scores:
        rivals = range(self.candidates, self.candidates + self.rivals)
        p_CxBxR = np.array([
            [approximate_p_of_sum(scores_RxAxK[:, [candidate, rival]], side * PAIR, form, side * shift)
             for rival in rivals]
            for candidate in range(self.candidates)
        ])  # fmt: skip
        p = self.candidates * p_CxBxR.min(axis=0) if side > 0 else self.rivals * p_CxBxR.min(axis=1)
        return np.asarray(np.minimum(1.0, p.max(axis=0)))

    def leaders(self, scores_AxK: Scores) -> tuple[int, int]:
        means = scores_AxK.mean(axis=1)
        return int(means[: self.candidates].argmax()), self.candidates + int(means[self.candidates :].argmax())

    def by_seed(self, scores_AxK: Scores) -> Scores:
        candidate, rival = self.leaders(scores_AxK)
        return np.asarray(scores_AxK[candidate] - scores_AxK[rival])

    def smallest_p(self, seeds: int, form: Form) -> float:
        return min(1.0, max(self.candidates, self.rivals) * form.smallest_p(2, seeds))


def approximate_p_of_sum(scores_RxAxK: Scores, weights_A: Scores, form: Form, shift: float) -> Scores:
    """Approximates the p values [R] against "the weighted sum of means is at most `shift`".

    Student's t of the correlation between scores and weights has the first moments of the permutation distribution
    (Pitman 1937).
    """
    _, arms, seeds = scores_RxAxK.shape
    centred = form.centred(scores_RxAxK - shift * (weights_A / (weights_A @ weights_A))[:, None])
    freedom = form.degrees_of_freedom(arms, seeds)
    along = np.einsum("a,rak->r", weights_A, centred)
    across = np.sqrt(np.maximum(seeds * (weights_A @ weights_A) * (centred**2).sum(axis=(1, 2)) - along**2, 1e-24))
    return np.asarray(stats.t.sf(np.sqrt(freedom) * along / across, freedom))
