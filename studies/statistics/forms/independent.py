"""The independent form: any two scores may be exchanged, C(2k, k) ways for two arms; 252 for five seeds per arm."""

from functools import lru_cache
from itertools import chain, combinations
from math import comb, prod

import numpy as np
from numpy.typing import NDArray

from studies.statistics.forms.form import DRAWN, ENUMERATED_MAXIMUM, Form, Scores


class Independent(Form):
    """Arms whose seeds have nothing in common; conservative where scores are positively correlated by seed."""

    name = "independent"

    def exchanges(self, arms: int, seeds: int) -> int:
        return prod(comb(seeds * arm, seeds) for arm in range(1, arms + 1))

    def exchanged(self, scores_AxK: Scores, weights_A: Scores) -> tuple[Scores, Scores]:
        seeds = scores_AxK.shape[1]
        weights_GxAK, scales_G = _rearranged_weights(tuple(map(float, weights_A)), seeds)
        return weights_GxAK @ scores_AxK.ravel(), scales_G

    def resampled_seeds(
        self, rng: np.random.Generator, studies: int, arms: int, observed: int, seeds: int
    ) -> NDArray[np.int64]:
        return rng.integers(observed, size=(studies, arms, seeds))

    def centred(self, scores_RxAxK: Scores) -> Scores:
        return np.asarray(scores_RxAxK - scores_RxAxK.mean(axis=(1, 2), keepdims=True))

    def degrees_of_freedom(self, arms: int, seeds: int) -> int:
        return seeds * arms - 2


@lru_cache(maxsize=4)
def _rearranged_weights(weights: tuple[float, ...], seeds: int) -> tuple[Scores, Scores]:
    """Returns `Form.effects_of` for every division of two arms if there are few enough, and otherwise for drawn
    divisions.
    """
    weights_A = np.array(weights)
    if len(weights) == 2 and INDEPENDENT.exchanges(2, seeds) <= ENUMERATED_MAXIMUM:
        chosen = np.fromiter(chain.from_iterable(combinations(range(2 * seeds), seeds)), dtype=np.int64)
        weights_GxAK = np.full((len(chosen) // seeds, 2 * seeds), weights_A[1])
        np.put_along_axis(weights_GxAK, chosen.reshape(-1, seeds), weights_A[0], axis=1)
    else:
        rng = np.random.default_rng(0)
        weights_GxAK = rng.permuted(np.tile(np.repeat(weights_A, seeds), (DRAWN, 1)), axis=1)
    return Form.effects_of(weights_GxAK, weights_A, seeds)


INDEPENDENT = Independent()
