"""How many seeds an inconclusive claim would have taken: an estimate, from the scores that are there.

Studies with more seeds are made by drawing from the arms' scores with replacement (the bootstrap; Efron 1979), spread
about their means as the few scores drawn from understate it. Each is tested at the level the claim was judged at. The
p value of the permutation test is taken from Student's t of the correlation between scores and weights, which has the
first moments of its permutation distribution (Pitman 1937), so that this costs milliseconds.

It supposes that the effect is what was seen. An effect seen with five seeds is itself uncertain, and so is this.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from studies.declared.claims.kinds import Comparison
from studies.statistics.exact import Form, Scores

POWER = 0.8
STUDIES = 400
SEEDS_MAXIMUM = 200

P = Callable[[float], Scores | float]
Leaning = Callable[[P, P], Scores]


def seeds_needed(scores_AxK: Scores, comparison: Comparison, form: Form, level: float, leaning: Leaning) -> int | None:
    """Seeds an arm with which four studies in five would come to the verdict the scores lean to; None: above 200.

    Args:
        scores_AxK: of the comparison's arms.
        level: two-sided, of the claim.
        leaning: from p values above and below a shift to the two-sided one of that verdict.
    """

    def enough(seeds: int) -> bool:
        drawn_RxAxK = resampled(scores_AxK, seeds, form)
        p_R = leaning(
            lambda shift: approximate_p(drawn_RxAxK, comparison, form, shift, 1),
            lambda shift: approximate_p(drawn_RxAxK, comparison, form, shift, -1),
        )
        return bool(np.mean(np.maximum(p_R, comparison.smallest_p(seeds, form)) <= level) >= POWER)

    low, high = scores_AxK.shape[1], SEEDS_MAXIMUM
    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def resampled(scores_AxK: Scores, seeds: int, form: Form) -> Scores:
    """Studies drawn from the scores of one, seed by seed where the form is paired: [R, A, seeds]."""
    rng = np.random.default_rng(0)
    arms, k = scores_AxK.shape
    means = scores_AxK.mean(axis=1, keepdims=True)
    spread_AxK = means + (scores_AxK - means) * np.sqrt(k / (k - 1))
    chosen: NDArray[np.int64] = rng.integers(k, size=(STUDIES, 1 if form == "paired" else arms, seeds))
    drawn_RxAxK = np.take_along_axis(spread_AxK[None], np.broadcast_to(chosen, (STUDIES, arms, seeds)), axis=2)
    return np.asarray(drawn_RxAxK)


def approximate_p(scores_RxAxK: Scores, comparison: Comparison, form: Form, shift: float, side: int) -> Scores:
    """One-sided p values [R] of a shift, as `Evidence.above` (side 1) or `Evidence.below` (side -1) gives them."""
    if not comparison.named:
        return _weighed(scores_RxAxK, side * np.array(comparison.weights), form, side * shift)
    named, arms, pair = comparison.named, scores_RxAxK.shape[1], side * np.array([1.0, -1.0])
    p_NxOxR = np.array([
        [_weighed(scores_RxAxK[:, [one, other]], pair, form, side * shift) for other in range(named, arms)]
        for one in range(named)
    ])  # fmt: skip
    each = named * p_NxOxR.min(axis=0) if side > 0 else (arms - named) * p_NxOxR.min(axis=1)
    return np.asarray(np.minimum(1.0, each.max(axis=0)))


def _weighed(scores_RxAxK: Scores, weights_A: Scores, form: Form, shift: float) -> Scores:
    _, arms, seeds = scores_RxAxK.shape
    centred = scores_RxAxK - shift * (weights_A / (weights_A @ weights_A))[:, None]
    centred = centred - centred.mean(axis=1 if form == "paired" else (1, 2), keepdims=True)
    freedom = seeds * (arms - 1) - 1 if form == "paired" else seeds * arms - 2
    along = np.einsum("a,rak->r", weights_A, centred)
    across = np.sqrt(np.maximum(seeds * (weights_A @ weights_A) * (centred**2).sum(axis=(1, 2)) - along**2, 1e-24))
    return np.asarray(stats.t.sf(np.sqrt(freedom) * along / across, freedom))
