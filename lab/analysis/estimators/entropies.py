"""Entropies and cross-entropies of the next two tokens, averaged over contexts, with their error.

Paper, section 5.2 and appendix L. X is the next token, Y the one after it, and all is conditional on the past c. Every
array is [N, 5] over N contexts, in nats, in the order of `TERMS`. For a source p
(`generators.material.entropy.pair_entropies`) the terms are H(X), H(Y), H(X|Y), H(Y|X), I(X;Y). For a model q on that
source they are the corresponding cross-entropies and, as the last, the relative information I_p||q = H(p_X,q_X) +
H(p_Y,q_Y) - H(p,q). For source and model, and for every single token,

    H(X) + H(Y) = H(X|Y) + 2 I(X;Y) + H(Y|X).

A mean over contexts is weighted. Its 95% interval is Student's t on the sums of whole samples, whose contexts are not
independent.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from generators.foundation.randomness import Floats, Integers
from lab.analysis.estimators.intervals import ratio_of_sums

TERMS = ("H(X)", "H(Y)", "H(X|Y)", "H(Y|X)", "I(X;Y)")
NEXT, AFTER, NEXT_GIVEN_AFTER, AFTER_GIVEN_NEXT, MUTUAL = range(len(TERMS))


@dataclass(frozen=True)
class ContextMean:
    """A mean over contexts.

    Attributes:
        value: the mean.
        low, high: the ends of its 95% interval; None if there is only one sample.
        count: the number of contexts.
    """

    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class WeightedContexts:
    """N contexts: the sample of each [N] and its weight in a mean [N]."""

    samples: Integers
    weights: Floats

    def mean(self, values: Floats, where: NDArray[np.bool_] | slice = slice(None)) -> ContextMean:
        """Returns the weighted mean of values [N], or of those that a mask [N] selects."""
        values, weights = values[where], self.weights[where]
        _, sample = np.unique(self.samples[where], return_inverse=True)
        sums, totals = (np.bincount(sample, weighted).astype(np.float64) for weighted in (weights * values, weights))
        if len(sums) < 2:
            return ContextMean(float(sums[0] / totals[0]), None, None, len(values))
        return ContextMean(*ratio_of_sums(sums, totals, few=True), len(values))


@dataclass(frozen=True)
class PairSurprises:
    """The contribution of each pair of tokens to each term of a model: five arrays that broadcast to [N, V, V]."""

    terms: tuple[Floats, ...]

    @classmethod
    def from_log_pairs(cls, log_q_NxVxV: Floats) -> "PairSurprises":
        """Computes the contributions from log q(x, y | c)."""
        x = logsumexp(log_q_NxVxV, axis=2, keepdims=True)
        y = logsumexp(log_q_NxVxV, axis=1, keepdims=True)
        return cls((-x, -y, y - log_q_NxVxV, x - log_q_NxVxV, log_q_NxVxV - x - y))

    def expected(self, p_NxVxV: Floats) -> Floats:
        """Returns the expectation of each term for pairs with these probabilities [N, 5]."""
        return np.stack([(p_NxVxV * term).sum(axis=(1, 2)) for term in self.terms], axis=1)

    def at(self, x: Integers, y: Integers) -> Floats:
        """Returns each term at the observed pairs, x [N] and y [N]: [N, 5]."""
        row, first = np.arange(len(x)), np.zeros_like(x)
        return np.stack(
            [term[row, x if term.shape[1] > 1 else first, y if term.shape[2] > 1 else first] for term in self.terms],
            axis=1,
        )


def excess_over_source(relative: Floats, source: Floats) -> Floats:
    """Returns the cross-entropies of a model minus the entropies of the source [N, 5].

    For the entropies these are the relative entropies KL(p||q) of X, Y, X|Y and Y|X. For the information it is
    KL(Y) - KL(Y|X), which has either sign.
    """
    return relative - source


def estimate_source(contexts: WeightedContexts, observed: Floats, excess: Floats | None) -> list[ContextMean]:
    """Estimates the five terms of the source from a model and the observed tokens.

    The interval of each term contains the source's own value with 95% confidence, whatever the model is. An entropy is
    at most the model's cross-entropy, from which it differs by KL(p||q): it lies between the lower end of the mean of
    log-loss - KL and the upper end of the mean log-loss. The information is I_p||q - KL(Y) + KL(Y|X); it lies between
    the lower end of the mean of I_p||q - KL(Y) and the upper end of that of I_p||q + KL(Y|X). So the width of an
    interval comes from the sampling of contexts and from the imperfection of the model. Each end fails with probability
    0.025 at most. If the source is not known, nothing bounds the imperfection: an entropy is then at least 0, and the
    information between 0 and the smaller of the upper ends of H(X) and H(Y).

    Args:
        observed: the terms of each context at the observed tokens [N, 5].
        excess: `excess_over_source` [N, 5]; None if the source is not known.
    """
    plain = [contexts.mean(column) for column in observed.T]
    if excess is None:
        tops = [mean.high for mean in plain]
        tops[MUTUAL] = min((top for top in tops[:NEXT_GIVEN_AFTER] if top is not None), default=None)
        values = [max(0.0, mean.value) for mean in plain]
        return [ContextMean(value, 0.0, top, plain[0].count) for value, top in zip(values, tops, strict=True)]
    below, above = excess.copy(), np.zeros_like(excess)
    below[:, MUTUAL], above[:, MUTUAL] = excess[:, AFTER], excess[:, AFTER_GIVEN_NEXT]
    lows = [contexts.mean(column).low for column in (observed - below).T]
    highs = [contexts.mean(column).high for column in (observed + above).T]
    return [ContextMean(mean.value, low, high, mean.count) for mean, low, high in zip(plain, lows, highs, strict=True)]
