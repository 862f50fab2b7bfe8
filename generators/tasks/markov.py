"""Markov sources whose entropies are known, so that each head's loss can be compared with its optimum.

Paper, section 5.2 and appendix L: for two tokens X, Y after a context, H(X) + H(Y) = H(X|Y) + 2 I(X;Y) + H(Y|X), so
predicting both counts their shared information twice. Here each of these numbers is known (`information`), and so is
the optimal loss of head i, the entropy H(X_t+i | X_0..X_t) (`entropies`, `optimal_losses`, `distribution`).

The successor of a state is the next number in a circle. Each step goes to the successor with probability `memory`, and
otherwise to a fresh state from a fixed distribution f, which `source_seed` draws (Dirichlet, all weights 1). With
`memory` = 0.8 and 16 states, fresh draws marked:

     5  6  7  8 |2  3  4 |15  0  1  2 |11 |7  8  9 10 11 ...

The transition matrix P = memory C + (1 - memory) 1 f has the eigenvalues 1 and memory times the roots of unity, so the
information of a token about the one i later decays as memory^i: `memory` = 0 is memoryless, 0.98 reaches about 50
tokens. Three more settings:

    lag_tokens      L interleaved chains: token t follows token t - L, so heads 1..L have the same optimum
    hidden_states   S states; each emits the tokens v = S k + state with equal probability
    blur            the probability that a token is uniformly random; the state is then hidden, and its distribution
                    given the past (the belief) depends on the whole past

Without `blur` all numbers have a closed form: H(X_t+i | past) is the mean, over states in the stationary distribution,
of the entropies of the rows of P^i E, where E is the emission; with L chains the power is ceil(i / L). With `blur`
there is no closed form: the belief of a sequence is exact, by recursion, and its entropies are averaged over 2048
sequences of the source. Those numbers have a standard error.

Samples start in the stationary distribution. No token is right or wrong, so nothing is scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Floats, Integers, Stream, sample_keys
from generators.material.entropy import averaged, entropy, exactly, pair_entropies
from generators.protocols import EntropyEstimate, Information
from generators.task import Batch, HeldOutSamples, Mask, Task, TaskConfig, TrainingSamples, usual_splits

LENGTH_MAXIMUM = 4096
# The hash of whole samples separates the splits. If two samples are equal with probability c, this shifts the mean of
# any quantity over a split by at most about 4 sqrt(c) of the quantity's range, so c has to be small.
REPEATED_MAXIMUM = 1e-6
REFUTED = 1e-9
SEQUENCES = 2048
NUMBERS_AT_ONCE = 2**22


class MarkovConfig(TaskConfig):
    """Settings of `markov`."""

    kind: Literal["markov"] = "markov"
    vocabulary_tokens: int = Field(default=16, ge=2, le=128, description="number of different tokens")
    memory: float = Field(default=0.8, ge=0, lt=1, description="probability that the successor follows")
    lag_tokens: int = Field(default=1, ge=1, le=64, description="each token follows the token this far before it")
    hidden_states: int | None = Field(
        default=None, ge=2, description="states that emit the tokens; without it each token is a state"
    )
    blur: float = Field(default=0.0, ge=0, lt=1, description="probability that a token is uniformly random")
    source_seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="selects the random distribution of fresh states"
    )
    length_tokens: int = Field(default=64, ge=8, le=LENGTH_MAXIMUM, description="tokens of a sample")
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = 1000
    validation_samples: HeldOutSamples = 500


class Markov(Task):
    """Samples of `length_tokens` tokens. Labels: `state`, the state that emitted each token.

    Attributes:
        fresh: float64 [S], the distribution of fresh states.
        transition, emission: float64 [S, S] and [S, V], from a state to the next one and to its token.
        stationary: float64 [S], the distribution of the state at any position.
        hidden: True if the token does not determine the state.
    """

    config: MarkovConfig

    def __init__(self, config: MarkovConfig) -> None:
        tokens = config.vocabulary_tokens
        self.states = states = config.hidden_states or tokens
        if tokens % states:
            raise UserError(
                f"task.hidden_states = {states}: {tokens} tokens cannot be divided evenly among that many states; "
                f"give a divisor of task.vocabulary_tokens"
            )
        if config.lag_tokens >= config.length_tokens:
            raise UserError(
                f"task.lag_tokens = {config.lag_tokens}: not shorter than a sample of {config.length_tokens} tokens; "
                f"give at most {config.length_tokens - 1}, or a greater task.length_tokens"
            )
        super().__init__(config)
        self.vocabulary = tuple(str(token) for token in range(tokens))
        self.length = config.length_tokens
        self.splits = usual_splits(config)
        weights = -np.log1p(-Stream(sample_keys("markov source", [config.source_seed])).uniform("fresh", states)[0])
        self.fresh: Floats = weights / weights.sum()
        successor = np.roll(np.eye(states), 1, axis=1)
        self.transition: Floats = config.memory * successor + (1 - config.memory) * self.fresh
        # r = memory r C + (1 - memory) f, because fresh draws do not depend on the state before.
        self.stationary: Floats = np.linalg.solve(
            np.eye(states) - config.memory * successor.T, (1 - config.memory) * self.fresh
        )
        own_tokens = np.arange(tokens) % states == np.arange(states)[:, None]
        self.emission: Floats = (1 - config.blur) * own_tokens * states / tokens + config.blur / tokens
        self.hidden = config.blur > 0
        self._require_distinct_samples()

    def _require_distinct_samples(self) -> None:
        """Raises UserError if samples are so short that equal ones are frequent."""
        shortest = self._distinct_length()
        if shortest is None:
            other = "less, for example 0.95" if self.config.memory > 0.95 else "another task.source_seed"
            raise UserError(
                f"task.memory = {self.config.memory}: samples repeat too often even at {LENGTH_MAXIMUM} tokens, and "
                f"keeping splits disjoint would bias them; give {other}"
            )
        if self.length < shortest:
            raise UserError(
                f"task.length_tokens = {self.length}: with task.memory = {self.config.memory} samples repeat too "
                f"often, and keeping splits disjoint would bias them; give at least {shortest}"
            )

    def _distinct_length(self) -> int | None:
        """Returns the least length at which two samples are equal with probability `REPEATED_MAXIMUM` or less."""
        same_token = self.emission @ self.emission.T
        # P(two samples are in these states, with equal tokens so far)
        pairs = same_token * np.outer(self.stationary, self.stationary)
        lag = self.config.lag_tokens
        for step in range(1, LENGTH_MAXIMUM // lag + 1):
            if pairs.sum() ** lag <= REPEATED_MAXIMUM:
                return step * lag
            pairs = same_token * (self.transition.T @ pairs @ self.transition)
        return None

    def draw(self, stream: Stream, split: str) -> Batch:
        rows, lag = len(stream), self.config.lag_tokens
        steps = -(-self.length // lag)
        follows = stream.uniform("is fresh", steps * lag).reshape(rows, steps, lag) < self.config.memory
        follows[:, 0] = False
        quantile = stream.uniform("fresh state", steps * lag).reshape(rows, steps, lag)
        state = np.searchsorted(self.fresh.cumsum()[:-1], quantile, side="right")
        state[:, 0] = np.searchsorted(self.stationary.cumsum()[:-1], quantile[:, 0], side="right")
        step = np.arange(steps)[None, :, None]
        since = np.maximum.accumulate(np.where(follows, 0, step), axis=1)
        state = (np.take_along_axis(state, since, axis=1) + step - since) % self.states
        state = state.reshape(rows, -1)[:, : self.length]
        tokens = self._emit(stream, state)
        loss = np.arange(self.length)[None].repeat(rows, axis=0) > 0
        return Batch(tokens=tokens, loss=loss, scored=np.zeros_like(loss), labels={"state": state})

    def _emit(self, stream: Stream, state: Integers) -> Integers:
        """Draws the tokens [B, T] that states [B, T] emit."""
        tokens = state
        tokens_per_state = len(self.vocabulary) // self.states
        if tokens_per_state > 1:
            tokens = tokens + self.states * stream.integers("token of the state", tokens_per_state, self.length)
        if self.hidden:
            blurred = stream.uniform("is blurred", self.length) < self.config.blur
            tokens = np.where(blurred, stream.integers("any token", len(self.vocabulary), self.length), tokens)
        return tokens

    def oracle(self, batch: Batch) -> Integers:
        return np.full(batch.tokens.shape, -1)

    def confirmed(self, batch: Batch) -> Mask:
        """Returns which samples [B] the source can produce: valid tokens, matching states, no strong evidence against
        them.

        Strong evidence against a sample is that independent tokens of the same frequencies explain it 1e9 times better.
        This happens to a true sample with probability 1e-9 at most (Markov's inequality on the likelihood ratio).
        """
        inside: Mask = np.all((batch.tokens >= 0) & (batch.tokens < len(self.vocabulary)), axis=1)
        tokens = np.where(inside[:, None], batch.tokens, 0)
        safe = replace(batch, tokens=tokens)
        chances = np.take_along_axis(self.distribution(safe), tokens[:, :, None], axis=2)[:, :, 0]
        evidence = (np.log(chances) - np.log(self.ahead(0, self.stationary))[tokens]).sum(axis=1)
        agrees = self.hidden | (batch.labels["state"] == tokens % self.states).all(axis=1)
        result: Mask = inside & agrees & ~batch.scored.any(axis=1) & (evidence > np.log(REFUTED))
        return result

    def steps(self, lag: int) -> int:
        """Returns the steps, in the target's own chain, from the last token that head `lag` sees to its target."""
        return -(-lag // self.config.lag_tokens)

    def ahead(self, steps: int, belief: Floats) -> Floats:
        """Returns the distribution [..., V] of the token `steps` after the state has the distribution `belief`."""
        return belief @ (np.linalg.matrix_power(self.transition, steps) @ self.emission)

    def beliefs(self, tokens: Integers) -> Floats:
        """Computes P(state of token t | tokens 0..t) float64 [B, T, S], by the forward recursion."""
        lag, length = self.config.lag_tokens, tokens.shape[1]
        belief = np.empty((*tokens.shape, self.states))
        likelihood = self.emission.T
        for start in range(0, length, lag):
            now = slice(start, min(start + lag, length))
            before = belief[:, start - lag : now.stop - lag] @ self.transition if start else self.stationary
            belief[:, now] = before * likelihood[tokens[:, now]]
            belief[:, now] /= belief[:, now].sum(axis=-1, keepdims=True)
        return belief

    def distribution(self, batch: Batch, lag: int = 1) -> Floats:
        """Returns P(x_t | x_0..x_t-lag) float64 [B, T, V], exact: the optimum of head `lag` at each target t.

        It is the stationary distribution if no token of the target's chain is seen.
        """
        reach = self.config.lag_tokens * self.steps(lag)
        known = self.ahead(self.steps(lag), self.beliefs(batch.tokens)[:, : max(0, self.length - reach)])
        unknown = self.ahead(0, np.broadcast_to(self.stationary, (len(batch), min(reach, self.length), self.states)))
        return np.concatenate((unknown, known), axis=1)

    @property
    def unigram_entropy(self) -> float:
        """H(X_t) in nats: the loss of a model that knows only the frequencies of tokens."""
        return float(entropy(self.ahead(0, self.stationary)))

    def entropies(self, lags: Sequence[int]) -> EntropyEstimate:
        """Returns H(X_T-1+i | X_0..X_T-1) in nats for each lag i: the next tokens given a whole sample.

        Lag 1 is the entropy rate. With `blur` the past is the T tokens of a sample; given an unlimited past the entropy
        would be slightly lower.
        """
        length, steps = self.length, [self.steps(lag) for lag in lags]
        if not self.hidden:
            return exactly([self._entropy_after(count) for count in steps])
        last = [length - 1 + lag - self.config.lag_tokens * count for lag, count in zip(lags, steps, strict=True)]
        known = list(zip(steps, last, strict=True))
        return averaged(
            np.stack([entropy(self.ahead(count, belief[:, place])) for count, place in known], axis=1)
            for belief in self._sampled_beliefs()
        )

    def optimal_losses(self, lags: Sequence[int]) -> EntropyEstimate:
        """Returns the mean loss in nats of head i of a perfect model over its targets, i..T-1 of each sample."""
        assert max(lags) < self.length, "a head that looks past the end of its sample has no targets"
        # For targets near the start of a sample the head sees no token of their chain.
        known = [max(0, self.length - self.config.lag_tokens * self.steps(lag)) for lag in lags]
        share = np.array(known) / (self.length - np.array(lags))
        start = (1 - share) * self.unigram_entropy
        if not self.hidden:
            return exactly(share * [self._entropy_after(self.steps(lag)) for lag in lags] + start)
        ranges = [(self.steps(lag), count) for lag, count in zip(lags, known, strict=True)]
        return averaged(
            start + np.stack([self._mean_entropy(belief[:, :count], steps) for steps, count in ranges], axis=1) * share
            for belief in self._sampled_beliefs()
        )

    def information(self) -> Information:
        """Returns entropies and mutual information of the two tokens after a sample, given the sample."""
        if self.config.lag_tokens > 1:  # the two tokens belong to different chains
            both = self.entropies([1, 2])
            x, y = both.nats
            return Information.of(np.array([x, y, x, y, 0.0]), float(both.error.max()))

        def pairs(belief: Floats) -> Floats:
            return pair_entropies(self._pair_after(belief))

        if not self.hidden:
            return Information.of(self.stationary @ pairs(np.eye(self.states)), 0.0)
        mean = averaged(pairs(belief[:, -1]) for belief in self._sampled_beliefs())
        return Information.of(mean.nats, float(mean.error.max()))

    def pairs(self, batch: Batch, rows: Integers, places: Integers) -> Floats:
        """Returns P(x_t, x_t+1 | x_0..x_t-1) float64 [N, V, V], exact, at t = `places` >= 1 [N] of `rows` [N]."""
        if self.config.lag_tokens > 1:  # the two tokens belong to different chains
            x, y = (self.distribution(batch, lag)[rows, places + lag - 1] for lag in (1, 2))
            joint: Floats = x[:, :, None] * y[:, None, :]
            return joint
        return self._pair_after(self.beliefs(batch.tokens)[rows, places - 1])

    def _pair_after(self, belief: Floats) -> Floats:
        """Returns the joint distribution [..., V, V] of a chain's next two tokens after a belief [..., S]."""
        after = (belief @ self.transition)[..., None, :] * self.emission.T
        result: Floats = after @ (self.transition @ self.emission)
        return result

    def _entropy_after(self, steps: int) -> float:
        """Returns H(token `steps` later | state), for a source without blur, whose tokens determine the state."""
        return float(self.stationary @ entropy(self.ahead(steps, np.eye(self.states))))

    def _mean_entropy(self, belief: Floats, steps: int) -> Floats:
        """Averages the entropy of the token `steps` later over the N positions of `belief` [B, N, S]; 0 if N = 0."""
        mean: Floats = np.sum(entropy(self.ahead(steps, belief)), axis=1) / max(1, belief.shape[1])
        return mean

    def _sampled_beliefs(self) -> Iterator[Floats]:
        """Yields beliefs [b, T, S] along `SEQUENCES` sequences of the source, regardless of splits, in parts."""
        tokens = len(self.vocabulary)
        at_once = max(1, NUMBERS_AT_ONCE // (tokens * max(tokens, self.length)))
        for start in range(0, SEQUENCES, at_once):
            keys = sample_keys(f"{self.name}:theory", np.arange(start, min(start + at_once, SEQUENCES)))
            yield self.beliefs(self.draw(Stream(keys), "train").tokens)
