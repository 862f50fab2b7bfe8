"""Real text as bytes or trained tokens: a file, a folder, or the source of Python's standard library.

A sample is a window of `length_tokens` tokens of one document (`material/documents.py` defines documents); a shorter
document is padded at its end. Every token but the first of a sample is a target and is scored, so accuracy is
next-token accuracy. With `corpus = "stdlib"`, 24 bytes of `textwrap.py`:

    def fill(text, width=70,

One document in ten is for test, one for validation, the rest for training. Tokens are bytes, or those of a byte-level
BPE trained on the training documents. Without `training_samples` training is endless and a sample begins anywhere. With
it, training is a fixed set of that many windows, read in epochs, each in a different order: 5,000 steps of 16 samples
over 20,000 windows are four epochs, as in the paper's table on several epochs. Smaller sets are subsets of larger ones.
Held-out splits are fixed sets too. The windows of fixed sets are adjacent in their documents, each beginning with the
last token of the one before, so each token is a target once (the last window of a document is moved back to end where
the document ends). Held-out windows that occur anywhere in training or in the other held-out split are dropped.

Text has no single right continuation, so `oracle` gives no answers; `confirmed` looks a sample up in its document.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, epochs
from generators.foundation.settings import Tree
from generators.material.bpe import learn_vocabulary
from generators.material.documents import read_documents
from generators.material.item_sources import WindowItems
from generators.material.windows import LENGTH_MINIMUM, check_window_length, fixed_windows, tiles, tokenize_documents
from generators.task import Batch, HeldOutSamples, Mask, Task, TaskConfig, usual_splits


class TextConfig(TaskConfig):
    """Settings of `text`."""

    kind: Literal["text"] = "text"
    corpus: str = Field(
        default="stdlib",
        min_length=1,
        description='path of a UTF-8 text file or of a folder of them, or "stdlib": the source of the standard library',
    )
    files: str = Field(default="*", min_length=1, description='files to read in a folder, for example "*.txt"')
    separator: str | None = Field(
        default=None, min_length=1, description="text between two documents of a file; without it each file is one"
    )
    tokens: Literal["bytes", "bpe"] = Field(
        default="bytes", description="bytes, or a byte-pair encoding learned from the text"
    )
    vocabulary_tokens: int | None = Field(
        default=None, ge=320, le=65536, description="with bpe: bytes, merges and padding; fewer if a text has fewer"
    )
    length_tokens: int = Field(default=256, ge=LENGTH_MINIMUM, le=8192, description="tokens of a window")
    training_samples: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="a fixed set of windows, read in epochs; without it, endless",
    )
    test_samples: HeldOutSamples = 400
    validation_samples: HeldOutSamples = 200

    def canonical(self) -> Tree:
        settings = super().canonical()
        del settings["files"], settings["separator"]  # the digest covers the documents that they select
        return {**settings, "corpus": {"sha256": read_documents(self.corpus, self.files, self.separator).digest}}


class Text(Task):
    """Windows of `length_tokens` tokens. `vocabulary` spells tokens in GPT-2's byte alphabet ("Ġ" is a space).

    Labels: `document`, the index in `corpus.documents.texts` of the document that a sample is from.

    Attributes:
        corpus: the tokenized documents.
        windows: split -> document and position of each window, for splits that are fixed sets.
    """

    config: TextConfig

    def __init__(self, config: TextConfig) -> None:
        if (config.tokens == "bpe") != (config.vocabulary_tokens is not None):
            raise UserError(
                'task.tokens = "bpe": needs task.vocabulary_tokens, for example 1024'
                if config.tokens == "bpe"
                else f'task.vocabulary_tokens = {config.vocabulary_tokens}: only for task.tokens = "bpe"; leave it out'
            )
        super().__init__(config)
        documents = read_documents(config.corpus, config.files, config.separator)
        self.corpus = corpus = tokenize_documents(documents, config.vocabulary_tokens)
        self.vocabulary = corpus.vocabulary
        self.padding = len(self.vocabulary) - 1
        self.length = config.length_tokens
        self.splits = usual_splits(config)
        self.shortcuts = {"unigram": self.unigram, "bigram": self.bigram}
        longest = int(corpus.splits["train"].sizes.max())
        check_window_length(self.length, longest, f"training document of {config.corpus}")
        self.windows = {
            split: self._choose_windows(split, size) for split, size in self.splits.items() if size is not None
        }
        self.seeds_only_order = frozenset(self.windows)

    def _choose_windows(self, split: str, size: int) -> tuple[Integers, Integers]:
        """Returns documents and positions [size] of the windows of a fixed set."""
        documents, places = fixed_windows(self.corpus, split, self.length)
        if size > len(places):
            key = "training" if split == "train" else split
            raise UserError(
                f"task.{key}_samples = {size}: {self.config.corpus} has {len(places)} {split} windows of "
                f"task.length_tokens = {self.length}{'' if split == 'train' else ' that occur nowhere else'}; "
                + (f"give at most {len(places)}" if len(places) else "give more text")
            )
        chosen = epochs(f"windows of {split}", np.arange(size), len(places))
        return documents[chosen], places[chosen]

    def batch(self, split: str, indices: ArrayLike, seed: int = 0) -> Batch:
        if split not in self.windows:
            return super().batch(split, indices, seed)
        documents, places = self.windows[split]
        chosen = epochs(f"{self.name}:{split}:{seed}", indices, len(places))
        return self._read(split, documents[chosen], places[chosen])

    def belongs(self, batch: Batch, split: str) -> Mask:
        return np.ones(len(batch), bool)  # no two splits share a document

    def draw(self, stream: Stream, split: str) -> Batch:
        """Draws windows anywhere: a document in proportion to its windows, then a position in it."""
        tokens = self.corpus.splits[split]
        owners, _ = tiles(tokens, self.length)
        documents = owners[stream.integers("document", len(owners), 1)[:, 0]]
        last_start = np.maximum(tokens.sizes[documents] - self.length, 0)
        return self._read(split, documents, stream.integers("place", last_start[:, None] + 1, 1)[:, 0])

    def _read(self, split: str, documents: Integers, places: Integers) -> Batch:
        """Reads the windows that begin at `places` [B] of `documents` [B] of a split."""
        tokens = self.corpus.splits[split]
        within = places[:, None] + np.arange(self.length)
        inside = within < tokens.sizes[documents, None]
        row = np.minimum(tokens.starts[documents, None] + within, len(tokens.row) - 1)
        loss = inside.copy()
        loss[:, 0] = False
        return Batch(
            tokens=np.where(inside, tokens.row[row].astype(np.int64), self.padding),
            loss=loss,
            scored=loss.copy(),
            labels={"document": (tokens.first + documents)[:, None].repeat(self.length, axis=1)},
        )

    def training_texts(self) -> Sequence[str]:
        return self.corpus.documents.texts[self.corpus.splits["train"].first :]

    def learn_vocabulary(self, texts: Sequence[str]) -> tuple[str, ...]:
        return learn_vocabulary(texts, self.config.vocabulary_tokens)

    def item_source(self, batch: Batch, options: int, answer_tokens: int | None) -> WindowItems:
        return WindowItems(batch, options, answer_tokens)

    def oracle(self, batch: Batch) -> Integers:
        return np.full(batch.tokens.shape, -1)

    def confirmed(self, batch: Batch) -> Mask:
        """Returns which samples [B] occur in their document, or are all of it if padded, with every target scored."""
        right: Mask = (batch.scored == batch.loss).all(axis=1)
        for row, tokens in enumerate(batch.tokens):
            text = self.corpus.documents.texts[batch.labels["document"][row, 0]].encode()
            window = self._bytes(tokens)
            right[row] &= window == text if tokens[-1] == self.padding else window in text
        return right

    def text(self, tokens: Integers) -> str:
        """Returns the text of a window without padding."""
        return self._bytes(tokens).decode("utf-8", errors="replace")

    def _bytes(self, tokens: Integers) -> bytes:
        return b"".join(self.corpus.spelling[token] for token in tokens if token != self.padding)

    def position_classes(self, batch: Batch) -> dict[str, Mask]:
        """Separates tokens that begin a word, tokens that continue one, and all others, padding included.

        A token is part of a word if it starts with a letter or digit; it continues one if the token before is part of a
        word too.
        """
        word = np.array([*(spelling[:1].isalnum() for spelling in self.corpus.spelling), False])[batch.tokens]
        inside = np.zeros_like(word)
        inside[:, 1:] = word[:, 1:] & word[:, :-1]
        return {"begins a word": word & ~inside, "inside a word": inside, "between words": ~word}

    # ---- shortcuts

    def unigram(self, batch: Batch) -> Integers:
        """Predicts the most frequent token of training everywhere."""
        return np.full(batch.tokens.shape, self.corpus.commonest)

    def bigram(self, batch: Batch) -> Integers:
        """Predicts the token that most often follows the previous one in training; -1 if none ever does."""
        guesses = np.full(batch.tokens.shape, -1)
        guesses[:, 1:] = self.corpus.successors[batch.tokens[:, :-1]]
        return guesses
