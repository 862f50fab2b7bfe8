"""Entropies and cross-entropies of the next two tokens, averaged over contexts with their error.

Paper, section 5.2 and appendix L. X is the next token, Y the one after, c the past, which stands behind every bar. Each
array is [N, 5] over N contexts, in nats, in the order of `TERMS`: of a source p
(`generators.material.entropy.pair_entropies`) H(X), H(Y), H(X|Y), H(Y|X), I(X;Y), and of a model q read on that
source the same with cross-entropies, the last being the relative
information I_p||q = H(p_X,q_X) + H(p_Y,q_Y) - H(p,q). For both, and token by token,

    H(X) + H(Y) = H(X|Y) + 2 I(X;Y) + H(Y|X).

A mean over contexts weighs them and has a 95% interval: Student's t on the sums of whole samples, whose contexts are
not independent (the ratio estimator with its linearised variance; Cochran 1977, section 6.3).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, stdtrit

from generators.foundation.randomness import Integers
from generators.material.entropy import Floats

TERMS = ("H(X)", "H(Y)", "H(X|Y)", "H(Y|X)", "I(X;Y)")
NEXT, AFTER, NEXT_GIVEN_AFTER, AFTER_GIVEN_NEXT, MUTUAL = range(len(TERMS))
TAIL = 0.025
"""Left out of an interval at each end."""


@dataclass(frozen=True)
class Mean:
    """A mean over contexts, the ends of its 95% interval (None where one sample cannot tell), and how many they are."""

    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Contexts:
    """N contexts: the sample each is of [N], and its weight in a mean [N]."""

    samples: Integers
    weights: Floats

    def mean(self, values: Floats, of: NDArray[np.bool_] | slice = slice(None)) -> Mean:
        """The weighted mean of values [N], or of those among them that a mask [N] says."""
        values, weights = values[of], self.weights[of]
        total = weights.sum()
        value = float(weights @ values / total)
        _, sample = np.unique(self.samples[of], return_inverse=True)
        sums = np.bincount(sample, weights * (values - value)) / total
        if (size := len(sums)) < 2:
            return Mean(value, None, None, len(values))
        half = float(stdtrit(size - 1, 1 - TAIL) * np.sqrt(size / (size - 1) * (sums @ sums)))
        return Mean(value, value - half, value + half, len(values))


@dataclass(frozen=True)
class Surprises:
    """What pairs of tokens add to each term of a model's joint: five arrays that broadcast to [N, V, V]."""

    terms: tuple[Floats, ...]

    @classmethod
    def of(cls, log_q_NxVxV: Floats) -> "Surprises":
        """Of the logarithms of q(x, y | c)."""
        x = logsumexp(log_q_NxVxV, axis=2, keepdims=True)
        y = logsumexp(log_q_NxVxV, axis=1, keepdims=True)
        return cls((-x, -y, y - log_q_NxVxV, x - log_q_NxVxV, log_q_NxVxV - x - y))

    def expected(self, p_NxVxV: Floats) -> Floats:
        """Under pairs of these probabilities [N, 5]."""
        return np.stack([(p_NxVxV * term).sum(axis=(1, 2)) for term in self.terms], axis=1)

    def at(self, x: Integers, y: Integers) -> Floats:
        """At the pairs that came [N] [N]: [N, 5]."""
        row, first = np.arange(len(x)), np.zeros_like(x)
        return np.stack(
            [term[row, x if term.shape[1] > 1 else first, y if term.shape[2] > 1 else first] for term in self.terms],
            axis=1,
        )


def excess(crossed: Floats, own: Floats) -> Floats:
    """What a model adds to the terms of a source, cross-entropies less entropies [N, 5]: for the entropies the relative
    entropies KL(p||q) of X, Y, X|Y and Y|X, and for the information KL(Y) - KL(Y|X), which has either sign."""
    return crossed - own


def estimates(contexts: Contexts, seen: Floats, added: Floats | None) -> list[Mean]:
    """The source's five terms as a model and the tokens that came tell them, each with an interval that holds the
    source's own number 95 times in 100, whatever the model is.

    An entropy is at most the model's cross-entropy, and less than it by KL(p||q): it lies between the lower end of the
    mean of log-loss - KL and the upper end of the mean log-loss. The information is I_p||q - KL(Y) + KL(Y|X), and lies
    between the lower end of the mean of I_p||q - KL(Y) and the upper end of that of I_p||q + KL(Y|X). So an interval is
    as wide as the sampling of contexts and the model's imperfection make it. Each end fails with probability 0.025 at
    most. Where the source is not known nothing bounds the imperfection: an entropy is then at least 0, and the
    information between 0 and the smaller of the upper ends of H(X) and H(Y).

    Args:
        seen: each context's surprises at the tokens that came [N, 5].
        added: `excess` of the model over the source [N, 5], None where the source is not known.
    """
    plain = [contexts.mean(column) for column in seen.T]
    if added is None:
        tops = [mean.high for mean in plain]
        tops[MUTUAL] = min((top for top in tops[:NEXT_GIVEN_AFTER] if top is not None), default=None)
        values = [max(0.0, mean.value) for mean in plain]
        return [Mean(value, 0.0, top, plain[0].count) for value, top in zip(values, tops, strict=True)]
    below, above = added.copy(), np.zeros_like(added)
    below[:, MUTUAL], above[:, MUTUAL] = added[:, AFTER], added[:, AFTER_GIVEN_NEXT]
    lows = [contexts.mean(column).low for column in (seen - below).T]
    highs = [contexts.mean(column).high for column in (seen + above).T]
    return [Mean(mean.value, low, high, mean.count) for mean, low, high in zip(plain, lows, highs, strict=True)]
