"""Optional abilities of a task, each a protocol that any task can implement by having the methods.

A task need not inherit from anything here: code that needs a protocol tests, for example, `isinstance(task, ItemTask)`.

    ItemTask            its samples can be posed as items, to be generated and to be chosen among options
    ChoicePointTask     it labels which choices decide later tokens, and knows the optimal losses
    KnownDistribution   it knows its own next-token distribution
    KnownLosses         it knows the mean loss of each head of a perfect model
    KnownPairs          it knows the joint distribution of two tokens in closed form
    KnownInformation    it knows the entropies of the two tokens after a sample
    LearntVocabulary    its vocabulary is learnt from the texts of its training split
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from generators.foundation.randomness import Floats, Integers, Words
from generators.task import Batch, Mask

# ---- items


class ItemSource(ABC):
    """Positions of one batch that items can ask about, and wrong answers for them.

    Args:
        batch: the samples, usually a whole split.
        options: the number of options per item, including the right one.
        answer_tokens: A, the tokens of an answer.

    Attributes:
        positions: for each sample, the positions where an answer may begin; empty if there are none.
        candidates: the maximum number of distractors that an item's options are chosen from.
    """

    positions: list[list[int]]
    candidates: int

    def __init__(self, batch: Batch, options: int, answer_tokens: int) -> None:
        self.batch, self.options, self.answer_tokens = batch, options, answer_tokens

    @abstractmethod
    def distractors(self, sample: int, position: int, words: Words) -> Integers:
        """Returns at least `options` - 1 different wrong answers at a position [n, A], in order of preference.

        Args:
            words: random words [candidates], by which to choose among equally good distractors.
        """


@runtime_checkable
class ItemTask(Protocol):
    """A task whose held-out samples can be posed as items (`generators.material.items`)."""

    def item_source(self, batch: Batch, options: int, answer_tokens: int | None) -> ItemSource:
        """Returns the source of items about the samples of a batch.

        Args:
            answer_tokens: tokens of an answer; None leaves it to the task.

        Raises:
            UserError: the task has no answers of that many tokens.
        """


# ---- choice points


@dataclass(frozen=True, kw_only=True)
class ChoicePoints:
    """Labels of a batch whose choices are known, each an array [B, T] about the token at that position.

    Attributes:
        consequential: bool, choices that decide later tokens.
        inconsequential: bool, choices that decide nothing.
        decided: bool, tokens that an earlier choice decides.
        choice: int64, the position of the choice that decides the token; a choice's own position; -1 elsewhere.
        offset: int64, tokens since the last choice of either kind; 0 at a choice, -1 before the first one.
        decides_tokens: D, tokens that a consequential choice decides; they follow it.
        spacing_tokens: S, tokens from one choice to the next.
    """

    consequential: Mask
    inconsequential: Mask
    decided: Mask
    choice: Integers
    offset: Integers
    decides_tokens: int
    spacing_tokens: int


@runtime_checkable
class ChoicePointTask(Protocol):
    """A task with labelled choice points.

    Its `position_classes` contain "consequential choice", "inconsequential choice" and "decided" for the three masks of
    `ChoicePoints`; its other classes can have any names.
    """

    def choice_points(self, batch: Batch) -> ChoicePoints:
        """Returns the labels of a batch."""

    def optimal_loss(self, batch: Batch, lag: int = 1) -> Floats:
        """Returns the loss [B, T] in nats of head `lag` of a perfect model at every target from `lag` on."""


# ---- known distributions


@dataclass(frozen=True)
class Information:
    """Entropies of the next token X and the one after it, Y, given the past, and what they share; in nats.

    Attributes:
        x, y: H(X | past), H(Y | past).
        x_given_y, y_given_x: H(X | Y, past), H(Y | X, past).
        mutual: I(X; Y | past).
        error: the largest of their standard errors; 0 if they are exact.
    """

    x: float
    y: float
    x_given_y: float
    y_given_x: float
    mutual: float
    error: float

    @classmethod
    def of(cls, numbers: Floats, error: float) -> "Information":
        """Builds it from the five numbers in the order of `pair_entropies`."""
        x, y, x_given_y, y_given_x, mutual = numbers.tolist()
        return cls(x=x, y=y, x_given_y=x_given_y, y_given_x=y_given_x, mutual=mutual, error=error)


@runtime_checkable
class KnownDistribution(Protocol):
    """A task that knows its own next-token distribution."""

    def distribution(self, batch: Batch, lag: int = 1) -> Floats:
        """Returns P(x_t | x_0..x_t-lag) float64 [B, T, V]."""


@dataclass(frozen=True)
class EntropyEstimate:
    """Numbers [n] in nats and the standard error of each, which is 0 for an exact number."""

    nats: Floats
    error: Floats


@runtime_checkable
class KnownLosses(Protocol):
    """A task that knows the mean loss of each head of a perfect model."""

    def optimal_losses(self, lags: Sequence[int]) -> EntropyEstimate:
        """Returns the mean loss in nats of head i of a perfect model for each lag i below T.

        The mean is over the head's targets, which are those of i..T-1 in the loss mask of each sample.
        """


@runtime_checkable
class KnownPairs(Protocol):
    """A task that knows the joint distribution of two consecutive tokens in closed form."""

    def pairs(self, batch: Batch, rows: Integers, places: Integers) -> Floats:
        """Returns P(x_t, x_t+1 | x_0..x_t-1) float64 [N, V, V] at position t = `places` [N] of samples `rows` [N]."""


@runtime_checkable
class KnownInformation(Protocol):
    """A task that knows the entropies of the two tokens after a sample."""

    def information(self) -> Information:
        """Returns the entropies, averaged over the source."""


# ---- learnt vocabularies


@runtime_checkable
class LearntVocabulary(Protocol):
    """A task whose vocabulary is learnt from its training texts alone."""

    def training_texts(self) -> Sequence[str]:
        """Returns the documents from which training samples are cut and the vocabulary is learned."""

    def learn_vocabulary(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Learns a vocabulary from texts, in the way in which the vocabulary of the task was learned."""
