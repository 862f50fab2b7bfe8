"""Real text as bytes or trained tokens: a file, a folder, or the source of Python's standard library.

A sample is a window of `length_tokens` tokens of one document (what a document is: `documents.py`); a shorter
document is padded at its end. Every token but the first of a sample is a target and is scored: accuracy is next-token
accuracy. With `corpus = "stdlib"`, 24 bytes of `textwrap.py`:

    def fill(text, width=70,

One document in ten is for test, one for validation, the rest for training. Tokens are bytes, or those of a byte-level
BPE learnt from the training documents. Without `training_samples` training is endless: each sample begins anywhere.
With it training is a fixed set of so many windows, read in epochs, each in its own order; 5,000 steps of 16 samples
over 20,000 windows are four epochs, as in the paper's table of several epochs. A smaller set is part of a larger one.
Held-out splits are fixed sets too. The windows of fixed sets stand side by side in their documents, each beginning
with the last token of the one before, so each token is a target once (the last window of a document is moved back to
end with it). A held-out window that stands anywhere in training, or in the other held-out split, is left out.

No continuation of a text is the only right one, so `oracle` is silent; `confirmed` looks a sample up in its document.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, epochs
from generators.foundation.settings import Tree
from generators.material.documents import read_documents
from generators.material.item_sources import WindowItems
from generators.material.windows import fixed_windows, prepare, tiles
from generators.task import Batch, Mask, Task, TaskConfig


class TextConfig(TaskConfig):
    """Settings of `text`."""

    kind: Literal["text"] = "text"
    corpus: str = Field(
        default="stdlib",
        min_length=1,
        description='path of a UTF-8 text file or of a folder of them, or "stdlib": the source of the standard library',
    )
    files: str = Field(default="*", min_length=1, description='files of a folder that are read, for example "*.txt"')
    separator: str | None = Field(
        default=None, min_length=1, description="what parts a file into documents; without it a file is one"
    )
    tokens: Literal["bytes", "bpe"] = Field(default="bytes", description="bytes, or pairs of them learnt from the text")
    vocabulary_tokens: int | None = Field(
        default=None, ge=320, le=65536, description="with bpe: bytes, merges and padding; fewer where a text has fewer"
    )
    length_tokens: int = Field(default=256, ge=16, le=8192, description="tokens of a window")
    training_samples: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="a fixed set of windows, read in epochs; without it, endless",
    )
    test_samples: int = Field(default=400, ge=1, le=10**7)
    validation_samples: int = Field(default=200, ge=1, le=10**7)

    def canonical(self) -> Tree:
        settings = super().canonical()
        del settings["files"], settings["separator"]  # what they choose and part is what the digest is of
        return {**settings, "corpus": {"sha256": read_documents(self.corpus, self.files, self.separator).digest}}


class Text(Task):
    """Windows of `length_tokens` tokens. `vocabulary` spells tokens in GPT-2's byte alphabet ("Ġ" is a space).

    Labels: `document`, the place in `library.documents.texts` of the document a sample is from.
    """

    config: TextConfig

    def __init__(self, config: TextConfig) -> None:
        if (config.tokens == "bpe") != (config.vocabulary_tokens is not None):
            raise UserError(
                'task.tokens = "bpe": needs task.vocabulary_tokens, for example 1024'
                if config.tokens == "bpe"
                else f'task.vocabulary_tokens = {config.vocabulary_tokens}: is for task.tokens = "bpe"; leave it out'
            )
        super().__init__(config)
        documents = read_documents(config.corpus, config.files, config.separator)
        self.library = library = prepare(documents, config.vocabulary_tokens)
        self.vocabulary = library.vocabulary
        self.padding = len(self.vocabulary) - 1
        self.length = config.length_tokens
        self.splits = {
            "train": config.training_samples,
            "validation": config.validation_samples,
            "test": config.test_samples,
        }
        self.shortcuts = {"unigram": self.unigram, "bigram": self.bigram}
        longest = int(library.shelves["train"].sizes.max())
        if self.length > longest:
            raise UserError(
                f"task.length_tokens = {self.length}: longer than every training document of {config.corpus}; "
                f"give at most {longest}"
            )
        self.windows = {split: self._chosen(split, size) for split, size in self.splits.items() if size is not None}

    def _chosen(self, split: str, size: int) -> tuple[Integers, Integers]:
        """Documents and places [size] of the windows of a fixed set."""
        documents, places = fixed_windows(self.library, split, self.length)
        if size > len(places):
            key = "training" if split == "train" else split
            raise UserError(
                f"task.{key}_samples = {size}: {self.config.corpus} has {len(places)} {split} windows of "
                f"task.length_tokens = {self.length}{'' if split == 'train' else ' that stand nowhere else'}; "
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
        """A window anywhere: a document as often as it has windows, then a place in it."""
        shelf = self.library.shelves[split]
        owners, _ = tiles(shelf, self.length)
        documents = owners[stream.integers("document", len(owners), 1)[:, 0]]
        beyond = np.maximum(shelf.sizes[documents] - self.length, 0)
        return self._read(split, documents, stream.integers("place", beyond[:, None] + 1, 1)[:, 0])

    def _read(self, split: str, documents: Integers, places: Integers) -> Batch:
        """The windows that begin at `places` [B] of `documents` [B] of a split."""
        shelf = self.library.shelves[split]
        within = places[:, None] + np.arange(self.length)
        inside = within < shelf.sizes[documents, None]
        row = np.minimum(shelf.starts[documents, None] + within, len(shelf.row) - 1)
        loss = inside.copy()
        loss[:, 0] = False
        return Batch(
            tokens=np.where(inside, shelf.row[row].astype(np.int64), self.padding),
            loss=loss,
            scored=loss.copy(),
            labels={"document": (shelf.first + documents)[:, None].repeat(self.length, axis=1)},
        )

    def item_source(self, batch: Batch, options: int, answer_tokens: int | None) -> WindowItems:
        return WindowItems(batch, options, answer_tokens)

    def oracle(self, batch: Batch) -> Integers:
        return np.full(batch.tokens.shape, -1)

    def confirmed(self, batch: Batch) -> Mask:
        """Which samples [B] are a stretch of their document's text, whole if padded, with every target scored."""
        right: Mask = (batch.scored == batch.loss).all(axis=1)
        for row, tokens in enumerate(batch.tokens):
            text = self.library.documents.texts[batch.labels["document"][row, 0]].encode()
            read = self._bytes(tokens)
            right[row] &= read == text if tokens[-1] == self.padding else read in text
        return right

    def text(self, tokens: Integers) -> str:
        """The window as it would be printed, padding left out."""
        return self._bytes(tokens).decode("utf-8", errors="replace")

    def _bytes(self, tokens: Integers) -> bytes:
        return b"".join(self.library.spelling[token] for token in tokens if token != self.padding)

    def position_classes(self, batch: Batch) -> dict[str, Mask]:
        """Tokens that begin with a letter or digit, behind another such token or not, and all others, padding too."""
        word = np.array([*(spelled[:1].isalnum() for spelled in self.library.spelling), False])[batch.tokens]
        inside = np.zeros_like(word)
        inside[:, 1:] = word[:, 1:] & word[:, :-1]
        return {"begins a word": word & ~inside, "inside a word": inside, "between words": ~word}

    # ---- shortcuts

    def unigram(self, batch: Batch) -> Integers:
        """The most frequent token of training, everywhere."""
        return np.full(batch.tokens.shape, self.library.commonest)

    def bigram(self, batch: Batch) -> Integers:
        """The token that in training follows the one before most often; -1 behind one that none follows."""
        guesses = np.full(batch.tokens.shape, -1)
        guesses[:, 1:] = self.library.successors[batch.tokens[:, :-1]]
        return guesses
