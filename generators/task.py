"""The contract every task keeps.

A task is a frozen configuration plus pure functions. It says what the tokens are, which of them carry loss,
which of them are scored, what the right answer is by an independent route (`oracle`), and which cheap rules
(`shortcuts`) a score must be read against. Masks are about the token they stand at: a head that looks i
ahead is masked by where it lands.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from generators.foundation.errors import UserError
from generators.foundation.randomness import GOLDEN, Integers, Stream, epochs, mix, sample_keys
from generators.foundation.settings import Settings, Tree

Mask = NDArray[np.bool_]

# A sample belongs to one group of splits by the hash of its own tokens, so no two groups can share one.
SHARES = 16
GROUPS = {"test": (0,), "validation": (1,), "train": tuple(range(2, SHARES))}
ATTEMPTS = 2000


class TaskConfig(Settings):
    """Settings of a task."""

    aside: ClassVar[frozenset[str]] = frozenset({"training_samples", "validation_samples", "test_samples", "loss_on"})
    """Settings that leave the samples as they are: arms that differ in these alone see equal data."""

    kind: str

    def canonical(self) -> Tree:
        """The settings that decide the data, as JSON types. A task that reads a file puts its digest for its path."""
        return self.model_dump(mode="json")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B samples of T tokens. Every array is about the token it stands at.

    tokens: int64 [B, T]; loss: bool [B, T], targets that are trained on; scored: bool [B, T], targets whose
    prediction is the skill; labels: int64 [B, T] each, what else the task knows of its tokens.
    """

    tokens: Integers
    loss: Mask
    scored: Mask
    labels: Mapping[str, Integers] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens)

    def replaced(self, rows: Integers, other: "Batch") -> "Batch":
        """This batch with `rows` [R] taken from `other` (R samples)."""

        def put(mine: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
            result = mine.copy()
            result[rows] = theirs
            return result

        return Batch(
            tokens=put(self.tokens, other.tokens),
            loss=put(self.loss, other.loss),
            scored=put(self.scored, other.scored),
            labels={name: put(value, other.labels[name]) for name, value in self.labels.items()},
        )

    def trimmed(self) -> "Batch":
        """This batch without its last columns, in which no sample has a target. What stands before is not changed by
        them: every model here is causal."""
        width = 1 + int(np.flatnonzero(self.loss.any(axis=0)).max(initial=1))
        labels = {name: value[:, :width] for name, value in self.labels.items()}
        return Batch(
            tokens=self.tokens[:, :width], loss=self.loss[:, :width], scored=self.scored[:, :width], labels=labels
        )

    def take(self, rows: NDArray[Any]) -> "Batch":
        """The samples at `rows` (indices or a mask)."""
        labels = {name: value[rows] for name, value in self.labels.items()}
        return Batch(tokens=self.tokens[rows], loss=self.loss[rows], scored=self.scored[rows], labels=labels)


Rule = Callable[[Batch], Integers]
"""A shortcut: batch -> the token it would predict at each position [B, T], or -1 where it has no answer."""


class Task(ABC):
    """A source of samples whose labels can be trusted."""

    config: TaskConfig
    vocabulary: tuple[str, ...]
    length: int
    """T, the tokens of every sample, padding included."""
    splits: Mapping[str, int | None]
    """Samples in each split; None is endless. The group of a split is its name up to the first slash."""
    shortcuts: Mapping[str, Rule] = {}

    def __init__(self, config: TaskConfig) -> None:
        self.config = config

    @cached_property
    def name(self) -> str:
        """Names the stream of samples: the kind, and a digest of the settings that decide them."""
        settings = {key: value for key, value in self.config.canonical().items() if key not in self.config.aside}
        return f"{self.config.kind}:{sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()}"

    def batch(self, split: str, indices: ArrayLike, seed: int = 0) -> Batch:
        """Samples `indices` [B] of a split. Pure: the same bytes for the same arguments, whatever else is drawn.

        A training split of finite size is read in epochs, each in another order.

        Raises:
            UserError: the split is unknown, or so few samples of this group exist that none was found.
        """
        if split not in self.splits:
            raise UserError(f"split {split!r} is not one of {', '.join(self.splits)}")
        size = self.splits[split]
        if split == "train" and size is not None:
            indices = epochs(f"{self.name}:{seed}", indices, size)
        stream = Stream(sample_keys(f"{self.name}:{split}:{seed}", indices))
        batch = self.draw(stream, split)
        wrong = np.flatnonzero(~self.belongs(batch, split))
        at_once = 2 * SHARES // len(GROUPS[split.partition("/")[0]])
        for attempt in range(1, ATTEMPTS, at_once):
            if not wrong.size:
                return batch
            again = self.draw(stream.again(wrong, attempt, at_once), split)
            right = self.belongs(again, split).reshape(len(wrong), at_once)
            found = right.any(axis=1)
            firsts = np.flatnonzero(found) * at_once + right.argmax(axis=1)[found]
            batch = batch.replaced(wrong[found], again.take(firsts))
            wrong = wrong[~found]
        raise UserError(f"task {self.config.kind!r}: too few distinct samples for split {split!r}; widen its settings")

    def belongs(self, batch: Batch, split: str) -> Mask:
        """Which samples [B] the split may have: those whose hash says so, unless the task keeps groups apart itself."""
        return np.isin(shares(batch.tokens), GROUPS[split.partition("/")[0]])

    @abstractmethod
    def draw(self, stream: Stream, split: str) -> Batch:
        """One sample for each row of the stream, before it is known whether the split may have it."""

    @abstractmethod
    def oracle(self, batch: Batch) -> Integers:
        """The right token [B, T] at every scored position, from the tokens before it alone; -1 elsewhere.

        Independent of `draw`: it reads the finished tokens, not the intentions.
        """

    def confirmed(self, batch: Batch) -> Mask:
        """Which samples [B] the oracle confirms: its answers stand at the scored positions, and nowhere else.

        A task whose truth is a distribution, or a file, overrides this.
        """
        answers = self.oracle(batch)
        agrees: Mask = (answers == np.where(batch.scored, batch.tokens, -1)).all(axis=1)
        return agrees

    @property
    def test_split(self) -> str:
        """The split called test, or the first of several."""
        return next(name for name in self.splits if name.partition("/")[0] == "test")

    def position_classes(self, batch: Batch) -> dict[str, Mask]:
        """Kinds of positions [B, T] by which figures are told apart; each position is of one kind."""
        return {"scored": batch.scored, "not scored": ~batch.scored}

    def text(self, tokens: Integers) -> str:
        """One sample [T] as a person reads it."""
        return " ".join(self.vocabulary[token] for token in tokens)

    def shortcut_scores(self, batch: Batch) -> dict[str, Mask]:
        """Where each shortcut is right: bool [S] over the S scored tokens in reading order."""
        truth = batch.tokens[batch.scored]
        return {name: rule(batch)[batch.scored] == truth for name, rule in self.shortcuts.items()}


def shares(tokens: Integers) -> Integers:
    """The share 0..15 [B] that each sample [B, T] belongs to, by a hash of its tokens."""
    with np.errstate(over="ignore"):
        places = mix(np.arange(1, tokens.shape[1] + 1, dtype=np.uint64) * GOLDEN) | np.uint64(1)
        digest = mix((tokens.astype(np.uint64) + np.uint64(1)) @ places)
    return (digest % np.uint64(SHARES)).astype(np.int64)
