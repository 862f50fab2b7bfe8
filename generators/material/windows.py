"""Tokenized documents, one long row of tokens per split, and the windows of fixed length in them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.foundation.errors import UserError
from generators.foundation.randomness import GOLDEN, Integers, Words, mix
from generators.material.bpe import PADDING, byte_letters, train_bpe, vocabulary_of
from generators.material.documents import Documents
from generators.task import Mask

HELD_OUT_SHARE = 10  # one document in ten is for test, one for validation
ENCODED_AT_ONCE = 256
HASHED_AT_ONCE = 1 << 20
TABLE_BITS = 20

LENGTH_MINIMUM = 16
"""Tokens of the shortest window that a task offers."""

Codes = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class SplitTokens:
    """The documents of a split as tokens.

    Attributes:
        row: the tokens of all documents, one after the other, in the smallest unsigned type.
        starts, sizes: where each document [D] starts in the row, and its number of tokens.
        first: the index of the split's first document among all documents.
    """

    row: Codes
    starts: Integers
    sizes: Integers
    first: int


@dataclass(frozen=True, eq=False)
class TokenizedDocuments:
    """Documents as tokens. The last token of the vocabulary is padding, which occurs in no document."""

    documents: Documents
    vocabulary: tuple[str, ...]
    splits: Mapping[str, SplitTokens]

    @cached_property
    def spelling(self) -> tuple[bytes, ...]:
        """The bytes of every token except padding."""
        byte = {letter: number for number, letter in enumerate(byte_letters())}
        return tuple(bytes(byte[letter] for letter in token) for token in self.vocabulary[:-1])

    @cached_property
    def commonest(self) -> int:
        """The most frequent token of the training documents."""
        return int(np.bincount(self.splits["train"].row).argmax())

    @cached_property
    def successors(self) -> Integers:
        """The token [V] that most often follows each token in training; the smallest in a tie, -1 if none follows."""
        train, size = self.splits["train"], len(self.vocabulary)
        ends = train.starts[1:] - 1
        pairs = np.delete(train.row[:-1].astype(np.int64) * size + train.row[1:], ends)
        pairs, counts = np.unique(pairs, return_counts=True)
        pairs = pairs[np.lexsort((pairs, -counts, pairs // size))]
        tokens, commonest = np.unique(pairs // size, return_index=True)
        successors = np.full(size, -1)
        successors[tokens] = pairs[commonest] % size
        return successors


@lru_cache(maxsize=4)
def tokenize_documents(documents: Documents, vocabulary_tokens: int | None) -> TokenizedDocuments:
    """Splits documents and turns them into bytes, or into BPE tokens (6 s for 10 MB, once per process).

    Args:
        vocabulary_tokens: the size of a BPE vocabulary that is learned from the training documents; None for bytes.
    """
    texts = documents.texts
    held_out = max(1, len(texts) // HELD_OUT_SHARE)
    bounds = {"test": (0, held_out), "validation": (held_out, 2 * held_out), "train": (2 * held_out, len(texts))}
    if vocabulary_tokens is None:
        vocabulary = byte_letters()
        encoded: Iterator[Codes] = (np.frombuffer(text.encode(), np.uint8) for text in texts)
    else:
        encoder = train_bpe(texts[2 * held_out :], vocabulary_tokens - 1)
        vocabulary = vocabulary_of(encoder)
        unsigned = np.min_scalar_type(len(vocabulary))
        batches = (texts[start : start + ENCODED_AT_ONCE] for start in range(0, len(texts), ENCODED_AT_ONCE))
        encoded = (np.array(text.ids, unsigned) for batch in batches for text in encoder.encode_batch_fast(list(batch)))
    codes = list(encoded)
    splits = {split: _joined(codes[first:last], first) for split, (first, last) in bounds.items()}
    return TokenizedDocuments(documents, (*vocabulary, PADDING), splits)


def _joined(codes: Sequence[Codes], first: int) -> SplitTokens:
    sizes = np.array([len(document) for document in codes])
    return SplitTokens(np.concatenate(codes), sizes.cumsum() - sizes, sizes, first)


def tiles(tokens: SplitTokens, length: int) -> tuple[Integers, Integers]:
    """Cuts the documents of a split into adjacent windows of `length` tokens.

    Each window begins with the last token of the one before, and the last window of a document ends where it ends. A
    shorter document is one window, a document of a single token has none.

    Returns:
        The document and the position in it [W] where each window begins.
    """
    counts = -(-(tokens.sizes - 1) // (length - 1))
    owners = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(owners)) - np.repeat(counts.cumsum() - counts, counts)
    return owners, np.minimum(number * (length - 1), np.maximum(tokens.sizes[owners] - length, 0))


@lru_cache(maxsize=16)
def fixed_windows(corpus: TokenizedDocuments, split: str, length: int) -> tuple[Integers, Integers]:
    """Returns the tiles of a split, for a held-out split without those that also occur elsewhere.

    A held-out window is dropped if it occurs anywhere in training, earlier in its own split, or, for validation, in
    test. So training, validation and test share no window, and
    all held-out windows differ.
    """
    tokens = corpus.splits[split]
    owners, places = tiles(tokens, length)
    if split == "train":
        return owners, places
    whole = np.flatnonzero(tokens.sizes[owners] >= length)
    windows = tokens.row[(tokens.starts[owners] + places)[whole, None] + np.arange(length)]
    new = np.zeros(len(windows), bool)
    new[np.unique(windows, axis=0, return_index=True)[1]] = True
    for other in {"train", "test"} - {split}:
        new &= ~occurs(windows, corpus.splits[other].row)
    kept = np.ones(len(owners), bool)
    kept[whole] = new
    return owners[kept], places[kept]


def occurs(windows: Codes, row: Codes) -> Mask:
    """Returns which windows [W, T] occur somewhere in a row [N], by a polynomial hash of 64 bits."""
    length = windows.shape[1]
    sought = run_hashes(windows, length)[:, 0]
    occurring = np.zeros(len(windows), bool)
    for start in range(0, len(row) - length + 1, HASHED_AT_ONCE):
        hashes = run_hashes(row[None, start : start + HASHED_AT_ONCE + length - 1], length)[0]
        occurring |= np.isin(sought, hashes[positions_of(sought, hashes)])
    return occurring


def run_hashes(codes: NDArray[np.integer[Any]], run: int) -> Words:
    """Hashes every run of `run` tokens in rows [B, T] to a word [B, T - run + 1], by a polynomial in 2**64 integers."""
    with np.errstate(over="ignore"):
        powers, inverse = _powers(codes.shape[1])
        words = mix((codes.astype(np.uint64) + np.uint64(1)) * GOLDEN) * powers
        sums = np.concatenate((np.zeros((len(codes), 1), np.uint64), words.cumsum(axis=1)), axis=1)
        return mix((sums[:, run:] - sums[:, :-run]) * inverse[: codes.shape[1] - run + 1])


def positions_of(sought: Words, hashes: Words) -> Integers:
    """Returns the positions of the hashes [N] that are among those sought [W]."""
    table = np.zeros(1 << TABLE_BITS, bool)
    table[sought & np.uint64(len(table) - 1)] = True
    candidates = np.flatnonzero(table[hashes & np.uint64(len(table) - 1)])
    return candidates[np.isin(hashes[candidates], sought)]


@lru_cache(maxsize=4)
def _powers(count: int) -> tuple[Words, Words]:
    """Returns the first powers of `GOLDEN`, and of its inverse modulo 2**64 (which exists: `GOLDEN` is odd)."""
    inverse = np.uint64(pow(int(GOLDEN), -1, 2**64))
    with np.errstate(over="ignore"):
        return np.multiply.accumulate(np.full(count, GOLDEN)), np.multiply.accumulate(np.full(count, inverse))


def check_window_length(length_tokens: int, longest: int, documents: str) -> None:
    """Checks that some document fills a window.

    Args:
        longest: tokens of the longest document.
        documents: the kind of document and its corpus, for the error.

    Raises:
        UserError: windows are longer than every document.
    """
    if length_tokens > longest:
        shorter = f"give at most {longest}" if longest >= LENGTH_MINIMUM else "give text with longer documents"
        raise UserError(f"task.length_tokens = {length_tokens}: longer than every {documents}; {shorter}")
