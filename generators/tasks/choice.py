"""Choice points: some tokens decide the D tokens that follow them, others, drawn just as freely, decide nothing.

Paper, section 5.1 and figure 9. A sample is a row of blocks: a marker that tells what kind of block it is, a choice
(one of `branching` tokens, equally likely), D tokens of the same alphabet, and filler up to `spacing_tokens`.

    C0 a7 a6 a2 a2 a1 C0+6 C0+7 I1 a0 a0 a7 a2 a4 I1+6 I1+7 C0 a1 a3 a3 a1 a4 ... I1 a4 a0 a7 a2 a4 ...
       |  `---------' decided by a7    |  `---------' the same whatever was chosen
       consequential                   inconsequential

What a consequential choice decides stands in a random table (`source_seed`) in which two options differ at every
offset; an inconsequential choice is followed by a fixed row of it. `noise` replaces a token of either row by a uniform
one of the alphabet. So block by block and token by token the two kinds have the same entropy for a next-token head, and
differ only in what is decided. Blocks come in a fixed round; the marker that a sample begins with is drawn, the other
markers and the filler follow. Scored are the decided tokens. Without noise a choice can be read off any token that it
has decided; with noise only the choice itself is reliable.

Everything that can be known is known. With A the alphabet, b = `branching`, q = `noise`, head i loses at its optimum

    filler                                    0
    a choice of either kind                   log b
    a decided token at offset k >= i          h(1 - q + q/A, and A - 1 times q/A)               the choice is seen
    a decided token at offset k < i           h(b times (1 - q)/b + q/A, and A - b times q/A)   it is not
    a fixed token                             h(1 - q + q/A, and A - 1 times q/A)

with h the entropy (`distribution`, `optimal_loss`), and the best accuracy is 1 - q (A - 1)/A where the choice is seen
(`ceiling`), (1 - q)/b + q/A where it is not (`blind_ceiling`). Summed over n heads, a block's tokens lose log b
`implied_weight` times without noise: the paper's n(n+1)/2 if D >= n - 1, against n for an inconsequential choice.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, sample_keys
from generators.material.entropy import Estimate, Floats, entropy, exactly
from generators.protocols import ChoicePoints
from generators.task import Batch, Mask, Task, TaskConfig

CLASSES = FILLER, CONSEQUENTIAL, INCONSEQUENTIAL, DECIDED, FIXED = range(5)
"""Values of the label `class`."""
UNSEEN = 1_000_000
"""A lag beyond every offset."""


class ChoiceConfig(TaskConfig):
    """Settings of `choice`."""

    kind: Literal["choice"] = "choice"
    branching: int = Field(default=8, ge=2, le=64, description="options of a choice, equally likely")
    decides_tokens: int = Field(default=4, ge=1, le=64, description="tokens after it that it decides, if consequential")
    spacing_tokens: int = Field(default=8, ge=1, le=256, description="tokens from one choice, of any kind, to the next")
    consequential_points: int = Field(default=1, ge=1, le=16, description="consequential choices of a round")
    inconsequential_points: int = Field(default=1, ge=0, le=16, description="inconsequential choices of a round")
    alphabet_tokens: int = Field(
        default=8, ge=2, le=128, description="tokens that choices and decided tokens are drawn from"
    )
    noise: float = Field(default=0.0, ge=0, lt=1, description="probability that a decided token is any of the alphabet")
    source_seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="which of the random tables of what a choice decides"
    )
    length_tokens: int = Field(default=64, ge=8, le=4096, description="tokens of a sample; it ends where it is cut")
    training_samples: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="a fixed training set of that size, read in epochs; without it, fresh samples",
    )
    test_samples: int = Field(default=1000, ge=1, le=10**7)
    validation_samples: int = Field(default=500, ge=1, le=10**7)


class Choice(Task):
    """Samples of `length_tokens` tokens.

    Labels: `class`, one of `CLASSES`; `choice`, the position of the choice that decides the token, its own at a choice,
    -1 where none does; `offset`, tokens since the last choice of either kind, -1 where there was none.

    Attributes:
        table: int64 [b + 1, D], what each option decides; the last row is what follows an inconsequential choice.
        blocks: int64 [K, S], the tokens of each block of a round; -1 where they are drawn or read from the table.
        classes: int64 [K, S], their class.
    """

    config: ChoiceConfig

    def __init__(self, config: ChoiceConfig) -> None:
        spacing, decides, rounds = config.spacing_tokens, config.decides_tokens, _round(config)
        if config.alphabet_tokens < config.branching:
            raise UserError(
                f"task.alphabet_tokens = {config.alphabet_tokens}: too few to tell {config.branching} options apart; "
                f"give at least {config.branching}, or a smaller task.branching"
            )
        if spacing < decides + 2:
            raise UserError(
                f"task.spacing_tokens = {spacing}: a marker, a choice and the {decides} tokens it decides must end "
                f"before the next, as no token can show two choices; give at least {decides + 2}"
            )
        if config.length_tokens < len(rounds) * spacing:
            raise UserError(
                f"task.length_tokens = {config.length_tokens}: a round of {len(rounds)} blocks of {spacing} does "
                f"not fit; give at least {len(rounds) * spacing}"
            )
        super().__init__(config)
        self.alphabet = config.alphabet_tokens
        kind = np.where(rounds[:, None], (CONSEQUENTIAL, DECIDED), (INCONSEQUENTIAL, FIXED))
        self.classes: Integers = np.full((len(rounds), spacing), FILLER)
        self.classes[:, 1], self.classes[:, 2 : 2 + decides] = kind[:, 0], kind[:, 1:]
        filler = self.classes == FILLER
        self.blocks = np.where(filler, self.alphabet - 1 + filler.cumsum().reshape(filler.shape), -1)
        letters = np.where(rounds, "C", "I")
        names = [f"{letters[j]}{j}+{place}" if place else f"{letters[j]}{j}" for j, place in np.argwhere(filler)]
        self.vocabulary = (*(f"a{token}" for token in range(self.alphabet)), *names)
        self.length = config.length_tokens
        self.splits = {
            "train": config.training_samples,
            "validation": config.validation_samples,
            "test": config.test_samples,
        }
        self.table = self._table()
        self.shortcuts = {"blind": self.blind, "previous_token": self.previous_token}

    def _table(self) -> Integers:
        config = self.config
        stream = Stream(sample_keys("choice table", [config.source_seed]))
        columns = [stream.choose(f"offset {k}", self.alphabet, config.branching) for k in range(config.decides_tokens)]
        fixed = stream.integers("fixed", self.alphabet, config.decides_tokens)
        return np.concatenate((np.stack(columns, axis=2)[0], fixed))

    @property
    def ceiling(self) -> float:
        """The best accuracy at a decided token, the choice being seen."""
        return 1 - self.config.noise * (self.alphabet - 1) / self.alphabet

    @property
    def blind_ceiling(self) -> float:
        """The best accuracy at a decided token of any rule that does not see the choice, nor what it decided."""
        return (1 - self.config.noise) / self.config.branching + self.config.noise / self.alphabet

    def draw(self, stream: Stream, split: str) -> Batch:
        config, rows = self.config, len(stream)
        points, decides = -(-self.length // config.spacing_tokens), config.decides_tokens
        block = (stream.integers("first block", len(self.blocks), 1) + np.arange(points)) % len(self.blocks)
        option = stream.integers("option", config.branching, points)
        row = np.where(self.classes[block, 1] == CONSEQUENTIAL, option, config.branching)
        follow = self.table[row].reshape(rows, -1)
        if config.noise:
            noisy = stream.uniform("is noise", points * decides) < config.noise
            follow = np.where(noisy, stream.integers("noise", self.alphabet, points * decides), follow)
        tokens = self.blocks[block]
        tokens[:, :, 1] = option
        tokens[:, :, 2 : 2 + decides] = follow.reshape(rows, points, decides)
        tokens = tokens.reshape(rows, -1)[:, : self.length]
        loss = np.arange(self.length)[None].repeat(rows, axis=0) > 0
        labels = self._labels(block)
        return Batch(tokens=tokens, loss=loss, scored=labels["class"] == DECIDED, labels=labels)

    def _labels(self, block: Integers) -> dict[str, Integers]:
        """Labels [B, T] of samples made of these blocks [B, points]."""
        place = np.arange(self.length)
        since = (place - 1) % self.config.spacing_tokens
        classes = self.classes[block].reshape(len(block), -1)[:, : self.length]
        decided = (classes != FILLER) & (classes != FIXED)
        offset = np.where(place > 0, since, -1)[None].repeat(len(block), axis=0)
        return {"class": classes, "choice": np.where(decided, place - since, -1), "offset": offset}

    def oracle(self, batch: Batch) -> Integers:
        """The likeliest token: at every decided position what its choice says, by reading markers one after another."""
        answers = np.full(batch.tokens.shape, -1)
        decides = self.config.decides_tokens
        for row, tokens in enumerate(batch.tokens.tolist()):
            for place, token in enumerate(tokens[:-1]):
                name, option = self.vocabulary[token], tokens[place + 1]
                if name.startswith("C") and "+" not in name and option < self.config.branching:
                    told = self.table[option][: len(tokens) - place - 2]
                    answers[row, place + 2 : place + 2 + decides] = told
        return answers

    def confirmed(self, batch: Batch) -> Mask:
        """Which samples [B] can be the source's: no token is impossible, and the labels are those of the tokens."""
        inside: Mask = np.all((batch.tokens >= 0) & (batch.tokens < len(self.vocabulary)), axis=1)
        tokens = np.where(inside[:, None], batch.tokens, 0)
        safe = replace(batch, tokens=tokens)
        possible = np.take_along_axis(self.distribution(safe), tokens[:, :, None], axis=2)[:, :, 0] > 0
        agrees: Mask = inside & possible.all(axis=1) & ((self.oracle(safe) >= 0) == batch.scored).all(axis=1)
        for name, label in self._labels(self._read_blocks(tokens)).items():
            agrees = agrees & (label == batch.labels[name]).all(axis=1)
        return agrees

    def _read_blocks(self, tokens: Integers) -> Integers:
        """The block [B, points] at each choice, told by the first token; whatever, where that is no marker."""
        first = (tokens[:, :1] == self.blocks[:, 0]).argmax(axis=1)
        points = -(-self.length // self.config.spacing_tokens)
        blocks: Integers = (first[:, None] + np.arange(points)) % len(self.blocks)
        return blocks

    def distribution(self, batch: Batch, lag: int = 1) -> Floats:
        """P(x_t | x_0..x_t-lag) float64 [B, T, V], exact: the optimum of head `lag` at each target t.

        Before position `lag` nothing is known, not even the first block. (That a split holds only the samples that
        hash into it is left out: nobody can learn it.)
        """
        blocks = self._read_blocks(batch.tokens)
        choice_at = np.arange(self.length) // self.config.spacing_tokens * self.config.spacing_tokens + 1
        options = batch.tokens[:, np.minimum(choice_at, self.length - 1)]
        known = self._expected(blocks, np.minimum(options, self.config.branching), lag)
        each = (np.arange(len(self.blocks))[:, None] + np.arange(blocks.shape[1])) % len(self.blocks)
        known[:, :lag] = self._expected(each, np.zeros((len(each), self.length), np.int64), UNSEEN).mean(axis=0)[:lag]
        return known

    def position_classes(self, batch: Batch) -> dict[str, Mask]:
        names = ("filler", "consequential choice", "inconsequential choice", "decided", "fixed")
        return {name: batch.labels["class"] == which for name, which in zip(names, CLASSES, strict=True)}

    def _expected(self, blocks: Integers, options: Integers, lag: int) -> Floats:
        """Probabilities [B, T, V] for blocks [B, points] and the options [B, T] that were, or were not, seen."""
        noise, branching = self.config.noise, self.config.branching
        labels = self._labels(blocks)
        classes, offset = labels["class"], labels["offset"]
        result = np.zeros((*classes.shape, len(self.vocabulary)))
        fixed = self.blocks[blocks].reshape(len(blocks), -1)[:, : self.length]
        at, filler = np.nonzero(classes == FILLER), fixed[classes == FILLER]
        result[(*at, filler)] = 1.0
        result[(classes == CONSEQUENTIAL) | (classes == INCONSEQUENTIAL), :branching] = 1 / branching
        follows = (classes == DECIDED) | (classes == FIXED)
        result[follows, : self.alphabet] = noise / self.alphabet
        row = np.where(classes == FIXED, branching, options)
        seen = np.nonzero(follows & ((classes == FIXED) | (offset >= lag)))
        result[(*seen, self.table[row[seen], offset[seen] - 1])] += 1 - noise
        unseen = np.nonzero((classes == DECIDED) & (offset < lag))
        for option in self.table[:branching]:
            result[(*unseen, option[offset[unseen] - 1])] += (1 - noise) / branching
        return result

    def choice_points(self, batch: Batch) -> ChoicePoints:
        classes = batch.labels["class"]
        return ChoicePoints(
            consequential=classes == CONSEQUENTIAL,
            inconsequential=classes == INCONSEQUENTIAL,
            decided=classes == DECIDED,
            choice=batch.labels["choice"],
            offset=batch.labels["offset"],
            decides_tokens=self.config.decides_tokens,
            spacing_tokens=self.config.spacing_tokens,
        )

    def optimal_loss(self, batch: Batch, lag: int = 1) -> Floats:
        """The loss in nats of head `lag` of a perfect model at every target [B, T], in closed form.

        The closed form holds from target `lag` on; the head predicts no earlier one.
        """
        return self.optimal_loss_at(batch.labels["class"], batch.labels["offset"], lag)

    def optimal_loss_at(self, classes: Integers, offset: Integers, lag: int = 1) -> Floats:
        """The optimal loss [...] at targets with these labels [...]."""
        noise, size, branching = self.config.noise, self.alphabet, self.config.branching
        said: Floats = np.stack([(np.arange(size) < options) / options for options in (1, branching)])
        seen, unseen = entropy(noise / size + (1 - noise) * said)
        decided = np.where(offset >= lag, seen, unseen)
        result: Floats = np.choose(classes, [np.float64(0), np.log(branching), np.log(branching), decided, seen])
        return result

    def optimal_losses(self, lags: Sequence[int]) -> Estimate:
        """What head i of a perfect model loses on average over its targets, i..T-1 of each sample, in nats."""
        assert max(lags) < self.length, "a head that looks past the end of its sample has no targets"
        labels = self._labels(self._read_blocks(self.blocks))  # a sample for each marker it can begin with
        each = [self.optimal_loss_at(labels["class"], labels["offset"], lag)[:, lag:].mean() for lag in lags]
        return exactly([float(loss) for loss in each])

    def blind(self, batch: Batch) -> Integers:
        """Shortcut: what the first option decides at this offset, whatever was chosen."""
        told = self.table[0][np.clip(batch.labels["offset"] - 1, 0, self.config.decides_tokens - 1)]
        return np.where(batch.labels["class"] == DECIDED, told, -1)

    def previous_token(self, batch: Batch) -> Integers:
        """Shortcut: what most often follows the previous token, by the table, whatever the offset."""
        before = np.concatenate((np.arange(self.config.branching)[:, None], self.table[:-1]), axis=1)
        counts = np.zeros((self.alphabet, self.alphabet), np.int64)
        np.add.at(counts, (before[:, :-1], before[:, 1:]), 1)
        guesses = np.full(batch.tokens.shape, -1)
        row, place = np.nonzero(batch.labels["class"] == DECIDED)
        guesses[row, place] = counts.argmax(axis=1)[batch.tokens[row, place - 1]]
        return guesses


def _round(config: ChoiceConfig) -> Mask:
    """Which blocks [K] of a round are consequential: spread as evenly as they go."""
    size = config.consequential_points + config.inconsequential_points
    return np.diff(-(np.arange(size + 1) * -config.consequential_points // size)) > 0


def implied_weight(n: int, decides_tokens: int) -> int:
    """Predictions, of all positions by n heads, that look at a choice or at a token it decides from before the choice.

    With D = `decides_tokens`, the target at offset k = 0..D is predicted from before the choice by the heads k+1..n, so
    the number is the sum of n - k over k = 0..min(D, n - 1). With m = min(D + 1, n) that is m n - m (m - 1)/2: the
    paper's n(n+1)/2 if D >= n - 1, and its n for a choice that decides nothing, D = 0. (D + 1 counts the choice itself
    among the tokens that the transition into it fixes.)
    """
    fixed = min(decides_tokens + 1, n)
    return fixed * n - fixed * (fixed - 1) // 2
