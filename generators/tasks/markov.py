"""Markov sources whose entropies are known: what a perfect model's heads would lose, to compare a model with.

Paper, section 5.2 and appendix L: of two tokens X, Y that follow a context, H(X) + H(Y) = H(X|Y) + 2 I(X;Y) + H(Y|X),
so predicting both counts what they share twice. Here each of these numbers is known (`information`), and so is the
loss of head i at its optimum, the entropy H(X_t+i | X_0..X_t) (`entropies`, `optimal_losses`, `distribution`).

A state has a successor, the next number in a circle. At each step comes, with probability `memory`, the successor, and
otherwise a state drawn afresh from a fixed distribution f, itself drawn (Dirichlet, all weights 1) by `source_seed`.
With `memory` = 0.8 and 16 states, the fresh draws marked:

     5  6  7  8 |2  3  4 |15  0  1  2 |11 |7  8  9 10 11 ...

The transition matrix P = memory C + (1 - memory) 1 f has the eigenvalues 1 and memory times the roots of unity, so what
a token tells of the one i later decays as memory^i: `memory` = 0 is memoryless, 0.98 reaches some 50 tokens.
Three settings go further:

    lag_tokens      token t follows token t - L: L chains that take turns. Heads 1..L then have the same optimum
    hidden_states   S states, of which each emits the tokens v = S k + state, equally likely
    blur            with this probability a token is a uniform one: the state is hidden, and what is known of it
                    (the belief) depends on the whole past

Without `blur` all numbers are closed forms: H(X_t+i | past) is the average, over states in the stationary distribution,
of the entropies of the rows of P^i E, with E the emission; for L chains the power is ceil(i / L). With `blur` there is
no closed form: for each sequence the belief is exact, by recursion, and its entropies are averaged over 2048 sequences
of the source. Such numbers come with their standard error.

Samples start in the stationary distribution. Nothing is right or wrong token by token: nothing is scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, sample_keys
from generators.material.entropy import Estimate, Floats, averaged, entropy, exactly, pair_entropies
from generators.protocols import Information
from generators.task import Batch, Mask, Task, TaskConfig

LENGTH_MAXIMUM = 4096
# Splits are kept apart by the hash of whole samples. If two samples are the same with probability c, that moves what a
# split shows of any quantity by about 4 sqrt(c) of the quantity's range at most: a matter of small c.
REPEATED_MAXIMUM = 1e-6
REFUTED = 1e-9
SEQUENCES = 2048
NUMBERS_AT_ONCE = 2**22


class MarkovConfig(TaskConfig):
    """Settings of `markov`."""

    kind: Literal["markov"] = "markov"
    vocabulary_tokens: int = Field(default=16, ge=2, le=128, description="tokens")
    memory: float = Field(default=0.8, ge=0, lt=1, description="probability that the successor comes")
    lag_tokens: int = Field(default=1, ge=1, le=64, description="tokens back to the one that a token follows")
    hidden_states: int | None = Field(
        default=None, ge=2, description="states behind the tokens; without it each token is a state"
    )
    blur: float = Field(default=0.0, ge=0, lt=1, description="probability that a token is any token")
    source_seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="which of the random distributions of fresh states"
    )
    length_tokens: int = Field(default=64, ge=8, le=LENGTH_MAXIMUM, description="tokens of a sample")
    training_samples: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="a fixed training set of that size, read in epochs; without it, fresh samples",
    )
    test_samples: int = Field(default=1000, ge=1, le=10**7)
    validation_samples: int = Field(default=500, ge=1, le=10**7)


class Markov(Task):
    """Samples of `length_tokens` tokens. Labels: `state`, the state behind each token.

    Attributes:
        fresh: float64 [S], probabilities of a state drawn afresh.
        transition, emission: float64 [S, S] and [S, V], from a state to the next one and to its token.
        stationary: float64 [S], probabilities of a state at any position.
        hidden: whether the state cannot be read off the token.
    """

    config: MarkovConfig

    def __init__(self, config: MarkovConfig) -> None:
        tokens = config.vocabulary_tokens
        self.states = states = config.hidden_states or tokens
        if tokens % states:
            raise UserError(
                f"task.hidden_states = {states}: {tokens} tokens cannot be shared out evenly among so many; "
                f"give a divisor of task.vocabulary_tokens"
            )
        if config.lag_tokens >= config.length_tokens:
            raise UserError(
                f"task.lag_tokens = {config.lag_tokens}: a sample of {config.length_tokens} tokens is no longer; "
                f"give at most {config.length_tokens - 1}, or a greater task.length_tokens"
            )
        super().__init__(config)
        self.vocabulary = tuple(str(token) for token in range(tokens))
        self.length = config.length_tokens
        self.splits = {
            "train": config.training_samples,
            "validation": config.validation_samples,
            "test": config.test_samples,
        }
        weights = -np.log1p(-Stream(sample_keys("markov source", [config.source_seed])).uniform("fresh", states)[0])
        self.fresh: Floats = weights / weights.sum()
        successor = np.roll(np.eye(states), 1, axis=1)
        self.transition: Floats = config.memory * successor + (1 - config.memory) * self.fresh
        # r = memory r C + (1 - memory) f, since the fresh draws do not ask where they come from.
        self.stationary: Floats = np.linalg.solve(
            np.eye(states) - config.memory * successor.T, (1 - config.memory) * self.fresh
        )
        mine = np.arange(tokens) % states == np.arange(states)[:, None]
        self.emission: Floats = (1 - config.blur) * mine * states / tokens + config.blur / tokens
        self.hidden = config.blur > 0
        self._refuse_repeats()

    def _refuse_repeats(self) -> None:
        shortest = self._distinct_length()
        if shortest is None:
            raise UserError(
                f"task.memory = {self.config.memory}: samples repeat themselves even at {LENGTH_MAXIMUM} tokens, so "
                f"splits that share none would not be the source's; give less, for example 0.95"
            )
        if self.length < shortest:
            raise UserError(
                f"task.length_tokens = {self.length}: with task.memory = {self.config.memory} whole samples repeat "
                f"themselves, so splits that share none would not be the source's; give at least {shortest}"
            )

    def _distinct_length(self) -> int | None:
        """The fewest tokens at which two samples are the same with probability `REPEATED_MAXIMUM` at most, if any."""
        alike = self.emission @ self.emission.T
        pairs = alike * np.outer(self.stationary, self.stationary)  # both in these states, and the same tokens so far
        lag = self.config.lag_tokens
        for step in range(1, LENGTH_MAXIMUM // lag + 1):
            if pairs.sum() ** lag <= REPEATED_MAXIMUM:
                return step * lag
            pairs = alike * (self.transition.T @ pairs @ self.transition)
        return None

    def draw(self, stream: Stream, split: str) -> Batch:
        rows, lag = len(stream), self.config.lag_tokens
        steps = -(-self.length // lag)
        follows = stream.uniform("is fresh", steps * lag).reshape(rows, steps, lag) < self.config.memory
        follows[:, 0] = False
        place = stream.uniform("fresh state", steps * lag).reshape(rows, steps, lag)
        state = np.searchsorted(self.fresh.cumsum()[:-1], place, side="right")
        state[:, 0] = np.searchsorted(self.stationary.cumsum()[:-1], place[:, 0], side="right")
        step = np.arange(steps)[None, :, None]
        since = np.maximum.accumulate(np.where(follows, 0, step), axis=1)
        state = (np.take_along_axis(state, since, axis=1) + step - since) % self.states
        state = state.reshape(rows, -1)[:, : self.length]
        tokens = self._emit(stream, state)
        loss = np.arange(self.length)[None].repeat(rows, axis=0) > 0
        return Batch(tokens=tokens, loss=loss, scored=np.zeros_like(loss), labels={"state": state})

    def _emit(self, stream: Stream, state: Integers) -> Integers:
        tokens = state
        each = len(self.vocabulary) // self.states
        if each > 1:
            tokens = tokens + self.states * stream.integers("token of the state", each, self.length)
        if self.hidden:
            blurred = stream.uniform("is blurred", self.length) < self.config.blur
            tokens = np.where(blurred, stream.integers("any token", len(self.vocabulary), self.length), tokens)
        return tokens

    def oracle(self, batch: Batch) -> Integers:
        return np.full(batch.tokens.shape, -1)

    def confirmed(self, batch: Batch) -> Mask:
        """Which samples [B] can be the source's: tokens that exist, states that agree, and no strong evidence against.

        Evidence against is that independent tokens of the same frequencies explain a sample 1e9 times better, which
        happens to a true sample with probability 1e-9 at most (Markov's inequality on the likelihood ratio).
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
        """Steps of its own chain from the last token that head `lag` knows of it to the one it predicts."""
        return -(-lag // self.config.lag_tokens)

    def ahead(self, steps: int, belief: Floats) -> Floats:
        """Probabilities of a token [..., V], `steps` after its state had the probabilities `belief` [..., S]."""
        return belief @ (np.linalg.matrix_power(self.transition, steps) @ self.emission)

    def beliefs(self, tokens: Integers) -> Floats:
        """P(state of token t | tokens 0..t) float64 [B, T, S], by the forward recursion."""
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
        """P(x_t | x_0..x_t-lag) float64 [B, T, V], exact: the optimum of head `lag` at each target t.

        Where nothing of the target's chain is known yet it is the stationary distribution.
        """
        reach = self.config.lag_tokens * self.steps(lag)
        known = self.ahead(self.steps(lag), self.beliefs(batch.tokens)[:, : max(0, self.length - reach)])
        unknown = self.ahead(0, np.broadcast_to(self.stationary, (len(batch), min(reach, self.length), self.states)))
        return np.concatenate((unknown, known), axis=1)

    @property
    def unigram_entropy(self) -> float:
        """H(X_t) in nats: what a model loses that knows the frequencies of tokens and no more."""
        return float(entropy(self.ahead(0, self.stationary)))

    def entropies(self, lags: Sequence[int]) -> Estimate:
        """H(X_T-1+i | X_0..X_T-1) in nats for each lag i: the next tokens given a whole sample. The first is the rate.

        With `blur` the past is the T tokens of a sample, and the entropy of an unlimited past is a little less.
        """
        length, steps = self.length, [self.steps(lag) for lag in lags]
        if not self.hidden:
            return exactly([self._entropy_after(count) for count in steps])
        places = [length - 1 + lag - self.config.lag_tokens * count for lag, count in zip(lags, steps, strict=True)]
        wanted = list(zip(steps, places, strict=True))
        return averaged(
            np.stack([entropy(self.ahead(count, belief[:, place])) for count, place in wanted], axis=1)
            for belief in self._sampled_beliefs()
        )

    def optimal_losses(self, lags: Sequence[int]) -> Estimate:
        """What head i of a perfect model loses on average over its targets, i..T-1 of each sample, in nats."""
        assert max(lags) < self.length, "a head that looks past the end of its sample has no targets"
        # Of the targets of head i, those in the first i or more tokens have nothing of their chain before them.
        known = [max(0, self.length - self.config.lag_tokens * self.steps(lag)) for lag in lags]
        share = np.array(known) / (self.length - np.array(lags))
        start = (1 - share) * self.unigram_entropy
        if not self.hidden:
            return exactly(share * [self._entropy_after(self.steps(lag)) for lag in lags] + start)
        wanted = [(self.steps(lag), count) for lag, count in zip(lags, known, strict=True)]
        return averaged(
            start + np.stack([self._mean_entropy(belief[:, :count], steps) for steps, count in wanted], axis=1) * share
            for belief in self._sampled_beliefs()
        )

    def information(self) -> Information:
        """What the two tokens after a sample tell of each other, the sample being known."""
        if self.config.lag_tokens > 1:  # they belong to two chains
            both = self.entropies([1, 2])
            x, y = both.nats
            return Information.of(np.array([x, y, x, y, 0.0]), float(both.error.max()))

        def pairs(belief: Floats) -> Floats:
            return pair_entropies(self._pair_after(belief))

        if not self.hidden:
            return Information.of(self.stationary @ pairs(np.eye(self.states)), 0.0)
        found = averaged(pairs(belief[:, -1]) for belief in self._sampled_beliefs())
        return Information.of(found.nats, float(found.error.max()))

    def pairs(self, batch: Batch, rows: Integers, places: Integers) -> Floats:
        """P(x_t, x_t+1 | x_0..x_t-1) float64 [N, V, V], exact, at place t >= 1 [N] of these rows of the batch [N]."""
        if self.config.lag_tokens > 1:  # they belong to two chains
            x, y = (self.distribution(batch, lag)[rows, places + lag - 1] for lag in (1, 2))
            joint: Floats = x[:, :, None] * y[:, None, :]
            return joint
        return self._pair_after(self.beliefs(batch.tokens)[rows, places - 1])

    def _pair_after(self, belief: Floats) -> Floats:
        """Probabilities [..., V, V] of the two tokens of a chain after a state with these probabilities [..., S]."""
        after = (belief @ self.transition)[..., None, :] * self.emission.T
        result: Floats = after @ (self.transition @ self.emission)
        return result

    def _entropy_after(self, steps: int) -> float:
        """H(token `steps` later | state): of a source without blur, the token tells the state."""
        return float(self.stationary @ entropy(self.ahead(steps, np.eye(self.states))))

    def _mean_entropy(self, belief: Floats, steps: int) -> Floats:
        """Entropy [B] of the token `steps` later, averaged over the N positions of `belief` [B, N, S]; 0 if none."""
        mean: Floats = np.sum(entropy(self.ahead(steps, belief)), axis=1) / max(1, belief.shape[1])
        return mean

    def _sampled_beliefs(self) -> Iterator[Floats]:
        """Beliefs [b, T, S] along `SEQUENCES` sequences of the source, no split asked, a few at a time."""
        tokens = len(self.vocabulary)
        at_once = max(1, NUMBERS_AT_ONCE // (tokens * max(tokens, self.length)))
        for start in range(0, SEQUENCES, at_once):
            keys = sample_keys(f"{self.name}:theory", np.arange(start, min(start + at_once, SEQUENCES)))
            yield self.beliefs(self.draw(Stream(keys), "train").tokens)
