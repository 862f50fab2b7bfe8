"""Documents as rows of tokens, one row a split, and the windows that stand in them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.foundation.randomness import GOLDEN, Integers, Words, mix
from generators.material.bpe import PADDING, byte_letters, train_bpe, vocabulary_of
from generators.material.documents import Documents
from generators.task import Mask

HELD_OUT_SHARE = 10  # one document in ten is for test, one for validation
ENCODED_AT_ONCE = 256
HASHED_AT_ONCE = 1 << 20
TABLE_BITS = 20

Codes = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Shelf:
    """The documents of a split.

    Attributes:
        row: tokens of all documents, one behind the other, in as few bytes as hold them.
        starts, sizes: of each document in the row [D].
        first: the number of the first of them among all documents.
    """

    row: Codes
    starts: Integers
    sizes: Integers
    first: int


@dataclass(frozen=True, eq=False)
class Library:
    """Documents in tokens. The last token of the vocabulary is padding, which no document has."""

    documents: Documents
    vocabulary: tuple[str, ...]
    shelves: Mapping[str, Shelf]

    @cached_property
    def spelling(self) -> tuple[bytes, ...]:
        """The bytes of each token but padding."""
        byte = {letter: number for number, letter in enumerate(byte_letters())}
        return tuple(bytes(byte[letter] for letter in token) for token in self.vocabulary[:-1])

    @cached_property
    def commonest(self) -> int:
        """The most frequent token of training."""
        return int(np.bincount(self.shelves["train"].row).argmax())

    @cached_property
    def successors(self) -> Integers:
        """The token that most often follows each token in training [V], -1 where none does; of several the first."""
        shelf, size = self.shelves["train"], len(self.vocabulary)
        ends = shelf.starts[1:] - 1
        pairs = np.delete(shelf.row[:-1].astype(np.int64) * size + shelf.row[1:], ends)
        pairs, counts = np.unique(pairs, return_counts=True)
        pairs = pairs[np.lexsort((pairs, -counts, pairs // size))]
        tokens, commonest = np.unique(pairs // size, return_index=True)
        successors = np.full(size, -1)
        successors[tokens] = pairs[commonest] % size
        return successors


@lru_cache(maxsize=4)
def prepare(documents: Documents, vocabulary_tokens: int | None) -> Library:
    """A corpus in bytes, or in the tokens of a BPE (6 s for 10 MB), once a process."""
    texts = documents.texts
    held_out = max(1, len(texts) // HELD_OUT_SHARE)
    bounds = {"test": (0, held_out), "validation": (held_out, 2 * held_out), "train": (2 * held_out, len(texts))}
    if vocabulary_tokens is None:
        vocabulary = byte_letters()
        codes: Iterator[Codes] = (np.frombuffer(text.encode(), np.uint8) for text in texts)
    else:
        encoder = train_bpe(texts[2 * held_out :], vocabulary_tokens - 1)
        vocabulary = vocabulary_of(encoder)
        unsigned = np.min_scalar_type(len(vocabulary))
        batches = (texts[start : start + ENCODED_AT_ONCE] for start in range(0, len(texts), ENCODED_AT_ONCE))
        codes = (np.array(coded.ids, unsigned) for batch in batches for coded in encoder.encode_batch_fast(list(batch)))
    every = list(codes)
    shelves = {split: _shelf(every[first:last], first) for split, (first, last) in bounds.items()}
    return Library(documents, (*vocabulary, PADDING), shelves)


def _shelf(codes: Sequence[Codes], first: int) -> Shelf:
    sizes = np.array([len(each) for each in codes])
    return Shelf(np.concatenate(codes), sizes.cumsum() - sizes, sizes, first)


def tiles(shelf: Shelf, length: int) -> tuple[Integers, Integers]:
    """Documents [W], and places in them [W], of windows that stand side by side.

    Each begins with the last token of the one before, the last one of a document ends with it; a shorter document is
    one window, and one of a single token none.
    """
    counts = -(-(shelf.sizes - 1) // (length - 1))
    owners = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(owners)) - np.repeat(counts.cumsum() - counts, counts)
    return owners, np.minimum(number * (length - 1), np.maximum(shelf.sizes[owners] - length, 0))


@lru_cache(maxsize=16)
def fixed_windows(library: Library, split: str, length: int) -> tuple[Integers, Integers]:
    """The tiles of a split; of a held-out one those that stand neither in training nor, for validation, in test.

    Nor does one come twice in it: no two groups of splits share a window, and held-out ones are all different.
    """
    shelf = library.shelves[split]
    owners, places = tiles(shelf, length)
    if split == "train":
        return owners, places
    whole = np.flatnonzero(shelf.sizes[owners] >= length)
    windows = shelf.row[(shelf.starts[owners] + places)[whole, None] + np.arange(length)]
    new = np.zeros(len(windows), bool)
    new[np.unique(windows, axis=0, return_index=True)[1]] = True
    for other in {"train", "test"} - {split}:
        new &= ~occurs(windows, library.shelves[other].row)
    kept = np.ones(len(owners), bool)
    kept[whole] = new
    return owners[kept], places[kept]


def occurs(windows: Codes, row: Codes) -> Mask:
    """Which windows [W, T] stand somewhere in a row [N], by a polynomial hash of 64 bits."""
    length = windows.shape[1]
    with np.errstate(over="ignore"):
        powers = np.multiply.accumulate(np.full(HASHED_AT_ONCE + length, GOLDEN))  # odd: it has an inverse
        sought: Words = mix(_letters(windows) @ powers[:length])
        table = np.zeros(1 << TABLE_BITS, bool)
        table[sought & np.uint64(len(table) - 1)] = True
        found = np.zeros(len(windows), bool)
        inverse = np.multiply.accumulate(np.full(HASHED_AT_ONCE, np.uint64(pow(int(GOLDEN), -1, 2**64))))
        for start in range(0, len(row) - length + 1, HASHED_AT_ONCE):
            part = _letters(row[start : start + HASHED_AT_ONCE + length - 1])
            sums = np.append(np.uint64(0), (part * powers[: len(part)]).cumsum())
            count = len(part) - length + 1
            hashes = mix((sums[length:] - sums[:count]) * inverse[:count] * GOLDEN)
            found |= np.isin(sought, hashes[table[hashes & np.uint64(len(table) - 1)]])
    return found


def _letters(codes: Codes) -> Words:
    """A random word for each token."""
    return mix((codes.astype(np.uint64) + np.uint64(1)) * GOLDEN)
