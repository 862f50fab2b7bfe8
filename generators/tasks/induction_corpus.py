"""Induction in real stories: the characters of a held-out tale get names of two tokens that training never paired.

Paper, section 4.1 and appendix J. A corpus is a text file of tales with a separator between them. A byte-level
BPE (Sennrich et al. 2016) is trained on the training tales, which keep their names. In validation and test tales
every mention of a name is replaced, for each sample anew, by a pair of tokens such as " J" + "ock"; scored is the
second token at every mention after the first in the sample.

    ... "I shall always be a loving sister to you, Jock" ... It seemed to Jock as if ...
                                                    ^^^ told                ^^^ scored

A sample is a window of one tale; a shorter tale is padded at its end. How names are found is said in `tales.py`.
Held-out tales are drawn, by the hash of their text, from those that have names enough; no two splits share a
tale, and that is why no hash of the sample keeps them apart. The names of a window share no token, and their
first tokens stand nowhere else in it, so matching is always right. Tales tell of few characters at a time: in
Andersen's, "repeat the latest name" is right for 7 answers in 10 of all windows, and for 5 in 10 of those with two
names (`names_per_window`). What no shortcut explains is the rest.

With `other_corpus`, nine training windows in ten are of other text, as in appendix J's mixture of books and stories.

A name always begins with a space, also behind an opening quotation mark, where the text had none.
"""

from collections import Counter
from hashlib import sha256
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream
from generators.foundation.settings import Tree
from generators.material.documents import Documents, read_documents
from generators.material.item_sources import NameItems
from generators.material.tales import prepare, read_corpus
from generators.task import Batch, Mask, Task, TaskConfig
from generators.tasks.induction import recent_name


class InductionCorpusConfig(TaskConfig):
    """Settings of `induction_corpus`."""

    kind: Literal["induction_corpus"] = "induction_corpus"
    corpus: str = Field(min_length=1, description="path of a UTF-8 text file of tales")
    separator: str = Field(default="<|endoftext|>", min_length=1, description="what stands between two tales")
    vocabulary_tokens: int = Field(
        default=1024, ge=320, le=65536, description="bytes, merges and padding; fewer where the text runs out of merges"
    )
    name_mentions: int = Field(default=3, ge=2, description="mentions in its tale that make a capitalised word a name")
    names_per_window: int = Field(default=2, ge=1, description="different names told in a held-out window, at least")
    length_tokens: int = Field(default=256, ge=16, le=4096, description="tokens of a window")
    other_corpus: str | None = Field(
        default=None, description='other text to train on: a text file, a folder of them, or "stdlib"'
    )
    other_share: float = Field(default=0.9, ge=0, lt=1, description="of training windows, where there is other text")
    training_samples: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="a fixed training set of that size, read in epochs; without it, fresh samples",
    )
    test_samples: int = Field(default=400, ge=1, le=10**7)
    validation_samples: int = Field(default=200, ge=1, le=10**7)

    def canonical(self) -> Tree:
        settings = {**super().canonical(), "corpus": {"sha256": sha256(read_corpus(self.corpus)).hexdigest()}}
        if self.other_corpus is not None:
            settings["other_corpus"] = {"sha256": read_other(self.other_corpus).digest}
        return settings


