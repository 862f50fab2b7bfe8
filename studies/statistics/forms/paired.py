"""The paired form: only scores of one seed may be exchanged, 2^k ways for two arms; 32 for five seeds per arm."""

from functools import lru_cache, reduce
from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from studies.statistics.forms.form import DRAWN, ENUMERATED_MAXIMUM, Form, Scores


class Paired(Form):
    """Arms that share each seed: its data and its initial weights."""

    name = "paired"

    def exchanges(self, arms: int, seeds: int) -> int:
        return int(factorial(arms) ** seeds)

    def exchanged(self, scores_AxK: Scores, weights_A: Scores) -> tuple[Scores, Scores]:
        arms, seeds = scores_AxK.shape
        if self.exchanges(arms, seeds) <= ENUMERATED_MAXIMUM:
            return _every_order_within_seeds(scores_AxK, weights_A)
        weights_GxAK, scales_G = _drawn_weights(tuple(map(float, weights_A)), seeds)
        return weights_GxAK @ scores_AxK.ravel(), scales_G

    def resampled_seeds(
        self, rng: np.random.Generator, studies: int, arms: int, observed: int, seeds: int
    ) -> NDArray[np.int64]:
        shared = rng.integers(observed, size=(studies, 1, seeds))
        return np.broadcast_to(shared, (studies, arms, seeds))

    def centred(self, scores_RxAxK: Scores) -> Scores:
        return np.asarray(scores_RxAxK - scores_RxAxK.mean(axis=1, keepdims=True))

    def degrees_of_freedom(self, arms: int, seeds: int) -> int:
        return seeds * (arms - 1) - 1


def _every_order_within_seeds(scores_AxK: Scores, weights_A: Scores) -> tuple[Scores, Scores]:
    """Enumerates the orders of the arms [P] within every seed; an effect is the sum of what each seed contributes."""
    arms, seeds = scores_AxK.shape
    weights_PxA = weights_A[np.array(list(permutations(range(arms))))]
    effects_KxP = (weights_PxA @ scores_AxK / seeds).T
    scales_P = weights_PxA @ weights_A / (weights_A @ weights_A) / seeds
    effects, scales = (
        reduce(lambda sums, seed: np.add.outer(sums, seed).ravel(), by_seed)
        for by_seed in (effects_KxP, [scales_P] * seeds)
    )
    return effects, scales


@lru_cache(maxsize=4)
def _drawn_weights(weights: tuple[float, ...], seeds: int) -> tuple[Scores, Scores]:
    """Returns `Form.effects_of` of drawn orders within seeds."""
    weights_A, rng = np.array(weights), np.random.default_rng(0)
    drawn_GxKxA = rng.permuted(np.tile(weights_A, (DRAWN, seeds, 1)), axis=2)
    weights_GxAK = drawn_GxKxA.transpose(0, 2, 1).reshape(DRAWN, -1)
    return Form.effects_of(weights_GxAK, weights_A, seeds)


PAIRED = Paired()
