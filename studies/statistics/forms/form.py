"""The interface of the forms of the permutation test, which differ in the scores they exchange between arms."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
"""An array of scores, such as those of A arms in K seeds [A, K]."""
ENUMERATED_MAXIMUM = 200_000
"""Exchanges that are enumerated; if there are more, `DRAWN` of them are drawn."""
DRAWN = 50_000
"""Exchanges drawn, with a fixed generator, so that every claim is tested against the same ones."""
TOLERANCE = 1e-12


class PairTest(Protocol):
    """The test of one effect: p values of any shift, and the bounds that invert them."""

    def above(self, shift: float) -> float:
        """Returns the exact one-sided p value against "the effect is at most `shift`"."""

    def below(self, shift: float) -> float:
        """Returns the exact one-sided p value against "the effect is at least `shift`"."""

    def bounds(self, level: float) -> tuple[float, float]:
        """Returns the two one-sided bounds of the effect, each at `level`; infinite if there are too few seeds."""


@dataclass(frozen=True)
class ShiftTest:
    """The permutation test of an effect.

    Attributes:
        values: the typical values of the effect, sorted (`Form.typical_values`).
    """

    values: Scores

    def above(self, shift: float) -> float:
        return float((1 + (self.values <= shift + TOLERANCE).sum()) / (1 + len(self.values)))

    def below(self, shift: float) -> float:
        return float((1 + (self.values >= shift - TOLERANCE).sum()) / (1 + len(self.values)))

    def bounds(self, level: float) -> tuple[float, float]:
        outside = int(np.floor(level * (1 + len(self.values)) + TOLERANCE))
        return (float(self.values[outside - 1]), float(self.values[-outside])) if outside else (-np.inf, np.inf)


class Form(ABC):
    """A form of the permutation test. A study file selects it by name: `test = "independent"`.

    Array names end in their axes: A arms, K seeds, G exchanges, R resampled studies.
    """

    name: ClassVar[str]

    @abstractmethod
    def exchanges(self, arms: int, seeds: int) -> int:
        """Counts the ways to divide the scores among the arms, the observed one included."""

    @abstractmethod
    def exchanged(self, scores_AxK: Scores, weights_A: Scores) -> tuple[Scores, Scores]:
        """Applies every exchange.

        Returns:
            the effect of the exchanged scores [G], and the effect of the exchanged direction `weights / |weights|^2`
            [G].
        """

    @abstractmethod
    def resampled_seeds(
        self, rng: np.random.Generator, studies: int, arms: int, observed: int, seeds: int
    ) -> NDArray[np.int64]:
        """Draws the seeds of each arm of a resampled study from the observed seeds, with replacement: [R, A, seeds]."""

    def further_scores(self, rng: np.random.Generator, scores_AxK: Scores, studies: int, seeds: int) -> Scores:
        """Draws scores that further seeds may have: [R, A, seeds].

        They are resampled from the arms' scores with replacement (the bootstrap; Efron 1979), with deviations from the
        mean widened, because the spread of a few scores understates that of the population.
        """
        arms, observed = scores_AxK.shape
        means = scores_AxK.mean(axis=1, keepdims=True)
        widened_AxK = means + (scores_AxK - means) * np.sqrt(observed / (observed - 1))
        chosen = self.resampled_seeds(rng, studies, arms, observed, seeds)
        return np.asarray(np.take_along_axis(widened_AxK[None], chosen, axis=2))

    @abstractmethod
    def centred(self, scores_RxAxK: Scores) -> Scores:
        """Subtracts the means that no exchange changes: [R, A, K]."""

    @abstractmethod
    def degrees_of_freedom(self, arms: int, seeds: int) -> int:
        """Degrees of freedom of the t distribution that approximates the permutation distribution."""

    def pair_test(self, scores_AxK: Scores, weights_A: Scores) -> PairTest:
        """Tests the effect `weights_A @ scores_AxK.mean(axis=1)`."""
        return ShiftTest(self.typical_values(scores_AxK, weights_A))

    def smallest_p(self, arms: int, seeds: int) -> float:
        """Returns the smallest two-sided p value that this many seeds per arm can give."""
        count = self.exchanges(arms, seeds)
        return min(1.0, 2 / (count if count <= ENUMERATED_MAXIMUM else 1 + DRAWN))

    def typical_values(self, scores_AxK: Scores, weights_A: Scores) -> Scores:
        """Returns the typical values of the effect `weights_A @ scores_AxK.mean(axis=1)`, sorted.

        Each exchange has one: the shift at which the exchanged scores give as large an effect as the observed ones.
        Subtract a shift s from the scores, that is s * d for the direction d = weights / |weights|^2 of the arms'
        means, and exchange: the effect is at least the observed one exactly when s >= (T(y) - T(gy)) / (1 - T(gd)),
        with T the effect and g the exchange. For two arms that is the mean of the scores the treatment loses minus the
        mean of those it gains (independent), or the mean difference of the seeds that are exchanged (paired). Exchanges
        that leave the effect as it is have no typical value.
        """
        effects, scales = self.exchanged(scores_AxK, weights_A)
        observed, changed = weights_A @ scores_AxK.mean(axis=1), scales < 1 - TOLERANCE
        return np.sort((observed - effects[changed]) / (1 - scales[changed]))

    @staticmethod
    def effects_of(weights_GxAK: Scores, weights_A: Scores, seeds: int) -> tuple[Scores, Scores]:
        """Returns the rearranged weights of the mean scores [G, A * K], and the effect of the direction [G]."""
        direction_AK = np.repeat(weights_A / (weights_A @ weights_A), seeds)
        return weights_GxAK / seeds, weights_GxAK @ direction_AK / seeds
