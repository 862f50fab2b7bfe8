"""Simple rules: guesses of an answer that need no skill, only a place in the sample or a token of it.

A rule copies a token from a fixed place (a position, a distance, a rank among the tokens that can be answers), or it
looks the answer up by the token there, in a table learned from training samples.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from generators.foundation.randomness import Integers, Stream, sample_keys
from generators.task import Batch, Mask

POSITIONS_MAXIMUM = 512
DISTANCES_MAXIMUM = 128
RANKS_MAXIMUM = 8
NAME_TOKENS = 2
"""Tokens before every answer of a sample that a table is learned from: those of a name that the answer ends."""
TABLE_VOCABULARY_MAXIMUM = 256


@dataclass(frozen=True)
class Answers:
    """Scored tokens, one of each of N samples, and the tokens before them.

    Attributes:
        batch: the samples of a split.
        rows, positions: int64 [N], the samples and positions of the scored tokens.
        starts: int64 [N], the position of the first scored token of the same sample.
    """

    batch: Batch
    rows: Integers
    positions: Integers
    starts: Integers

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def samples(self) -> Integers:
        """The tokens [N, T] of the samples."""
        return self.batch.tokens[self.rows]

    @cached_property
    def tokens(self) -> Integers:
        """The scored tokens [N]."""
        return self.batch.tokens[self.rows, self.positions]

    @cached_property
    def visible(self) -> Mask:
        """The tokens [N, T] before the scored ones."""
        return np.arange(self.batch.tokens.shape[1]) < self.positions[:, None]

    def token_at(self, positions: Integers | int) -> Integers:
        """Returns the tokens [N] at a position, or at positions [N]; -1 where that is not before the scored token."""
        if isinstance(positions, int):
            return np.where(self.positions > positions, self.batch.tokens[self.rows, positions], -1)
        inside = positions >= 0
        tokens = self.batch.tokens[self.rows, np.where(inside, positions, 0)]
        return np.where(inside & (positions < self.positions), tokens, -1)


def any_answers(batch: Batch, mask: Mask, *, equally: bool = False) -> Answers:
    """Chooses one token of the mask [B, T] at random in every sample in which the mask is not empty.

    Args:
        equally: leaves samples out at random, the more often the fewer tokens of the mask they have, so that all tokens
            of the mask are chosen with equal probability.
    """
    counts = mask.sum(axis=1)
    stream = Stream(sample_keys("scored token", np.arange(len(batch))))
    number = stream.integers("which", counts[:, None], 1)[:, 0]
    if equally:
        mask = mask & (stream.uniform("kept", 1) * counts.max(initial=0) < counts[:, None])
    return numbered_answers(batch, mask, number)


def numbered_answers(batch: Batch, mask: Mask, number: Integers | int) -> Answers:
    """Chooses the token with this number, counted from 0, in the mask [B, T]; leaves out samples that have too few."""
    ranks = mask.cumsum(axis=1)
    sought = np.broadcast_to(number, len(batch))
    rows = np.flatnonzero(ranks[:, -1] > sought)
    positions = (ranks[rows] > sought[rows, None]).argmax(axis=1)
    return Answers(batch, rows, positions, mask[rows].argmax(axis=1))


# ---- places


def tokens_at_positions(answers: Answers) -> Iterator[tuple[str, Integers]]:
    """Yields positions by name and the token [N] that each sample has there; -1 unless it stands before the answer."""
    for position in range(min(answers.batch.tokens.shape[1], POSITIONS_MAXIMUM)):
        yield f"the token at position {position}", answers.token_at(position)


def tokens_at_distances(answers: Answers, reach: int) -> Iterator[tuple[str, Integers]]:
    """Yields distances by name and the token [N] at that distance before an answer, or before the first answer; -1 for
    no token.

    Args:
        reach: the greatest distance from an answer that is not the first of its sample.
    """
    farthest = min(answers.batch.tokens.shape[1] - 1, DISTANCES_MAXIMUM)
    several = bool((answers.starts != answers.positions).any())
    for distance in range(1, 1 + (min(farthest, reach) if several else farthest)):
        yield before(distance, "the answer"), answers.token_at(answers.positions - distance)
    for distance in range(1, 1 + farthest) if several else ():
        yield before(distance, "the first answer"), answers.token_at(answers.starts - distance)


def before(distance: int, place: str) -> str:
    """Describes the token that is `distance` positions before `place`."""
    return f"the token before {place}" if distance == 1 else f"the token {distance} before {place}"


# ---- rules that copy


def copying_rules(answers: Answers, candidates: Integers) -> Iterator[tuple[str, Integers]]:
    """Yields rules by name and the answers [N] that they guess, -1 for no guess.

    A rule that copies at a distance from every answer of a sample, or a rank that moves with them, is left out, because
    copying a text is a skill.

    Args:
        candidates: the tokens that can be answers.
    """
    tokens = answers.samples
    yield from tokens_at_positions(answers)
    yield from tokens_at_distances(answers, reach=0)
    yield "the most frequent token", most_frequent(tokens, answers.visible)
    possible = answers.visible & np.isin(tokens, candidates)
    yield "the most frequent possible answer", most_frequent(tokens, possible)
    possible &= np.arange(tokens.shape[1]) < answers.starts[:, None]
    ranks, rows = possible.cumsum(axis=1), np.arange(len(answers))
    counts = ranks[:, -1]
    for rank in range(1, RANKS_MAXIMUM + 1):
        for end, sought in (("", np.full(len(answers), rank)), (" from the end", counts - rank + 1)):
            place = (possible & (ranks == sought[:, None])).argmax(axis=1)
            yield f"possible answer {rank}{end}", np.where(counts >= rank, tokens[rows, place], -1)


def most_frequent(tokens: Integers, mask: Mask) -> Integers:
    """Returns the most frequent token [N] of each row under a mask [N, T], the smallest in a tie; -1 if the mask is
    empty.
    """
    guesses = np.full(len(tokens), -1)
    rows, places = np.nonzero(mask)
    if not len(rows):
        return guesses
    size = int(tokens.max()) + 1
    codes, counts = np.unique(rows * size + tokens[rows, places], return_counts=True)
    order = np.lexsort((codes, -counts, codes // size))
    owners, first = np.unique(codes[order] // size, return_index=True)
    guesses[owners] = codes[order][first] % size
    return guesses


# ---- rules that remember


@dataclass(frozen=True)
class MemorisedRules:
    """Tables from a token at a place to the most common answer, learned from samples.

    Attributes:
        tables: name of the place -> answer [V] by token, -1 for tokens that never stood there.
        commonest: the most common answer.
    """

    tables: Mapping[str, Integers]
    commonest: int

    def guesses(self, answers: Answers) -> Iterator[tuple[str, Integers]]:
        """Yields the rules by name and the answers [N] that they guess, -1 for no guess."""
        for name, tokens in places_of_keys(answers):
            if name in self.tables:
                yield name, np.where(tokens >= 0, self.tables[name][tokens], -1)


def learn(answers: Answers, vocabulary: int) -> MemorisedRules:
    """Learns the tables from the answers of training samples."""
    tables = {name: table_of(tokens, answers.tokens, vocabulary) for name, tokens in places_of_keys(answers)}
    return MemorisedRules(tables, int(np.bincount(answers.tokens).argmax()))


def places_of_keys(answers: Answers) -> Iterator[tuple[str, Integers]]:
    """Yields the places of tokens from which an answer can be remembered, with the tokens [N] there."""
    yield from tokens_at_distances(answers, NAME_TOKENS)
    yield from tokens_at_positions(answers)


def table_of(keys: Integers, answers: Integers, vocabulary: int) -> Integers:
    """Returns the most common answer [V] for each key; -1 for keys that do not occur."""
    pairs = (keys * vocabulary + answers)[keys >= 0]
    if vocabulary <= TABLE_VOCABULARY_MAXIMUM:  # much faster than to sort
        pair_counts = np.bincount(pairs, minlength=vocabulary**2).reshape(vocabulary, vocabulary)
        return np.where(pair_counts.any(axis=1), pair_counts.argmax(axis=1), -1)
    table = np.full(vocabulary, -1)
    codes, counts = np.unique(pairs, return_counts=True)
    order = np.argsort(counts, kind="stable")
    table[codes[order] // vocabulary] = codes[order] % vocabulary  # the most common one is written last
    return table
