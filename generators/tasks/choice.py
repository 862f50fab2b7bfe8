"""Choice points: some choices decide the D tokens that follow them, others, equally random, decide nothing.

Paper, section 5.1 and figure 9. A sample is a row of blocks. A block is a marker for its kind, a choice (one of
`branching` tokens, equally likely), D tokens of the same alphabet, and filler up to `spacing_tokens`.

    C0 a7 a6 a2 a2 a1 C0+6 C0+7 I1 a0 a0 a7 a2 a4 I1+6 I1+7 C0 a1 a3 a3 a1 a4 ... I1 a4 a0 a7 a2 a4 ...
       |  `---------' decided by a7    |  `---------' the same whatever was chosen
       consequential                   inconsequential

A consequential choice selects its D tokens from a random table (`source_seed`) in which any two options differ at every
offset; a fixed row of the table follows an inconsequential choice. `noise` replaces a token of either row by a uniform
token of the alphabet. So for a next-token head both kinds of block have the same entropy, token by token, and differ
only in what is decided. Blocks come in a fixed round; a sample begins at a random block of it, which determines the
other markers and the filler. The decided tokens are scored. Without noise any decided token reveals the choice; with
noise only the choice itself is reliable.

All optimal losses are known. With A the alphabet, b = `branching` and q = `noise`, head i loses at its optimum

    filler                                    0
    a choice of either kind                   log b
    a decided token at offset k >= i          h(1 - q + q/A, and A - 1 times q/A)               the choice is seen
    a decided token at offset k < i           h(b times (1 - q)/b + q/A, and A - b times q/A)   it is not seen
    a fixed token                             h(1 - q + q/A, and A - 1 times q/A)

where h is the entropy (`distribution`, `optimal_loss`). The best accuracy is 1 - q (A - 1)/A if the choice is seen and
(1 - q)/b + q/A for a rule that sees neither the choice nor its decided tokens (`ceilings`). Without noise the heads
lose log b each time that one of them predicts the choice, or a token that it decides, from before the choice: the
paper's n(n+1)/2 times if D >= n - 1, but n times for an inconsequential choice.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Floats, Integers, Stream, sample_keys
from generators.material.entropy import entropy, exactly
from generators.protocols import ChoicePoints, EntropyEstimate
from generators.task import Batch, HeldOutSamples, Mask, Task, TaskConfig, TrainingSamples, usual_splits

CLASSES = FILLER, CONSEQUENTIAL, INCONSEQUENTIAL, DECIDED, FIXED = range(5)
"""Values of the label `class`."""
LAG_BEYOND_ALL = 1_000_000
"""A lag greater than every offset."""


class ChoiceConfig(TaskConfig):
    """Settings of `choice`."""

    kind: Literal["choice"] = "choice"
    branching: int = Field(default=8, ge=2, le=64, description="options of a choice, equally likely")
    decides_tokens: int = Field(default=4, ge=1, le=64, description="tokens that a consequential choice decides")
    spacing_tokens: int = Field(default=8, ge=1, le=256, description="tokens from one choice, of any kind, to the next")
    consequential_points: int = Field(default=1, ge=1, le=16, description="consequential choices in a round")
    inconsequential_points: int = Field(default=1, ge=0, le=16, description="inconsequential choices in a round")
    alphabet_tokens: int = Field(
        default=8, ge=2, le=128, description="tokens that choices and decided tokens are drawn from"
    )
    noise: float = Field(
        default=0.0, ge=0, lt=1, description="probability that a random token replaces one of the table"
    )
    source_seed: int = Field(default=0, ge=0, le=2**31 - 1, description="selects the random table of decided tokens")
    length_tokens: int = Field(default=64, ge=8, le=4096, description="tokens of a sample; the last block may be cut")
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = 1000
    validation_samples: HeldOutSamples = 500


class Choice(Task):
    """Samples of `length_tokens` tokens.

    Labels: `class`, one of `CLASSES`; `choice`, the position of the choice that decides the token, which is a choice's
    own position, and -1 if no choice does; `offset`, tokens since the last choice of either kind, -1 before the first.

    Attributes:
        table: int64 [b + 1, D], the tokens that each option decides; the last row follows inconsequential choices.
        blocks: int64 [K, S], the tokens of the K blocks of a round; -1 if they are drawn or read from the table.
        classes: int64 [K, S], the classes of those tokens.
    """

    config: ChoiceConfig

    def __init__(self, config: ChoiceConfig) -> None:
        spacing, decides, rounds = config.spacing_tokens, config.decides_tokens, _round(config)
        if config.alphabet_tokens < config.branching:
            raise UserError(
                f"task.alphabet_tokens = {config.alphabet_tokens}: too few to distinguish {config.branching} options; "
                f"give at least {config.branching}, or a smaller task.branching"
            )
        if spacing < decides + 2:
            raise UserError(
                f"task.spacing_tokens = {spacing}: a marker, a choice and the {decides} tokens it decides must fit "
                f"before the next marker; give at least {decides + 2}"
            )
        if config.length_tokens < (needed := len(rounds) * spacing):
            raise UserError(
                f"task.length_tokens = {config.length_tokens}: a round of {len(rounds)} blocks of {spacing} does not "
                f"fit; give {f'at least {needed}' if needed <= 4096 else 'a smaller task.spacing_tokens'}"
            )
        super().__init__(config)
        self.alphabet = config.alphabet_tokens
        kind = np.where(rounds[:, None], (CONSEQUENTIAL, DECIDED), (INCONSEQUENTIAL, FIXED))
        self.classes: Integers = np.full((len(rounds), spacing), FILLER)
        self.classes[:, 1], self.classes[:, 2 : 2 + decides] = kind[:, 0], kind[:, 1:]
        filler = self.classes == FILLER
        self.blocks = np.where(filler, self.alphabet - 1 + filler.cumsum().reshape(filler.shape), -1)
        letters = np.where(rounds, "C", "I")
        names = [f"{letters[j]}{j}+{offset}" if offset else f"{letters[j]}{j}" for j, offset in np.argwhere(filler)]
        self.vocabulary = (*(f"a{token}" for token in range(self.alphabet)), *names)
        self.length = config.length_tokens
        self.splits = usual_splits(config)
        self.table = self._table()
        self.shortcuts = {"blind": self.blind, "previous_token": self.previous_token}
        noise, noisy_hit = config.noise, config.noise / self.alphabet
        seen, unseen = 1 - noise + noisy_hit, (1 - noise) / config.branching + noisy_hit
        self.ceilings = {
            "accuracy": {"choice_seen": seen, "choice_unseen": unseen},
            "exact": self._whole_ceilings(seen, noisy_hit),
        }

    def _whole_ceilings(self, seen: float, noisy_hit: float) -> dict[str, float]:
        """Returns the best shares of whole answers: all decided tokens of a sample, whatever block it begins with.

        A rule that does not see a choice does best if it predicts all of its tokens from the same option.
        """
        labels = self._labels(self._read_blocks(self.blocks))  # one sample for each marker that can come first
        blocks = np.arange(0, self.length, self.config.spacing_tokens)
        decided = np.add.reduceat((labels["class"] == DECIDED).astype(np.int64), blocks, axis=1)
        decided = decided[decided.any(axis=1)]
        unseen = (seen**decided + (self.config.branching - 1) * noisy_hit**decided) / self.config.branching
        whole = {"choice_seen": seen ** decided.sum(axis=1), "choice_unseen": unseen.prod(axis=1)}
        return {name: float(share.mean()) for name, share in whole.items()}

    def _table(self) -> Integers:
        config = self.config
        stream = Stream(sample_keys("choice table", [config.source_seed]))
        columns = [stream.choose(f"offset {k}", self.alphabet, config.branching) for k in range(config.decides_tokens)]
        fixed = stream.integers("fixed", self.alphabet, config.decides_tokens)
        return np.concatenate((np.stack(columns, axis=2)[0], fixed))

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
        """Returns the labels [B, T] of samples that consist of these blocks [B, points]."""
        position = np.arange(self.length)
        since = (position - 1) % self.config.spacing_tokens
        classes = self.classes[block].reshape(len(block), -1)[:, : self.length]
        decided = (classes != FILLER) & (classes != FIXED)
        offset = np.where(position > 0, since, -1)[None].repeat(len(block), axis=0)
        return {"class": classes, "choice": np.where(decided, position - since, -1), "offset": offset}

    def oracle(self, batch: Batch) -> Integers:
        """Returns the most likely token at every decided position, read from the table by scanning for markers."""
        answers = np.full(batch.tokens.shape, -1)
        decides = self.config.decides_tokens
        for row, tokens in enumerate(batch.tokens.tolist()):
            for place, token in enumerate(tokens[:-1]):
                name, option = self.vocabulary[token], tokens[place + 1]
                if name.startswith("C") and "+" not in name and option < self.config.branching:
                    decided = self.table[option][: len(tokens) - place - 2]
                    answers[row, place + 2 : place + 2 + decides] = decided
        return answers

    def confirmed(self, batch: Batch) -> Mask:
        """Returns which samples [B] the source can produce: no token is impossible and the labels match the tokens."""
        inside: Mask = np.all((batch.tokens >= 0) & (batch.tokens < len(self.vocabulary)), axis=1)
        tokens = np.where(inside[:, None], batch.tokens, 0)
        safe = replace(batch, tokens=tokens)
        possible = np.take_along_axis(self.distribution(safe), tokens[:, :, None], axis=2)[:, :, 0] > 0
        agrees: Mask = inside & possible.all(axis=1) & ((self.oracle(safe) >= 0) == batch.scored).all(axis=1)
        for name, label in self._labels(self._read_blocks(tokens)).items():
            agrees = agrees & (label == batch.labels[name]).all(axis=1)
        return agrees

    def _read_blocks(self, tokens: Integers) -> Integers:
        """Reads the block [B, points] at each choice from the first token; arbitrary if the first token is not a
        marker.
        """
        first = (tokens[:, :1] == self.blocks[:, 0]).argmax(axis=1)
        points = -(-self.length // self.config.spacing_tokens)
        blocks: Integers = (first[:, None] + np.arange(points)) % len(self.blocks)
        return blocks

    def distribution(self, batch: Batch, lag: int = 1) -> Floats:
        """Returns P(x_t | x_0..x_t-lag) float64 [B, T, V], exact: the optimum of head `lag` at each target t.

        Before position `lag` nothing is known, not even the first block. (The hash that assigns samples to splits is
        ignored, because no model can learn it.)
        """
        blocks = self._read_blocks(batch.tokens)
        choice_at = np.arange(self.length) // self.config.spacing_tokens * self.config.spacing_tokens + 1
        options = batch.tokens[:, np.minimum(choice_at, self.length - 1)]
        known = self._expected(blocks, np.minimum(options, self.config.branching), lag)
        rounds = (np.arange(len(self.blocks))[:, None] + np.arange(blocks.shape[1])) % len(self.blocks)
        unseen = np.zeros((len(rounds), self.length), np.int64)
        known[:, :lag] = self._expected(rounds, unseen, LAG_BEYOND_ALL).mean(axis=0)[:lag]
        return known

    def position_classes(self, batch: Batch) -> dict[str, Mask]:
        names = ("filler", "consequential choice", "inconsequential choice", "decided", "fixed")
        return {name: batch.labels["class"] == label for name, label in zip(names, CLASSES, strict=True)}

    def _expected(self, blocks: Integers, options: Integers, lag: int) -> Floats:
        """Returns probabilities [B, T, V] for blocks [B, points]; heads that see the options [B, T] know them."""
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
        """Returns the loss in nats of head `lag` of a perfect model at every target [B, T], in closed form.

        The closed form holds from target `lag` on; the head predicts no earlier one.
        """
        return self.optimal_loss_at(batch.labels["class"], batch.labels["offset"], lag)

    def optimal_loss_at(self, classes: Integers, offset: Integers, lag: int = 1) -> Floats:
        """Returns the optimal loss [...] of head `lag` at targets with the labels `class` and `offset` [...]."""
        noise, size, branching = self.config.noise, self.alphabet, self.config.branching
        noiseless: Floats = np.stack([(np.arange(size) < options) / options for options in (1, branching)])
        seen, unseen = entropy(noise / size + (1 - noise) * noiseless)
        decided = np.where(offset >= lag, seen, unseen)
        result: Floats = np.choose(classes, [np.float64(0), np.log(branching), np.log(branching), decided, seen])
        return result

    def optimal_losses(self, lags: Sequence[int]) -> EntropyEstimate:
        """Returns the mean loss in nats of head i of a perfect model over its targets, i..T-1 of each sample."""
        assert max(lags) < self.length, "a head that looks past the end of its sample has no targets"
        labels = self._labels(self._read_blocks(self.blocks))  # one sample for each marker that can come first
        losses = [self.optimal_loss_at(labels["class"], labels["offset"], lag)[:, lag:].mean() for lag in lags]
        return exactly([float(loss) for loss in losses])

    def blind(self, batch: Batch) -> Integers:
        """Shortcut: predicts the tokens that the first option decides, whatever was chosen."""
        guesses = self.table[0][np.clip(batch.labels["offset"] - 1, 0, self.config.decides_tokens - 1)]
        return np.where(batch.labels["class"] == DECIDED, guesses, -1)

    def previous_token(self, batch: Batch) -> Integers:
        """Shortcut: predicts the token that most often follows the previous one in the table, whatever the offset."""
        before = np.concatenate((np.arange(self.config.branching)[:, None], self.table[:-1]), axis=1)
        counts = np.zeros((self.alphabet, self.alphabet), np.int64)
        np.add.at(counts, (before[:, :-1], before[:, 1:]), 1)
        guesses = np.full(batch.tokens.shape, -1)
        row, place = np.nonzero(batch.labels["class"] == DECIDED)
        guesses[row, place] = counts.argmax(axis=1)[batch.tokens[row, place - 1]]
        return guesses


def _round(config: ChoiceConfig) -> Mask:
    """Returns which blocks [K] of a round are consequential, spread as evenly as possible."""
    size = config.consequential_points + config.inconsequential_points
    return np.diff(-(np.arange(size + 1) * -config.consequential_points // size)) > 0
