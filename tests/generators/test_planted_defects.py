"""`lab data check` names answers that simple rules know, texts in two splits and samples of two seeds; sound tasks pass."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import ArrayLike

from generators.check import check_task
from generators.foundation.randomness import Integers, Stream, sample_keys
from generators.material import windows
from generators.material.bpe import train_bpe
from generators.material.documents import read_documents
from generators.material.windows import tiles
from generators.task import Batch, Mask, Task, TaskConfig
from generators.tasks.induction import Induction, InductionConfig
from generators.tasks.induction_corpus import InductionCorpus
from generators.tasks.star import Star, StarConfig
from generators.tasks.text import Text, TextConfig
from tests.generators.corpora import tales_config, text_config
from tests.generators.recall_task import KEYS, PAIRS, Recall, RecallConfig, RecallWithCeiling

STORIES = InductionConfig(length_tokens=40, test_samples=300, validation_samples=300)
GRAPHS = StarConfig(test_samples=300, validation_samples=300)


def problems_of(task: Task, count: int = 1000) -> list[str]:
    return check_task(task, count).problems


@pytest.mark.parametrize(
    "task",
    [
        Recall(RecallConfig()),
        RecallWithCeiling(RecallConfig()),
        Recall(RecallConfig(training_samples=500)),
        Induction(STORIES),
        Star(GRAPHS),
        Star(StarConfig(reversed=True, test_samples=300, validation_samples=300)),
    ],
    ids=["recall", "recall with a ceiling", "recall from a set", "induction", "star", "reversed star"],
)
def test_a_sound_task_passes(task: Task) -> None:
    assert problems_of(task) == []


# ---- answers that a simple rule knows


class SameValues(Recall):
    """Every key has the same value in all samples."""

    def values(self, stream: Stream, keys: Integers) -> Integers:
        return (keys + 3) % KEYS


class OftenSameValues(RecallWithCeiling):
    """In four samples of ten, every key has the same value."""

    def values(self, stream: Stream, keys: Integers) -> Integers:
        same = stream.uniform("same", 1) < 0.4
        return np.where(same, (keys + 3) % KEYS, super().values(stream, keys))


class SameNames(Induction):
    """The second token of every name follows from its first in all stories."""

    def draw(self, stream: Stream, split: str) -> Batch:
        return super().draw(Redirected(stream.keys, "second tokens", "first tokens"), split)


class Redirected(Stream):
    """Draws at one site what belongs to another."""

    def __init__(self, keys: Any, site: str, source: str) -> None:
        super().__init__(keys)
        self.site, self.source = site, source

    def choose(self, site: str, population: int, count: int) -> Integers:
        return super().choose(self.source if site == self.site else site, population, count)


@pytest.mark.parametrize("task", [SameValues(RecallConfig()), OftenSameValues(RecallConfig()), SameNames(STORIES)])
def test_names_that_always_lead_to_the_same_answer_are_memorisable(task: Task) -> None:
    (problem,) = problems_of(task, 3000)
    assert "the answer can be memorised: a table of training answers by the token before the answer is right" in problem


class FirstAsked(Recall):
    def asked(self, stream: Stream) -> Integers:
        return np.zeros(len(stream), np.int64)


class ThirdAskedMoreOften(RecallWithCeiling):
    def asked(self, stream: Stream) -> Integers:
        return np.where(stream.uniform("third", 1)[:, 0] < 0.2, 2, super().asked(stream))


class FrequentValue(Recall):
    """Two pairs share the value in question."""

    def values(self, stream: Stream, keys: Integers) -> Integers:
        values, rows = super().values(stream, keys), np.arange(len(stream))
        values[rows, (self.asked(stream) + 1) % PAIRS] = values[rows, self.asked(stream)]
        return values


class LastAsked(RecallWithCeiling):
    def asked(self, stream: Stream) -> Integers:
        return np.full(len(stream), PAIRS - 1)


class SortedArms(Star):
    """Prints the edges in order, the arm of the goal first."""

    def draw(self, stream: Stream, split: str) -> Batch:
        return super().draw(OrderedEdges(stream.keys), split)


class OrderedEdges(Stream):
    def choose(self, site: str, population: int, count: int) -> Integers:
        drawn = super().choose(site, population, count)
        return np.broadcast_to(np.arange(count), drawn.shape) if site == "order of edges" else drawn


class OneGraph(Star):
    """Draws the same two arms for every sample; only the goal and the order of the edges differ."""

    def draw(self, stream: Stream, split: str) -> Batch:
        return super().draw(FixedNames(stream.keys), split)


class FixedNames(Stream):
    def choose(self, site: str, population: int, count: int) -> Integers:
        if site != "names":
            return super().choose(site, population, count)
        arms = np.stack((np.arange(count), np.concatenate(([0], np.roll(np.arange(1, count), count // 2)))))
        return arms[self.integers("which arm", 2, 1)[:, 0]]


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (FirstAsked(RecallConfig()), "the answer can be copied: the token at position 1 is right at 1,000 of 1,000"),
        (ThirdAskedMoreOften(RecallConfig()), "the answer can be copied: the token at position 5 is right"),
        (FrequentValue(RecallConfig()), "the answer can be copied: the most frequent possible answer is right"),
        (LastAsked(RecallConfig()), "the shortcut 'last_value' is right at 1,000 of 1,000"),
        (SortedArms(GRAPHS), "the shortcut 'guess_a_branch' is right at 1,000 of 1,000 whole answers of train"),
        (
            SortedArms(GRAPHS),
            "the answer can be copied: the token at position 1, with a place for each further token, is",
        ),
        (OneGraph(GRAPHS), "the answer can be memorised: a table of training answers by the token 3"),
    ],
)
def test_answers_at_a_fixed_place_or_of_a_fixed_rank_can_be_copied(task: Task, sentence: str) -> None:
    assert [problem for problem in problems_of(task) if sentence in problem]


# ---- documents in two splits


class TrainingDocumentsInValidation(Text):
    """Cuts validation windows from training documents, half a window after the training windows."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        corpus = self.corpus
        self.corpus = replace(corpus, splits={**corpus.splits, "validation": corpus.splits["train"]})
        documents, places = tiles(self.corpus.splits["train"], self.length)
        self.windows["validation"] = documents[:50], np.maximum(0, places[:50] - self.length // 2)


class WindowsConfig(TaskConfig):
    kind: Literal["windows"] = "windows"
    one_text: bool


class Windows(Task):
    """Windows of 40 tokens on random texts: a text of its own for every split, or one text for all."""

    config: WindowsConfig

    def __init__(self, config: WindowsConfig) -> None:
        super().__init__(config)
        self.vocabulary = tuple("abcdefgh")
        self.length = 40
        self.splits = {"train": None, "validation": 100, "test": 100}
        self.texts = Stream(sample_keys("texts", np.arange(3))).integers("letters", 8, 20_000)

    def belongs(self, batch: Batch, split: str) -> Mask:
        return super().belongs(batch, split) if self.config.one_text else np.ones(len(batch), bool)

    def draw(self, stream: Stream, split: str) -> Batch:
        text = self.texts[0 if self.config.one_text else list(self.splits).index(split)]
        tokens = text[stream.integers("place", len(text) - self.length, 1) + np.arange(self.length)]
        later = np.broadcast_to(np.arange(self.length) > 0, tokens.shape)
        return Batch(tokens=tokens, loss=later, scored=np.zeros_like(later))

    def oracle(self, batch: Batch) -> Integers:
        return np.full(batch.tokens.shape, -1)


def test_documents_in_two_splits_are_named(text_folder: Path) -> None:
    assert problems_of(Text(text_config(text_folder))) == []
    problems = problems_of(TrainingDocumentsInValidation(text_config(text_folder)))
    assert [problem for problem in problems if "documents are in train and in validation, such as document" in problem]
    assert [problem for problem in problems if "50 validation samples occur in the training texts" in problem]


def test_tales_in_two_splits_are_named(tales_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_of(InductionCorpus(tales_config(tales_file)), 500) == []
    task = InductionCorpus(tales_config(tales_file))
    number = task.prepared.numbers["train"][0]
    monkeypatch.setitem(task.prepared.numbers, "test", [number, *task.prepared.numbers["test"][1:]])
    monkeypatch.setattr(task, "windows", {split: task._find_windows(split) for split in task.splits})
    assert f"such as document {number}; a document should belong to one split" in problems_of(task, 500)[0]


def test_windows_on_one_text_overlap_though_no_two_samples_are_equal() -> None:
    assert problems_of(Windows(WindowsConfig(one_text=False))) == []
    problems = problems_of(Windows(WindowsConfig(one_text=True)))
    assert "samples overlap train samples: they are windows on the same text" in problems[0]


@pytest.fixture
def encoders_of_all_text(text_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trains the byte-pair encoders of tasks on the documents of all splits."""
    documents = read_documents(str(text_folder))
    monkeypatch.setattr(windows, "train_bpe", lambda texts, size: train_bpe(documents.texts, size))
    windows.tokenize_documents.cache_clear()
    yield
    windows.tokenize_documents.cache_clear()


def in_pairs(folder: Path) -> Text:
    return Text(text_config(folder, tokens="bpe", vocabulary_tokens=400))


def test_a_vocabulary_of_the_training_texts_passes(text_folder: Path) -> None:
    assert problems_of(in_pairs(text_folder)) == []


@pytest.mark.usefixtures("encoders_of_all_text")
def test_a_vocabulary_learnt_from_held_out_texts_too_is_named(text_folder: Path) -> None:
    (problem,) = problems_of(in_pairs(text_folder))
    assert problem.startswith("the vocabulary is not the one that the training texts give: ")
    assert "of its tokens differ, such as" in problem


# ---- seeds that share samples


class OneSeed(Recall):
    def batch(self, split: str, indices: ArrayLike, seed: int = 0) -> Batch:
        return super().batch(split, indices)


class OneStreamForAllSeeds(Recall):
    """Numbers the samples of all seeds through, ten thousand for each."""

    def batch(self, split: str, indices: ArrayLike, seed: int = 0) -> Batch:
        return super().batch(split, np.asarray(indices) + 10_000 * seed)


class ValidationOfAnotherSeed(Recall):
    """Trains the second seed on the validation samples."""

    def batch(self, split: str, indices: ArrayLike, seed: int = 0) -> Batch:
        if split == "train" and seed == 1:
            return super().batch("validation", indices)
        return super().batch(split, indices, seed)


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (OneSeed(RecallConfig()), "2,000 of 2,000 training samples of seed 1 are also training samples of seed 0"),
        (OneStreamForAllSeeds(RecallConfig()), "32 of 2,000 training samples of seed 1 are also training samples"),
        (OneSeed(RecallConfig(training_samples=500)), "500 of 500 training samples of seed 1 are also training"),
        (ValidationOfAnotherSeed(RecallConfig()), "400 training samples of seed 1 are also validation samples"),
    ],
)
def test_seeds_that_share_samples_are_named(task: Task, sentence: str) -> None:
    assert [problem for problem in problems_of(task) if sentence in problem]


def test_seeds_may_share_samples_where_they_only_order_them_and_where_few_samples_exist(text_folder: Path) -> None:
    assert problems_of(Text(text_config(text_folder, training_samples=100))) == []
    few = Star(StarConfig(nodes=5, length=3, test_samples=1, validation_samples=1))
    assert not [problem for problem in problems_of(few) if "seed" in problem]
