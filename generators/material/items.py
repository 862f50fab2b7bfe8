"""Items: a held-out sample posed twice, as a prompt to continue and as a choice among options by likelihood.

Multi-token prediction does not improve multiple choice in the paper (arXiv 2404.19737), but it improves generation;
items compare the two on the same prompts and answers. An item of `induction` with four options:

    prompt    once there were Ba len , Do rim , Fe gan and Ku vas . Do rim took the old lamp . soon Ku
    options   rim | vas | len | gan
    answer    vas

A task poses items if it has the method `item_source` (`generators.protocols.ItemTask`). The sources of this lab are in
`item_sources.py`:

- Names (`induction`, `induction_corpus`): the prompt ends with the first token of a name mentioned before. The answer
  is the name's second token alone: the tokens after a name are drawn independently, so scoring them would measure luck.
  Distractors are second tokens of other names in the prompt, so only the first token tells them apart. A position is
  used only if at least `options` names were mentioned before it. (In a story from the grammar with as many characters
  as options, ruling out the latest name raises the chance of a correct guess to 1/(options - 1).) Generation has to
  find the same token in the whole vocabulary.
- Text: a window is split into prompt and answer, by default its last quarter. Distractors are the answers of other
  windows, first of the same document, then of other documents of the split.

All options of an item have the length of its answer and differ from each other, and the right one is equally often at
each index. So log-likelihoods need no normalisation, and chance is 1/options. Generation is scored by exact match and
by ROUGE-L F1 (Lin 2004), which differs from it only if answers have several words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rapidfuzz.distance import Indel

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, sample_keys
from generators.protocols import ItemSource, ItemTask
from generators.task import Mask, Task

WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Items:
    """B items of k options with answers of A tokens.

    Attributes:
        prompts: int64 [B, P], left-aligned, 0 after their end.
        lengths: int64 [B], tokens of each prompt.
        answers: int64 [B, A].
        options: int64 [B, k, A], the answer among them.
        right: int64 [B], the index of the answer among the options.
    """

    prompts: Integers
    lengths: Integers
    answers: Integers
    options: Integers
    right: Integers

    def __len__(self) -> int:
        return len(self.prompts)

    def sequences(self) -> tuple[Integers, Mask]:
        """Appends every option to its prompt.

        Returns:
            int64 [B, k, P + A], and a mask of the same shape of the tokens that belong to the option. The
            log-likelihood of an option is the sum of the log-probabilities of those tokens.
        """
        options, size = self.options.shape[1:]
        tokens = np.pad(self.prompts, ((0, 0), (0, size)))[:, None].repeat(options, axis=1)
        places = (self.lengths[:, None, None] + np.arange(size)).repeat(options, axis=1)
        mask = np.zeros(tokens.shape, bool)
        np.put_along_axis(tokens, places, self.options, axis=2)
        np.put_along_axis(mask, places, True, axis=2)
        return tokens, mask


def items(
    task: Task, split: str, indices: ArrayLike | None = None, options: int = 4, answer_tokens: int | None = None
) -> Items:
    """Returns the items `indices` [B] of a held-out split, or all items: one for every sample that can be posed as an
    item.

    Pure: equal arguments give equal bytes, whatever else is drawn.

    Args:
        options: options of each item, the answer included.
        answer_tokens: tokens of an answer of a text (default: a quarter of a window); an answer that is a name always
            has 1.

    Raises:
        UserError: the task or split cannot be posed as items, `answer_tokens` is out of range, or the split has too few
            items with that many options.
    """
    kind = task.config.kind
    if not isinstance(task, ItemTask):
        raise UserError(
            f"task.kind = {kind!r}: cannot be posed as items, because the task has no method item_source; "
            "induction, induction_corpus and text have one"
        )
    held_out = {name: size for name, size in task.splits.items() if size is not None and name != "train"}
    if split not in held_out:
        raise UserError(f"split {split!r}: has no items; the splits that have are {', '.join(held_out)}")
    if options < 2:
        raise UserError(f"options = {options}: should be at least 2, the answer and one distractor")
    source = task.item_source(task.batch(split, np.arange(held_out[split])), options, answer_tokens)
    samples = np.flatnonzero([len(positions) for positions in source.positions])
    chosen = np.arange(len(samples)) if indices is None else np.asarray(indices, dtype=np.int64)
    if not len(samples) or chosen.max(initial=0) >= len(samples):
        remedies = ["fewer items"] * (len(samples) > 0) + ["fewer options"] * (options > 2)
        raise UserError(
            f"options = {options}: only {len(samples)} samples of split {split!r} of task {kind!r} have that many "
            f"different options of {source.answer_tokens} token(s); "
            + (f"ask for {' or '.join(remedies)}" if remedies else f"give the task more samples in split {split!r}")
        )
    return _draw_items(source, samples[chosen], Stream(sample_keys(f"{task.name}:{split}:items", chosen)))


def _draw_items(source: ItemSource, samples: Integers, stream: Stream) -> Items:
    """Draws one item about each of `samples` [B]."""
    tokens, size, options = source.batch.tokens, source.answer_tokens, source.options
    counts = np.array([len(source.positions[sample]) for sample in samples])
    choices = stream.integers("place", counts[:, None], 1)[:, 0]
    places = np.array([source.positions[sample][choice] for sample, choice in zip(samples, choices, strict=True)])
    right = stream.integers("right option", options, 1)[:, 0]
    words = stream.bits("distractors", source.candidates)
    answers = np.take_along_axis(tokens[samples], places[:, None] + np.arange(size), axis=1)
    mixed = np.empty((len(samples), options, size), np.int64)
    for item, (sample, place) in enumerate(zip(samples, places, strict=True)):
        wrong = source.distractors(int(sample), int(place), words[item])[: options - 1]
        mixed[item] = np.insert(wrong, right[item], answers[item], axis=0)
    prompts = tokens[samples, : tokens.shape[1] - size]
    inside = np.arange(prompts.shape[1]) < places[:, None]
    return Items(prompts=np.where(inside, prompts, 0), lengths=places, answers=answers, options=mixed, right=right)


# ---- scores, one number per item


def exact_match(generated: Integers, answers: Integers) -> Mask:
    """Compares generated tokens [B, A] with the answers [B, A]: bool [B]."""
    matches: Mask = (generated == answers).all(axis=1)
    return matches


def rouge_l(generated: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
    """Computes ROUGE-L F1 of B texts: twice the longest common subsequence of words, divided by the words of both.

    Words are those of the `rouge-score` package without stemming: runs of a to z and digits, in lower case. A text
    without words scores 0.
    """
    pairs = [
        (WORD.findall(text.lower()), WORD.findall(answer.lower()))
        for text, answer in zip(generated, answers, strict=True)
    ]
    return np.array([Indel.normalized_similarity(*pair) if all(pair) else 0.0 for pair in pairs])


def choice_accuracy(log_likelihoods: NDArray[np.floating], right: Integers) -> NDArray[np.float64]:
    """Scores choices from the log-likelihoods [B, k] of the options.

    Returns:
        float64 [B]: 1 if the right option [B] is the most likely, 1/ties if it shares the maximum, 0 otherwise.
    """
    best = log_likelihoods == log_likelihoods.max(axis=1, keepdims=True)
    hit = np.take_along_axis(best, right[:, None], axis=1)[:, 0]
    return np.where(hit, 1 / best.sum(axis=1).clip(1), 0.0)
