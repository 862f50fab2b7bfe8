"""The contract of a task: what every source of samples must provide.

A task is a frozen configuration plus pure functions. It defines the tokens, which of them are in the loss mask, which
of them are scored, the right answers by an independent computation (`oracle`), and simple rules (`shortcuts`) that
every score is compared with. Masks refer to the target token at their own position: a head that looks i tokens ahead is
masked by the token that it predicts. `generators/protocols.py` lists what a task may offer in addition.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import GOLDEN, Integers, Stream, epochs, mix, sample_keys
from generators.foundation.settings import Settings, Tree

Mask = NDArray[np.bool_]
"""An array that is true where something holds, such as at the targets of a batch."""

TrainingSamples = Annotated[
    int | None,
    Field(ge=1, le=10**9, description="a fixed training set of that size, read in epochs; without it, fresh samples"),
]
"""The type of `training_samples`; None makes training endless."""
HeldOutSamples = Annotated[int, Field(ge=1, le=10**7, description="samples of the split, drawn once")]
"""The type of `validation_samples` and `test_samples`."""


class SplitSizes(Protocol):
    """Settings with a size for each of the three usual splits."""

    @property
    def training_samples(self) -> int | None: ...
    @property
    def validation_samples(self) -> int: ...
    @property
    def test_samples(self) -> int: ...


def usual_splits(config: SplitSizes) -> dict[str, int | None]:
    """Returns the sizes of the splits train, validation and test."""
    return {"train": config.training_samples, "validation": config.validation_samples, "test": config.test_samples}


# The hash of a sample's own tokens decides which group of splits may have it, so no two groups share a sample.
SHARES = 16
GROUPS = {"test": (0,), "validation": (1,), "train": tuple(range(2, SHARES))}
ATTEMPTS = 2000


class TaskConfig(Settings):
    """Settings of a task; a subclass has `kind: Literal["name"] = "name"`."""

    sample_independent: ClassVar[frozenset[str]] = frozenset(
        {"training_samples", "validation_samples", "test_samples", "loss_on"}
    )
    """Settings that leave the samples unchanged: arms that differ only in these see equal data."""

    kind: str

    def canonical(self) -> Tree:
        """Returns the settings that decide the data, in JSON types.

        A task that reads a file replaces the path by a digest of the content.
        """
        return self.model_dump(mode="json")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B samples of T tokens. Every array describes the token at its own position.

    Attributes:
        tokens: int64 [B, T].
        loss: bool [B, T], targets that are trained on.
        scored: bool [B, T], targets whose prediction is the skill.
        labels: int64 [B, T] each, what else the task knows about its tokens.
    """

    tokens: Integers
    loss: Mask
    scored: Mask
    labels: Mapping[str, Integers] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens)

    def replaced(self, rows: Integers, other: "Batch") -> "Batch":
        """Returns this batch with samples `rows` [R] taken from `other` (R samples)."""

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
        """Returns this batch without the last columns in which no sample has a target.

        Every model here is causal, so the columns that remain are unaffected.
        """
        width = 1 + int(np.flatnonzero(self.loss.any(axis=0)).max(initial=1))
        labels = {name: value[:, :width] for name, value in self.labels.items()}
        return Batch(
            tokens=self.tokens[:, :width], loss=self.loss[:, :width], scored=self.scored[:, :width], labels=labels
        )

    def take(self, rows: NDArray[Any]) -> "Batch":
        """Returns the samples at `rows` (indices or a mask)."""
        labels = {name: value[rows] for name, value in self.labels.items()}
        return Batch(tokens=self.tokens[rows], loss=self.loss[rows], scored=self.scored[rows], labels=labels)


Rule = Callable[[Batch], Integers]
"""A shortcut: batch -> the token it would predict at each position [B, T], or -1 where it has no answer."""


