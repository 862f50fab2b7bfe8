"""The smallest effect that a study finds with 80% power, given the scatter of the scores that it has.

Unlike the power for the observed effect, this does not assume that the effect found is the true one, so that it can
stand beside any verdict: an undecided claim may well have a true effect below it. Studies are drawn from the observed
scores less the means of their arms (`power.resampled`), and an effect is added to them.
"""

from functools import partial

import numpy as np

from studies.statistics.detectable import detectable_share_margin, detectable_shares, direction_of, smallest_enough
from studies.statistics.effects import Effect, WeightedMeans
from studies.statistics.forms.form import Form, Scores
from studies.statistics.forms.shares import TWO_ARMS, Shares
from studies.statistics.power import POWER, PValue, approximate_p, resampled


def resolution(
    scores_AxK: Scores, effect: Effect, form: Form, level: float, *, margin: float = 0.0, equivalence: bool = False
) -> float | None:
    """Returns the smallest effect that is found with 80% power, in the unit of the scores.

    Args:
        scores_AxK: the observed scores of the claim's arms.
        level: two-sided, at which the claim was judged.
        margin: what the effect has to exceed, unless the claim is an equivalence.
        equivalence: whether the claim is that the effect lies within a margin. The smallest margin within which equal
            arms are found equivalent is returned then.

    Returns:
        for two shares their difference, with both at equal distances from 1/2, where it is hardest to see. If there is
        a margin to exceed, the effect is counted from there. None if no effect is found, because there are too few
        seeds; if the scores do not scatter; or if the effect is of a kind of another package
        (`detectable.detectable_effect`).
    """
    seeds = scores_AxK.shape[1]
    if isinstance(form, Shares) and isinstance(effect, WeightedMeans) and effect.weights in TWO_ARMS:
        if equivalence:
            return detectable_share_margin(seeds, level)
        shares = detectable_shares(seeds, level, margin)
        return shares[1] - shares[0] - margin if shares else None
    direction_A = direction_of(effect)
    centred_AxK = scores_AxK - scores_AxK.mean(axis=1, keepdims=True)
    scatter = float(centred_AxK.std())
    if direction_A is None or not scatter or effect.smallest_p(seeds, form) > level:
        return None
    noise_RxAxK = resampled(centred_AxK / scatter, seeds, form)

    def is_found(size: float) -> bool:
        if equivalence:
            p_R = approximate_p(noise_RxAxK, effect, form, partial(_p_inside, size))
        else:
            p_R = approximate_p(noise_RxAxK + size * direction_A[:, None], effect, form, _p_above)
        return bool(np.mean(p_R <= level) >= POWER)

    size = smallest_enough(is_found)
    return None if size is None else size * scatter


def _p_above(above: PValue, below: PValue) -> Scores:
    """Returns the two-sided p value of an effect above zero."""
    return 2 * np.asarray(above(0.0))


def _p_inside(margin: float, above: PValue, below: PValue) -> Scores:
    """Returns the two-sided p value of an effect within a margin."""
    return 2 * np.maximum(above(-margin), below(margin))
