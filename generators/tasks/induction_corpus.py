"""Induction in real stories: characters of held-out tales get names of two tokens that training never combined.

Paper, section 4.1 and appendix J. A corpus is a text file of tales with a separator between them. A byte-level BPE
(Sennrich et al. 2016) is trained on the training tales, which keep their names. In validation and test tales every
mention of a name is replaced, differently in each sample, by a pair of tokens such as " J" + "ock". The second token is
scored at every mention after the first in the sample.

    ... "I shall always be a loving sister to you, Jock" ... It seemed to Jock as if ...
                                                    ^^^ first mention       ^^^ scored

A sample is a window of one tale; a shorter tale is padded at its end. `material/tales.py` defines names. Held-out tales
are drawn, by the hash of their text, from those with enough names. Splits share no tale, so samples are not separated
by hash. The names of a window share no token, and their first tokens occur nowhere else in it, so matching is always
right. Tales have few characters at a time: in Andersen's, "repeat the latest name" is right for 7 answers in 10 over
all windows, and for 5 in 10 over windows with two names (`names_per_window`). The rest is what no shortcut explains.

With `other_corpus`, nine training windows in ten are other text, as in appendix J's mixture of books and stories.

A name always begins with a space, even after an opening quotation mark, where the text has no space.
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream
from generators.foundation.settings import Tree
from generators.material.bpe import learn_vocabulary
from generators.material.documents import Documents, read_documents
from generators.material.item_sources import NameItems
from generators.material.tales import prepare_tales, read_corpus
from generators.material.windows import LENGTH_MINIMUM, check_window_length
from generators.task import Batch, HeldOutSamples, Mask, Task, TaskConfig, TrainingSamples, usual_splits
from generators.tasks.induction import recent_name


class InductionCorpusConfig(TaskConfig):
    """Settings of `induction_corpus`."""

    kind: Literal["induction_corpus"] = "induction_corpus"
    corpus: str = Field(min_length=1, description="path of a UTF-8 text file of tales")
    separator: str = Field(default="<|endoftext|>", min_length=1, description="text between two tales")
    vocabulary_tokens: int = Field(
        default=1024, ge=320, le=65536, description="bytes, merges and padding; fewer if the text runs out of merges"
    )
    name_mentions: int = Field(default=3, ge=2, description="mentions in its tale that make a capitalised word a name")
    names_per_window: int = Field(default=2, ge=1, description="least number of different names in a held-out window")
    length_tokens: int = Field(default=256, ge=LENGTH_MINIMUM, le=4096, description="tokens of a window")
    other_corpus: str | None = Field(
        default=None, description='other text to train on: a text file, a folder of them, or "stdlib"'
    )
    other_share: float = Field(
        default=0.9, ge=0, lt=1, description="share of training windows from the other text, if there is one"
    )
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = 400
    validation_samples: HeldOutSamples = 200

    def canonical(self) -> Tree:
        settings = {**super().canonical(), "corpus": {"sha256": sha256(read_corpus(self.corpus)).hexdigest()}}
        if self.other_corpus is not None:
            settings["other_corpus"] = {"sha256": read_other_corpus(self.other_corpus).digest}
        return settings


class InductionCorpus(Task):
    """Windows of `length_tokens` tokens. `vocabulary` spells tokens in GPT-2's byte alphabet ("Ġ" is a space).

    Labels: `mention` numbers the mentions of names from 1, at the second token of the name; 0 elsewhere. `document`
    numbers the tales of the corpus; -1 in other text.

    Attributes:
        prepared: the tales, their names and the tokens of new names.
        windows: split -> the codes of its tales in one row, the positions where windows begin, and their tales.
        other_text: the tokens of `other_corpus`, or None.
    """

    config: InductionCorpusConfig

    def __init__(self, config: InductionCorpusConfig) -> None:
        super().__init__(config)
        self.prepared = prepared = prepare_tales(
            config.corpus,
            read_corpus(config.corpus),
            config.separator,
            config.vocabulary_tokens,
            config.name_mentions,
            config.names_per_window,
        )
        self.vocabulary = prepared.vocabulary
        self.padding = len(self.vocabulary) - 1
        self.length = config.length_tokens
        self.splits = usual_splits(config)
        self.shortcuts = {"latest_name": recent_name(1), "name_before": recent_name(2), "frequent_name": frequent_name}
        longest = max(map(len, prepared.codes["train"]))
        check_window_length(self.length, longest, f"training tale of {config.corpus}")
        self.windows = {split: self._find_windows(split) for split in self.splits}
        self.other_text = self._encode_other_corpus()

    def _find_windows(self, split: str) -> tuple[Integers, Integers, Integers]:
        """Returns the codes of a split's tales in one row, padded to a window, and the starts and tales of windows."""
        codes, starts, owners, offset = [], [], [], 0
        for number, tale in zip(self.prepared.numbers[split], self.prepared.codes[split], strict=True):
            padded = np.append(tale, np.full(max(0, self.length - len(tale)), self.padding))
            usable = np.ones(len(padded) - self.length + 1, bool) if split == "train" else self._usable(padded)
            starts.append(offset + np.flatnonzero(usable))
            owners.append(np.full(len(starts[-1]), number))
            codes.append(padded)
            offset += len(padded)
        if not sum(map(len, starts)):
            raise UserError(
                f"task.length_tokens = {self.length}: no window of a {split} tale of {self.config.corpus} mentions "
                f"task.names_per_window = {self.config.names_per_window} names and one of them twice; "
                f"give longer windows{' or fewer names' if self.config.names_per_window > 1 else ''}"
            )
        return np.concatenate(codes), np.concatenate(starts), np.concatenate(owners)

    def _encode_other_corpus(self) -> Integers | None:
        """Returns the tokens of the other text in one row, or None if there is no other text."""
        if self.config.other_corpus is None:
            return None
        texts = read_other_corpus(self.config.other_corpus).texts
        row = np.concatenate([encoding.ids for encoding in self.prepared.encoder.encode_batch(list(texts))])
        if len(row) < self.length:
            raise UserError(
                f'task.other_corpus = "{self.config.other_corpus}": {len(row)} tokens, fewer than '
                f"task.length_tokens = {self.length}; give more text"
            )
        return row.astype(np.int64)

    def _usable(self, tale: Integers) -> Mask:
        """Returns which windows of a held-out tale have a scored token, enough names, and first tokens for them."""
        count = len(tale) - self.length + 1
        scored = np.zeros(count, bool)
        named, needed = np.zeros(count, np.int64), np.zeros(count, np.int64)

        def inside(mask: Mask, start: int = 0) -> Mask:
            """Returns the windows with a True from their position `start` on."""
            sums = np.append(0, mask.cumsum())
            return sums[self.length :] > sums[start : start + count]

        for character in range(-int(tale.min()) // 2):
            first, second = tale == -1 - 2 * character, tale == -2 - 2 * character
            places = np.flatnonzero(second)
            for before, here in pairwise(places):
                scored[max(0, here - self.length + 1) : before] = True
            named += inside(second, start=1)
            needed += inside(first | second)
        for token in self.prepared.firsts:
            needed += inside(tale == token)
        return scored & (named >= self.config.names_per_window) & (needed <= len(self.prepared.firsts))

    def belongs(self, batch: Batch, split: str) -> Mask:
        return np.ones(len(batch), bool)  # no two splits share a tale

    def draw(self, stream: Stream, split: str) -> Batch:
        row, starts, owners = self.windows[split]
        window = stream.integers("window", len(starts), 1)
        codes, document = row[starts[window] + np.arange(self.length)], owners[window].repeat(self.length, axis=1)
        if split == "train" and self.other_text is not None:
            other = stream.uniform("other text", 1)[:, 0] < self.config.other_share
            places = stream.integers("place in other text", len(self.other_text) - self.length + 1, 1)[other]
            codes[other], document[other] = self.other_text[places + np.arange(self.length)], -1
        loss = codes != self.padding
        loss[:, 0] = False
        tokens, scored = (codes, np.zeros_like(loss)) if split == "train" else self._insert_names(stream, codes)
        mention = (codes < 0) & (codes % 2 == 0)
        mention[:, 0] = False  # the name begins before the window
        labels = {"mention": np.where(mention, mention.cumsum(axis=1), 0), "document": document}
        return Batch(tokens=tokens, loss=loss, scored=scored, labels=labels)

    def _insert_names(self, stream: Stream, codes: Integers) -> tuple[Integers, Mask]:
        """Draws names for the characters of held-out windows [B, T]; returns the tokens and the scored mask [B, T]."""
        prepared = self.prepared
        tokens, scored = codes.copy(), np.zeros(codes.shape, bool)
        firsts = stream.choose("first tokens", len(prepared.firsts), len(prepared.firsts))
        seconds = stream.choose("second tokens", len(prepared.seconds), len(prepared.seconds))
        for row, code in enumerate(codes):
            characters = np.unique((-1 - code[code < 0]) // 2)
            free = firsts[row][~np.isin(prepared.firsts[firsts[row]], code)]
            assert len(free) >= len(characters), "_usable leaves out windows that need more first tokens"
            order = seconds[row]
            for character, first in zip(characters, free, strict=False):
                rank = int(prepared.pairs[first, order].argmax())
                tokens[row, code == -1 - 2 * character] = prepared.firsts[first]
                tokens[row, code == -2 - 2 * character] = prepared.seconds[order[rank]]
                scored[row, 1 + np.flatnonzero(code[1:] == -2 - 2 * character)[1:]] = True
                order = np.delete(order, rank)
        return tokens, scored

    def training_texts(self) -> Sequence[str]:
        return self.prepared.tales["train"]

    def learn_vocabulary(self, texts: Sequence[str]) -> tuple[str, ...]:
        return learn_vocabulary(texts, self.config.vocabulary_tokens)

    def item_source(self, batch: Batch, options: int, answer_tokens: int | None) -> NameItems:
        return NameItems(batch, options, answer_tokens)

    def oracle(self, batch: Batch) -> Integers:
        # A pair of `prepared.pairs` can only be a name, because it occurs in no text of the corpus.
        first, second = np.nonzero(self.prepared.pairs)
        pairs = set(zip(self.prepared.firsts[first].tolist(), self.prepared.seconds[second].tolist(), strict=True))
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            seconds: dict[int, int] = {}
            for place, pair in enumerate(pairwise(tokens), start=1):
                if pair in pairs:
                    answers[row, place] = seconds.get(pair[0], -1)
                    seconds.setdefault(*pair)
        return answers

    def text(self, tokens: Integers) -> str:
        """Returns the text of a window without padding."""
        return str(self.prepared.encoder.decode(tokens[tokens != self.padding].tolist()))


def read_other_corpus(path: str) -> Documents:
    """Reads the documents of `task.other_corpus`; raises UserError as `read_documents` does."""
    try:
        return read_documents(path)
    except UserError as error:
        raise UserError(str(error).replace("task.corpus", "task.other_corpus")) from None


def frequent_name(batch: Batch) -> Integers:
    """Predicts the second token of the name mentioned most often so far, the latest of them in a tie."""
    guesses = np.full(batch.tokens.shape, -1)
    for row, mention in enumerate(batch.labels["mention"]):
        mentions: Counter[int] = Counter()
        best = -1
        for place in np.flatnonzero(mention):
            guesses[row, place] = best
            second = int(batch.tokens[row, place])
            mentions[second] += 1
            best = second if mentions[second] >= mentions[best] else best
    return guesses
