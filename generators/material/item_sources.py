"""How samples become items: names are completed by their second token, windows of text by their last part."""

import numpy as np

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Words
from generators.protocols import ItemSource
from generators.task import Batch

WINDOW_ANSWER_SHARE = 4
"""An answer is by default the last quarter of a window."""


class NameItems(ItemSource):
    """Asks for the second token of a name mentioned before; distractors are second tokens of the other names.

    Args:
        batch: samples with the label `mention`, which is above 0 at the second token of a name and 0 elsewhere.
    """

    def __init__(self, batch: Batch, options: int, answer_tokens: int | None) -> None:
        super().__init__(batch, options, checked_answer_tokens(answer_tokens, default=1, maximum=1))
        self.candidates = batch.tokens.shape[1]
        first_mentions = (batch.labels["mention"] > 0) & ~batch.scored
        names_before = first_mentions.cumsum(axis=1)
        self.positions = [np.flatnonzero(usable).tolist() for usable in batch.scored & (names_before >= options)]

    def distractors(self, sample: int, position: int, words: Words) -> Integers:
        is_name = self.batch.labels["mention"][sample, :position] > 0
        names_before = self.batch.tokens[sample, :position][is_name]
        others = np.setdiff1d(names_before, self.batch.tokens[sample, position])
        return others[np.argsort(words[: len(others)]), None]


class WindowItems(ItemSource):
    """Asks for the last tokens of a window; distractors are the last tokens of other windows, preferably of its
    document.

    Windows shorter than twice the answer give no item.

    Args:
        batch: samples with the label `document`.
    """

    def __init__(self, batch: Batch, options: int, answer_tokens: int | None) -> None:
        length = batch.tokens.shape[1]
        size = checked_answer_tokens(answer_tokens, default=length // WINDOW_ANSWER_SHARE, maximum=length // 2)
        super().__init__(batch, options, size)
        lengths = 1 + batch.loss.sum(axis=1)
        long_enough = lengths >= 2 * size
        places = np.maximum(lengths - size, 0)[:, None] + np.arange(size)
        endings = np.take_along_axis(batch.tokens, places, axis=1)[long_enough]
        self.endings, self.ending_of_row = np.unique(endings, axis=0, return_inverse=True)
        self.rows = np.flatnonzero(long_enough)
        self.candidates = len(self.rows)
        usable = long_enough & (len(self.endings) >= options)
        self.positions = [[length - size] if ok else [] for length, ok in zip(lengths.tolist(), usable, strict=True)]

    def distractors(self, sample: int, position: int, words: Words) -> Integers:
        documents = self.batch.labels["document"][:, 0]
        elsewhere = documents[self.rows] != documents[sample]
        others = dict.fromkeys(self.ending_of_row[np.lexsort((words, elsewhere))].tolist())
        del others[int(self.ending_of_row[np.searchsorted(self.rows, sample)])]
        return self.endings[list(others)]


def checked_answer_tokens(answer_tokens: int | None, *, default: int, maximum: int) -> int:
    """Returns `answer_tokens`, or the default if it is None.

    Raises:
        UserError: fewer than 1 token or more than `maximum`.
    """
    size = default if answer_tokens is None else answer_tokens
    if not 1 <= size <= maximum:
        raise UserError(f"answer_tokens = {size}: should be from 1 to {maximum} in this task")
    return size
