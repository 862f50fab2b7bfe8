"""The same held-out items posed twice: to be generated, and to be chosen among options by likelihood.

Multiple choice does not gain from multi-token prediction in the paper (arXiv 2404.19737), generation does; this puts
both side by side on equal prompts and answers. An item of `induction` with four options:

    prompt    once there were Ba len , Do rim , Fe gan and Ku vas . Do rim took the old lamp . soon Ku
    options   rim | vas | len | gan
    answer    vas

- Names (`induction`, `induction_corpus`): the prompt ends in the first token of a name that was told before, the
  answer is its second token and nothing more, for what follows a name is drawn anew and would score luck. The
  distractors are second tokens of other names of the prompt, so the choice is made by matching the first token; only
  places are asked about before which `options` names were told. (In a grammar's story with as many characters as
  options, elimination of the latest name leaves 1/(options - 1) to a guess.) To generate is to find the same token in
  the whole vocabulary.
- Text: a window is parted into prompt and answer, by default its last quarter. Distractors are the answers of other
  windows, of the same document first and then of other documents of the split.

The options of an item are as long as its answer and differ from each other, and the right one stands at each place
equally often; so likelihoods are compared as they are, and chance is 1/options. Generation is scored by exact match
and by ROUGE-L F1 (Lin 2004), which adds to it only where answers have several words.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rapidfuzz.distance import Indel

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, Words, sample_keys
from generators.task import Batch, Mask, Task

TEXT_ANSWER_SHARE = 4
WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Items:
    """B items of k options.

    prompts: int64 [B, P], from the left, 0 behind their end; lengths: int64 [B], tokens of each prompt;
    answers: int64 [B, A]; options: int64 [B, k, A], one of them the answer; right: int64 [B], which one.
    """

    prompts: Integers
    lengths: Integers
    answers: Integers
    options: Integers
    right: Integers

    def __len__(self) -> int:
        return len(self.prompts)

    def posed(self) -> tuple[Integers, Mask]:
        """Each option behind its prompt [B, k, P + A], and where it stands there: bool of the same shape.

        The log-likelihood of an option is the sum of the log-probabilities of its tokens.
        """
        options, size = self.options.shape[1:]
        tokens = np.pad(self.prompts, ((0, 0), (0, size)))[:, None].repeat(options, axis=1)
        places = (self.lengths[:, None, None] + np.arange(size)).repeat(options, axis=1)
        mask = np.zeros(tokens.shape, bool)
        np.put_along_axis(tokens, places, self.options, axis=2)
        np.put_along_axis(mask, places, True, axis=2)
        return tokens, mask


class Posing(ABC):
    """How the samples of a split are asked about.

    Args:
        batch: the whole split.
        options: of each item.
        size: tokens of an answer.
    """

    places: list[list[int]]
    """Of each sample, where an answer may begin; [] in one that cannot be asked about."""
    candidates: int
    """The most distractors an item may have to choose from."""

    def __init__(self, batch: Batch, options: int, size: int) -> None:
        self.batch, self.options, self.size = batch, options, size

    @abstractmethod
    def distractors(self, row: int, place: int, words: Words) -> Integers:
        """At least `options` - 1 different answers [n, A] that are wrong at this place, in order of preference.

        Args:
            words: random [candidates].
        """


class Names(Posing):
    """The second token of a name told before, among those of other names told before."""

    def __init__(self, batch: Batch, options: int, size: int) -> None:
        super().__init__(batch, options, size)
        self.candidates = batch.tokens.shape[1]
        told = ((batch.labels["mention"] > 0) & ~batch.scored).cumsum(axis=1)  # names, by their first mention
        self.places = [np.flatnonzero(usable).tolist() for usable in batch.scored & (told >= options)]

    def distractors(self, row: int, place: int, words: Words) -> Integers:
        before = self.batch.tokens[row, :place][self.batch.labels["mention"][row, :place] > 0]
        others = np.setdiff1d(before, self.batch.tokens[row, place])
        return others[np.argsort(words[: len(others)]), None]


class Stretches(Posing):
    """The end of a window, among the ends of other windows."""

    def __init__(self, batch: Batch, options: int, size: int) -> None:
        super().__init__(batch, options, size)
        lengths = 1 + batch.loss.sum(axis=1)
        whole = lengths >= 2 * size
        ends = np.maximum(lengths - size, 0)[:, None] + np.arange(size)
        stretches = np.take_along_axis(batch.tokens, ends, axis=1)[whole]
        self.pool, self.ends = np.unique(stretches, axis=0, return_inverse=True)
        self.rows = np.flatnonzero(whole)
        self.candidates = len(self.rows)
        usable = whole & (len(self.pool) >= options)
        self.places = [[length - size] if more else [] for length, more in zip(lengths.tolist(), usable, strict=True)]

    def distractors(self, row: int, place: int, words: Words) -> Integers:
        documents = self.batch.labels["document"][:, 0]
        elsewhere = documents[self.rows] != documents[row]
        others = dict.fromkeys(self.ends[np.lexsort((words, elsewhere))].tolist())
        del others[int(self.ends[np.searchsorted(self.rows, row)])]
        return self.pool[list(others)]


POSINGS: dict[str, type[Posing]] = {"induction": Names, "induction_corpus": Names, "text": Stretches}


def items(
    task: Task, split: str, indices: ArrayLike | None = None, options: int = 4, answer_tokens: int | None = None
) -> Items:
    """Items `indices` [B] of a held-out split, or all: one about each sample that can be asked about.

    Pure: the same bytes for the same arguments, whatever else is drawn.

    Args:
        answer_tokens: of a text; a name has one.

    Raises:
        UserError: the task or split has no items, or not so many, or none with so many options or so long an answer.
    """
    kind = task.config.kind
    if kind not in POSINGS:
        raise UserError(f"task.kind = {kind!r}: has no items; the tasks that have are {', '.join(POSINGS)}")
    held_out = {name: size for name, size in task.splits.items() if size is not None and name != "train"}
    if split not in held_out:
        raise UserError(f"split {split!r}: has no items; the splits that have are {', '.join(held_out)}")
    if options < 2:
        raise UserError(f"options = {options}: should be at least 2, the answer and something to mistake for it")
    pose = POSINGS[kind]
    longest, usual = (1, 1) if pose is Names else (task.length // 2, task.length // TEXT_ANSWER_SHARE)
    size = usual if answer_tokens is None else answer_tokens
    if not 1 <= size <= longest:
        raise UserError(f"answer_tokens = {size}: should be from 1 to {longest} in task {kind!r}")
    posing = pose(task.batch(split, np.arange(held_out[split])), options, size)
    rows = np.flatnonzero([len(places) for places in posing.places])
    wanted = np.arange(len(rows)) if indices is None else np.asarray(indices, dtype=np.int64)
    if not len(rows) or wanted.max(initial=0) >= len(rows):
        raise UserError(
            f"options = {options}: {len(rows)} samples of split {split!r} of task {kind!r} have so many different ones "
            f"of {size} token(s); ask for fewer items, or give fewer options"
        )
    return _asked(posing, rows[wanted], Stream(sample_keys(f"{task.name}:{split}:items", wanted)))


def _asked(posing: Posing, rows: Integers, stream: Stream) -> Items:
    """One item about each of `rows` [B]."""
    tokens, size, options = posing.batch.tokens, posing.size, posing.options
    counts = np.array([len(posing.places[row]) for row in rows])
    which = stream.integers("place", counts[:, None], 1)[:, 0]
    places = np.array([posing.places[row][one] for row, one in zip(rows, which, strict=True)])
    right = stream.integers("right option", options, 1)[:, 0]
    words = stream.bits("distractors", posing.candidates)
    answers = np.take_along_axis(tokens[rows], places[:, None] + np.arange(size), axis=1)
    chosen = np.empty((len(rows), options, size), np.int64)
    for item, (row, place) in enumerate(zip(rows, places, strict=True)):
        wrong = posing.distractors(int(row), int(place), words[item])[: options - 1]
        chosen[item] = np.insert(wrong, right[item], answers[item], axis=0)
    prompts = tokens[rows, : tokens.shape[1] - size]
    inside = np.arange(prompts.shape[1]) < places[:, None]
    return Items(prompts=np.where(inside, prompts, 0), lengths=places, answers=answers, options=chosen, right=right)


# ---- scores, one number an item


def exact_match(generated: Integers, answers: Integers) -> Mask:
    """Which of the token sequences [B, A] are the answers [B, A]: bool [B]."""
    matches: Mask = (generated == answers).all(axis=1)
    return matches


def rouge_l(generated: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
    """ROUGE-L F1 of each text [B]: twice the longest common subsequence of words, over the words of both.

    Words are as in the `rouge-score` package without stemming: runs of a to z and digits, in lower case. A text
    without any scores 0.
    """
    pairs = [
        (WORD.findall(one.lower()), WORD.findall(other.lower())) for one, other in zip(generated, answers, strict=True)
    ]
    return np.array([Indel.normalized_similarity(one, other) if one and other else 0.0 for one, other in pairs])


def choice_accuracy(log_likelihoods: NDArray[np.floating], right: Integers) -> NDArray[np.float64]:
    """1 where the right option [B] has the greatest log-likelihood [B, k], 1/ties where it shares it, else 0: [B]."""
    best = log_likelihoods == log_likelihoods.max(axis=1, keepdims=True)
    hit = np.take_along_axis(best, right[:, None], axis=1)[:, 0]
    return np.where(hit, 1 / best.sum(axis=1).clip(1), 0.0)
