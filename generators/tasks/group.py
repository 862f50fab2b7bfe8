"""Word problems of finite groups: multiply uniform elements of a group and print the running product.

An element is printed as a permutation, by the images of 1 .. m, and a product applies its first factor first. With
`products = "every"` a product follows every element. With "last" only the product of the whole word is printed, and the
words of training have 1 to `length` elements, so that every place is asked for equally often. In the group S3:

    every     213 213 321 132 213 231        213, then 213 321 = 132, then 132 213 = 231
    last      213 321 213 231

The loss and the score are on the products. The elements are uniform, so each costs log |G| that no model can avoid.

This is a negative control for objectives about tokens. A product is uniform given everything before its last factor,
so a head that looks 2 or more tokens ahead never sees what decides its target: at its optimum it loses log |G| at every
target, whatever it has learned (`optimal_losses`), and nothing that it could learn helps head 1. With "every" the state
is visible, because each product is an entry of the multiplication table at the product and the element before it, and
next-token prediction learns this; extra heads can only cost. With "last" the state is hidden: a model has to carry the
product through the word.

An objective about latent states may gain where those about tokens cannot, because the latent after an element does
follow from the latent before it and that element. Teoh et al. 2025 ("Next-Latent Prediction Transformers Learn Compact
World Models", arXiv 2511.05963) train on words of A5 up to 12 elements and test on 36: the rollout of their latent is
right in over 95%, and a transformer fails. These figures are from notes on the paper. They label a word at every place
without showing the labels to the model, which "last" imitates with a label at one place of each word.

Words longer than `length` are test splits, "test/length=24" for example. Validation has words of exactly `length`
elements. The hash of a word assigns it to a split; S3 has 2.2 billion words of 12 elements, A4 9 trillion and A5
2 x 10^21, of which a run of 3,000 steps of 64 samples draws 192,000. With "last" it sees all short words: those of up
to six elements in S3, four in A4 and two in A5. No held-out word is so short.

The shortcut `quotient` copies the first element as the first product, and knows of later products only the coset of the
commutator subgroup G', which does not depend on the order of the factors (in S3, whether the product is even). G' has 3
elements in S3, 4 in A4 and 60 in A5, so the rule is right at 1 in 3, 4 or 60 of the later products (`ceilings`). In a
group with a small quotient such as S3, a model that scores 1/3 has learned to count.
"""

import math
from collections.abc import Sequence
from itertools import permutations
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream
from generators.material.entropy import exactly
from generators.protocols import EntropyEstimate
from generators.task import GROUPS, SHARES, Batch, HeldOutSamples, Mask, Task, TaskConfig, TrainingSamples, shares

PADDING = "<pad>"
LETTERS = {"S3": 3, "A4": 4, "A5": 5}
DRAWN_SHARE_MAXIMUM = 1 / 8
"""The largest held-out split, as a share of the words that it may have; 1 in 16 is then a repeat."""
WordLength = Annotated[int, Field(ge=2, le=256)]


class GroupConfig(TaskConfig):
    """Settings of `group`."""

    sample_independent = TaskConfig.sample_independent | {"test_lengths"}

    kind: Literal["group"] = "group"
    group: Literal["S3", "A4", "A5"] = Field(
        default="S3", description="all permutations of 3, or the even ones of 4, 5"
    )
    products: Literal["every", "last"] = Field(
        default="every", description="every: a product after each element; last: only that of the whole word"
    )
    length: WordLength = Field(default=12, description="elements of the longest words of training")
    test_lengths: tuple[WordLength, ...] = Field(
        default=(12, 24, 36), min_length=1, description="elements in the words of the test splits test/length=..."
    )
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = Field(default=500, description="samples for each length")
    validation_samples: HeldOutSamples = 500

    @field_validator("test_lengths")
    @classmethod
    def _once(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(values)) < len(values):
            raise ValueError("should not repeat a value")
        return values