class Task(ABC):
    """A source of samples whose labels can be trusted.

    Attributes:
        vocabulary: the tokens as text, in order.
        length: T, the tokens of every sample, padding included.
        splits: the number of samples in each split; None means no limit. The name up to the first slash is the group
            of a split ("test/m=1" belongs to "test"); no two groups share a sample.
        shortcuts: name -> simple rule that a score is compared with.
        ceilings: score, `accuracy` or `exact` -> kind of rule -> the best score that any such rule can reach. The check
            of a task holds shortcuts and other simple rules to the greatest of them.
        seeds_only_order: splits that have the same samples whatever the seed, which only orders them.
    """

    config: TaskConfig
    vocabulary: tuple[str, ...]
    length: int
    splits: Mapping[str, int | None]
    shortcuts: Mapping[str, Rule] = {}
    ceilings: Mapping[str, Mapping[str, float]] = {}
    seeds_only_order: frozenset[str] = frozenset()

    def __init__(self, config: TaskConfig) -> None:
        self.config = config

    @cached_property
    def name(self) -> str:
        """The name of the stream of samples: the kind and a digest of the settings that decide the samples."""
        ignored = self.config.sample_independent
        settings = {key: value for key, value in self.config.canonical().items() if key not in ignored}
        return f"{self.config.kind}:{sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()}"

    def batch(self, split: str, indices: ArrayLike, seed: int = 0) -> Batch:
        """Draws samples `indices` [B] of a split.

        Pure: equal arguments give equal bytes, whatever else is drawn. A training split of finite size is read in
        epochs, each in a different order.

        Raises:
            UserError: the split is unknown, or its group has so few distinct samples that no sample was drawn for it.
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
            redrawn = self.draw(stream.again(wrong, attempt, at_once), split)
            right = self.belongs(redrawn, split).reshape(len(wrong), at_once)
            solved = right.any(axis=1)
            first_right = np.flatnonzero(solved) * at_once + right.argmax(axis=1)[solved]
            batch = batch.replaced(wrong[solved], redrawn.take(first_right))
            wrong = wrong[~solved]
        raise UserError(
            f"task.kind = {self.config.kind!r}: its settings allow too few distinct samples for split {split!r}; "
            f"choose settings that allow more, such as longer samples or more kinds of tokens"
        )

    def belongs(self, batch: Batch, split: str) -> Mask:
        """Returns which samples [B] may belong to the split, as their hashes decide unless a task separates its splits
        itself.
        """
        return np.isin(shares(batch.tokens), GROUPS[split.partition("/")[0]])

    @abstractmethod
    def draw(self, stream: Stream, split: str) -> Batch:
        """Draws one sample per row of the stream; `batch` discards those whose hash assigns them to another split."""

    @abstractmethod
    def oracle(self, batch: Batch) -> Integers:
        """Computes the right token [B, T] at every scored position from the tokens before it; -1 elsewhere.

        It shares no code with `draw`: it reads nothing but the tokens of the finished samples.
        """

    def confirmed(self, batch: Batch) -> Mask:
        """Returns which samples [B] the oracle confirms: it gives the scored tokens, and -1 at all other positions.

        A task whose truth is a distribution or a file overrides this.
        """
        answers = self.oracle(batch)
        agrees: Mask = (answers == np.where(batch.scored, batch.tokens, -1)).all(axis=1)
        return agrees

    @property
    def test_split(self) -> str:
        """The split called test, or the first of several test splits."""
        return next(name for name in self.splits if name.partition("/")[0] == "test")

    def position_classes(self, batch: Batch) -> dict[str, Mask]:
        """Divides the positions [B, T] into the classes by which figures are broken down."""
        return {"scored": batch.scored, "not scored": ~batch.scored}

    def text(self, tokens: Integers) -> str:
        """Returns one sample [T] as readable text."""
        return " ".join(self.vocabulary[token] for token in tokens)

    def shortcut_scores(self, batch: Batch) -> dict[str, Mask]:
        """Returns where each shortcut is right: bool [S] over the S scored tokens in reading order."""
        truth = batch.tokens[batch.scored]
        return {name: rule(batch)[batch.scored] == truth for name, rule in self.shortcuts.items()}


def whole_answers(batch: Batch, right: Mask) -> Mask:
    """Returns which whole answers are right: bool [N] over the N samples with a scored token.

    Args:
        batch: the samples.
        right: whether each scored token is right [S], in reading order.
    """
    right_or_unscored = ~batch.scored
    right_or_unscored[batch.scored] = right
    whole: Mask = np.all(right_or_unscored, axis=1)
    return whole[batch.scored.any(axis=1)]


def shares(tokens: Integers) -> Integers:
    """Hashes samples [B, T] to the share 0..15 [B] that each belongs to."""
    with np.errstate(over="ignore"):
        multipliers = mix(np.arange(1, tokens.shape[1] + 1, dtype=np.uint64) * GOLDEN) | np.uint64(1)
        digest = mix((tokens.astype(np.uint64) + np.uint64(1)) @ multipliers)
    return (digest % np.uint64(SHARES)).astype(np.int64)