class InductionCorpus(Task):
    """Windows of `length_tokens` tokens. `vocabulary` spells tokens in GPT-2's byte alphabet ("Ġ" is a space)."""

    config: InductionCorpusConfig

    def __init__(self, config: InductionCorpusConfig) -> None:
        super().__init__(config)
        self.library = library = prepare(
            config.corpus,
            read_corpus(config.corpus),
            config.separator,
            config.vocabulary_tokens,
            config.name_mentions,
            config.names_per_window,
        )
        self.vocabulary = library.vocabulary
        self.padding = len(self.vocabulary) - 1
        self.length = config.length_tokens
        self.splits = {
            "train": config.training_samples,
            "validation": config.validation_samples,
            "test": config.test_samples,
        }
        self.shortcuts = {"latest_name": recent_name(1), "name_before": recent_name(2), "frequent_name": frequent_name}
        longest = max(map(len, library.codes["train"]))
        if self.length > longest:
            raise UserError(
                f"task.length_tokens = {self.length}: longer than every training tale of {config.corpus}; "
                f"give at most {longest}"
            )
        self.windows = {split: self._windows(split) for split in self.splits}
        self.other = self._other()

    def _windows(self, split: str) -> tuple[Integers, Integers]:
        """Codes of a split's tales in one row, none shorter than a window, and the places where windows start."""
        codes, starts, offset = [], [], 0
        for tale in self.library.codes[split]:
            padded = np.append(tale, np.full(max(0, self.length - len(tale)), self.padding))
            usable = np.ones(len(padded) - self.length + 1, bool) if split == "train" else self._usable(padded)
            starts.append(offset + np.flatnonzero(usable))
            codes.append(padded)
            offset += len(padded)
        if not sum(map(len, starts)):
            raise UserError(
                f"task.length_tokens = {self.length}: no window of a {split} tale of {self.config.corpus} tells "
                f"task.names_per_window = {self.config.names_per_window} names and one of them twice; "
                f"give longer windows or fewer names"
            )
        return np.concatenate(codes), np.concatenate(starts)

    def _other(self) -> Integers | None:
        """Tokens of the other text in one row, or None."""
        if self.config.other_corpus is None:
            return None
        texts = read_other(self.config.other_corpus).texts
        row = np.concatenate([encoding.ids for encoding in self.library.encoder.encode_batch(list(texts))])
        if len(row) < self.length:
            raise UserError(
                f'task.other_corpus = "{self.config.other_corpus}": {len(row)} tokens, fewer than '
                f"task.length_tokens = {self.length}; give more text"
            )
        return row.astype(np.int64)

    def _usable(self, tale: Integers) -> Mask:
        """Which windows of a held-out tale have a scored token, names enough, and first tokens enough for them."""
        count = len(tale) - self.length + 1
        scored = np.zeros(count, bool)
        told, needed = np.zeros(count, np.int64), np.zeros(count, np.int64)

        def inside(places: Mask, since: int = 0) -> Mask:
            sums = np.append(0, places.cumsum())
            return sums[self.length :] > sums[since : since + count]

        for character in range(-int(tale.min()) // 2):
            first, second = tale == -1 - 2 * character, tale == -2 - 2 * character
            places = np.flatnonzero(second)
            for before, here in pairwise(places):
                scored[max(0, here - self.length + 1) : before] = True
            told += inside(second, since=1)
            needed += inside(first | second)
        for token in self.library.firsts:
            needed += inside(tale == token)
        return scored & (told >= self.config.names_per_window) & (needed <= len(self.library.firsts))

    def belongs(self, batch: Batch, split: str) -> Mask:
        return np.ones(len(batch), bool)  # no two splits share a tale

    def draw(self, stream: Stream, split: str) -> Batch:
        row, starts = self.windows[split]
        codes = row[starts[stream.integers("window", len(starts), 1)] + np.arange(self.length)]
        if split == "train" and self.other is not None:
            other = stream.uniform("other text", 1)[:, 0] < self.config.other_share
            places = stream.integers("place in other text", len(self.other) - self.length + 1, 1)[other]
            codes[other] = self.other[places + np.arange(self.length)]
        loss = codes != self.padding
        loss[:, 0] = False
        tokens, scored = (codes, np.zeros_like(loss)) if split == "train" else self._named(stream, codes)
        mention = (codes < 0) & (codes % 2 == 0)
        mention[:, 0] = False  # its first token is outside the window
        labels = {"mention": np.where(mention, mention.cumsum(axis=1), 0)}
        return Batch(tokens=tokens, loss=loss, scored=scored, labels=labels)

    def _named(self, stream: Stream, codes: Integers) -> tuple[Integers, Mask]:
        """Held-out windows [B, T] with names drawn for their characters, and what is scored in them [B, T]."""
        library = self.library
        tokens, scored = codes.copy(), np.zeros(codes.shape, bool)
        firsts = stream.choose("first tokens", len(library.firsts), len(library.firsts))
        seconds = stream.choose("second tokens", len(library.seconds), len(library.seconds))
        for row, code in enumerate(codes):
            characters = np.unique((-1 - code[code < 0]) // 2)
            free = firsts[row][~np.isin(library.firsts[firsts[row]], code)]
            assert len(free) >= len(characters), "_usable leaves out windows that need more first tokens"
            order = seconds[row]
            for character, first in zip(characters, free, strict=False):
                place = int(library.pairs[first, order].argmax())
                tokens[row, code == -1 - 2 * character] = library.firsts[first]
                tokens[row, code == -2 - 2 * character] = library.seconds[order[place]]
                scored[row, 1 + np.flatnonzero(code[1:] == -2 - 2 * character)[1:]] = True
                order = np.delete(order, place)
        return tokens, scored

    def item_source(self, batch: Batch, options: int, answer_tokens: int | None) -> NameItems:
        return NameItems(batch, options, answer_tokens)

    def oracle(self, batch: Batch) -> Integers:
        # A pair of `library.pairs` can only be a name: no text of the corpus has one.
        first, second = np.nonzero(self.library.pairs)
        pairs = set(zip(self.library.firsts[first].tolist(), self.library.seconds[second].tolist(), strict=True))
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            known: dict[int, int] = {}
            for place, pair in enumerate(pairwise(tokens), start=1):
                if pair in pairs:
                    answers[row, place] = known.get(pair[0], -1)
                    known.setdefault(*pair)
        return answers

    def text(self, tokens: Integers) -> str:
        """The window as it would be printed, padding left out."""
        return str(self.library.encoder.decode(tokens[tokens != self.padding].tolist()))


def read_other(path: str) -> Documents:
    """The documents of `task.other_corpus`; UserError where there is no text to read."""
    try:
        return read_documents(path)
    except UserError as error:
        raise UserError(str(error).replace("task.corpus", "task.other_corpus")) from None


def frequent_name(batch: Batch) -> Integers:
    """Shortcut: the second token of the name told most often so far, of several the one told last."""
    guesses = np.full(batch.tokens.shape, -1)
    for row, mention in enumerate(batch.labels["mention"]):
        told: Counter[int] = Counter()
        best = -1
        for place in np.flatnonzero(mention):
            guesses[row, place] = best
            second = int(batch.tokens[row, place])
            told[second] += 1
            best = second if told[second] >= told[best] else best
    return guesses