class Group(Task):
    """Words and their running products.

    Labels: `product` gives the number of elements that are multiplied; 0 at tokens that are no product.

    Attributes:
        order: |G|, the number of elements, which are the first tokens of the vocabulary.
        table: int64 [|G|, |G|], the product of two elements, the first of which is applied first.
        cosets: int64 [|G|], the first element of the coset of G' that each element is in.
    """

    config: GroupConfig

    def __init__(self, config: GroupConfig) -> None:
        super().__init__(config)
        elements = group_elements(config.group)
        self.order = len(elements)
        self.vocabulary = (*("".join(str(image + 1) for image in element) for element in elements), PADDING)
        self.table = multiplication_table(elements)
        self.cosets = self.table[:, commutators(self.table)].min(axis=1)
        self.every = config.products == "every"
        self.lengths = {"train": config.length, "validation": config.length}
        self.lengths |= {f"test/length={length}": length for length in config.test_lengths}
        longest = max(self.lengths.values())
        self.length = 2 * longest if self.every else longest + 1
        sizes = {"train": config.training_samples, "validation": config.validation_samples}
        self.splits = {split: sizes.get(split, config.test_samples) for split in self.lengths}
        for split in self.lengths:
            self._check_size(split)
        self.shortcuts = {"quotient": self.quotient, "last_element": self.last_element}
        subgroup = int((self.cosets == 0).sum())
        fewest = min(self.lengths.values()) if self.every else config.length
        mean = (1 + (fewest - 1) / subgroup) / fewest
        self.ceilings = {
            "accuracy": {"quotient_known": mean},
            "exact": {"quotient_known": subgroup ** (1.0 - fewest) if self.every else mean},
        }

    def _check_size(self, split: str) -> None:
        """Raises a UserError if a held-out split is larger than the number of words that may belong to it."""
        group, length = split.partition("/")[0], self.lengths[split]
        room = int(self.order**length * len(GROUPS[group]) / SHARES * DRAWN_SHARE_MAXIMUM)
        size = self.splits[split]
        if split != "train" and size is not None and size > room:
            key = "test_lengths" if group == "test" else "length"
            raise UserError(
                f"task.{group}_samples = {size}: there are {self.order**length} words of {length} elements, and the "
                f"{group} split, which shares none with training, has room for {room}; "
                f"give {f'at most {room}, or ' if room else ''}a larger task.{key}"
            )

    def belongs(self, batch: Batch, split: str) -> Mask:
        """Hashes the elements only, so that padding does not move a word to another split."""
        elements = (batch.tokens < self.order) & (batch.labels["product"] == 0)
        return np.isin(shares(np.where(elements, batch.tokens, -1)), GROUPS[split.partition("/")[0]])

    def draw(self, stream: Stream, split: str) -> Batch:
        rows, most = len(stream), self.lengths[split]
        elements = stream.integers("elements", self.order, most)
        products = np.empty_like(elements)
        products[:, 0] = elements[:, 0]
        for place in range(1, most):
            products[:, place] = self.table[products[:, place - 1], elements[:, place]]
        tokens = np.full((rows, self.length), self.vocabulary.index(PADDING))
        number = np.zeros_like(tokens)
        if self.every:
            tokens[:, : 2 * most : 2], tokens[:, 1 : 2 * most : 2] = elements, products
            number[:, 1 : 2 * most : 2] = np.arange(1, most + 1)
        else:
            length = np.full((rows, 1), most)
            if split == "train":
                length = 1 + stream.integers("length", most, 1)
            tokens[:, :most] = np.where(np.arange(most) < length, elements, tokens[:, :most])
            np.put_along_axis(tokens, length, np.take_along_axis(products, length - 1, axis=1), axis=1)
            np.put_along_axis(number, length, length, axis=1)
        return Batch(tokens=tokens, loss=number > 0, scored=number > 0, labels={"product": number})

    def oracle(self, batch: Batch) -> Integers:
        """Multiplies permutation matrices, which it reads from the printed images."""
        padding = self.vocabulary.index(PADDING)
        size = LETTERS[self.config.group]
        images = np.array([[int(image) - 1 for image in word] for word in self.vocabulary[:padding]])
        matrices = np.concatenate((np.eye(size)[images], np.eye(size)[None]))  # padding changes nothing
        answers = np.full(batch.tokens.shape, -1)
        rows = np.arange(len(batch))
        ends = (batch.tokens != padding).sum(axis=1) - 1
        product = np.broadcast_to(np.eye(size), (len(batch), size, size))
        for place in range(0, self.length - 1, 1 + self.every):
            product = product @ matrices[batch.tokens[:, place]]
            words = ["".join(map(str, row)) for row in (product.argmax(axis=2) + 1).tolist()]
            tokens = np.array([self.vocabulary.index(word) for word in words])
            asked = rows[place < ends if self.every else place + 1 == ends]
            answers[asked, place + 1] = tokens[asked]
        return answers

    def optimal_losses(self, lags: Sequence[int]) -> EntropyEstimate:
        """Returns the mean loss in nats of head i of a perfect model: 0 for head 1, and log |G| for all others.

        (The hash that assigns words to splits is ignored, because no model can learn it.)
        """
        return exactly([0.0 if lag == 1 else math.log(self.order) for lag in lags])

    def text(self, tokens: Integers) -> str:
        return super().text(tokens[tokens < self.order])

    # ---- shortcuts

    def quotient(self, batch: Batch) -> Integers:
        """Copies the first element as the first product; of later products it knows the coset of G' alone, and predicts
        the first element of that.
        """
        guesses = np.full(batch.tokens.shape, -1)
        coset = batch.tokens[:, 0]
        for place in range(0, self.length - 1, 1 + self.every):
            element = batch.tokens[:, place]
            if place:
                coset = self.cosets[np.where(element < self.order, self.table[coset, element % self.order], coset)]
            guesses[:, place + 1] = np.where(batch.scored[:, place + 1], coset, -1)
        return guesses

    def last_element(self, batch: Batch) -> Integers:
        """Predicts the element before the product: right at words of one element, and at 1/|G| of the others."""
        before = np.concatenate((batch.tokens[:, :1], batch.tokens[:, :-1]), axis=1)
        return np.where(batch.scored, before, -1)


def group_elements(name: str) -> list[tuple[int, ...]]:
    """Returns the elements of a group as permutations of 0 .. m - 1 in lexicographic order, so the identity first."""
    everything = list(permutations(range(LETTERS[name])))
    return everything if name.startswith("S") else [element for element in everything if is_even(element)]


def is_even(permutation: tuple[int, ...]) -> bool:
    """Returns whether a permutation has an even number of inversions."""
    inversions = sum(later < image for place, image in enumerate(permutation) for later in permutation[place:])
    return inversions % 2 == 0


def multiplication_table(elements: Sequence[tuple[int, ...]]) -> Integers:
    """Returns the index [|G|, |G|] of the product of each pair of elements, the first of which is applied first."""
    index = {element: number for number, element in enumerate(elements)}
    return np.array([[index[tuple(second[image] for image in first)] for second in elements] for first in elements])


def commutators(table: Integers) -> Integers:
    """Returns the elements of the commutator subgroup; in the groups here, each of them is a commutator."""
    inverse = (table == 0).argmax(axis=1)
    first, second = np.indices(table.shape)
    return np.unique(table[table[inverse[first], inverse[second]], table])
