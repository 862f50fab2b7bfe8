"""Tasks that support a protocol keep what it promises, and tasks of other packages can support it too."""

from typing import Literal

import numpy as np
import pytest

from generators.foundation.randomness import Integers, Stream, Words
from generators.material.items import items
from generators.protocols import (
    ChoicePointTask,
    ItemSource,
    ItemTask,
    KnownDistribution,
    KnownInformation,
    KnownLosses,
    KnownPairs,
    LearntVocabulary,
)
from generators.task import Batch, Task, TaskConfig
from generators.tasks.choice import Choice, ChoiceConfig
from generators.tasks.group import Group, GroupConfig
from generators.tasks.induction import Induction, InductionConfig
from generators.tasks.markov import Markov, MarkovConfig
from generators.tasks.star import Star, StarConfig
from generators.tasks.suffix import Suffix, SuffixConfig


class DigitsConfig(TaskConfig):
    kind: Literal["digits"] = "digits"


class DigitItems(ItemSource):
    """Asks for the last digit; every other digit is a distractor."""

    def __init__(self, batch: Batch, options: int, answer_tokens: int | None) -> None:
        super().__init__(batch, options, 1 if answer_tokens is None else answer_tokens)
        self.positions = [[batch.tokens.shape[1] - 1]] * len(batch)
        self.candidates = 10

    def distractors(self, sample: int, position: int, words: Words) -> Integers:
        order = np.argsort(words)
        return order[order != self.batch.tokens[sample, position], None]


class Digits(Task):
    """A task that knows nothing of the tables of this lab: five random digits, then the first of them again."""

    config: DigitsConfig

    def __init__(self, config: DigitsConfig) -> None:
        super().__init__(config)
        self.vocabulary = tuple("0123456789")
        self.length = 6
        self.splits = {"train": None, "validation": 20, "test": 30}

    def draw(self, stream: Stream, split: str) -> Batch:
        digits = stream.integers("digits", 10, 5)
        tokens = np.concatenate((digits, digits[:, :1]), axis=1)
        last = np.arange(6)[None].repeat(len(stream), axis=0) == 5
        return Batch(tokens=tokens, loss=last, scored=last.copy())

    def oracle(self, batch: Batch) -> Integers:
        return np.where(batch.scored, batch.tokens[:, :1], -1)

    def item_source(self, batch: Batch, options: int, answer_tokens: int | None) -> DigitItems:
        return DigitItems(batch, options, answer_tokens)


def test_a_task_in_no_table_poses_items_once_it_has_an_item_source() -> None:
    task = Digits(DigitsConfig())
    assert isinstance(task, ItemTask)
    questions = items(task, "test", options=10)
    assert len(questions) == 30
    assert (questions.answers[:, 0] == questions.prompts[:, 0]).all()
    assert (np.sort(questions.options[:, :, 0], axis=1) == np.arange(10)).all()


ABILITIES = {
    ItemTask: {"induction"},
    ChoicePointTask: {"choice"},
    KnownDistribution: {"choice", "markov"},
    KnownLosses: {"choice", "markov", "suffix", "group"},
    KnownPairs: {"markov"},
    KnownInformation: {"markov"},
    LearntVocabulary: set(),
}


@pytest.mark.parametrize("ability", ABILITIES, ids=lambda ability: ability.__name__)
def test_each_ability_belongs_to_the_tasks_that_can_keep_its_promise(ability: type) -> None:
    tasks = (
        Induction(InductionConfig()),
        Choice(ChoiceConfig()),
        Markov(MarkovConfig()),
        Star(StarConfig()),
        Suffix(SuffixConfig()),
        Group(GroupConfig()),
    )
    assert {task.config.kind for task in tasks if isinstance(task, ability)} == ABILITIES[ability]


@pytest.fixture(scope="module")
def choice() -> Choice:
    return Choice(ChoiceConfig(noise=0.2, decides_tokens=3, spacing_tokens=7, consequential_points=2))


def test_choice_points_agree_with_the_position_classes_of_the_same_names(choice: Choice) -> None:
    batch = choice.batch("test", np.arange(50))
    points, classes = choice.choice_points(batch), choice.position_classes(batch)
    assert (points.consequential == classes["consequential choice"]).all()
    assert (points.inconsequential == classes["inconsequential choice"]).all()
    assert (points.decided == classes["decided"]).all()
    assert points.consequential.any(axis=1).all()


def test_a_choice_decides_itself_and_the_tokens_that_follow_it(choice: Choice) -> None:
    batch = choice.batch("test", np.arange(50))
    points = choice.choice_points(batch)
    position = np.arange(choice.length)[None].repeat(50, axis=0)
    choices = points.consequential | points.inconsequential
    assert (points.choice[choices] == position[choices]).all()
    assert (points.offset[choices] == 0).all()
    assert (points.choice[~choices & ~points.decided] == -1).all()
    distance = (position - points.choice)[points.decided]
    assert (distance == points.offset[points.decided]).all()
    assert set(distance.tolist()) == set(range(1, points.decides_tokens + 1))
    starts = [np.flatnonzero(row) for row in choices]
    assert {step for places in starts for step in np.diff(places).tolist()} == {points.spacing_tokens}


@pytest.mark.parametrize("lag", [1, 2, 4])
def test_the_optimal_loss_of_choices_is_the_entropy_of_the_known_distribution(choice: Choice, lag: int) -> None:
    batch = choice.batch("test", np.arange(20))
    p = choice.distribution(batch, lag)
    entropy = -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=2)
    np.testing.assert_allclose(choice.optimal_loss(batch, lag)[:, lag:], entropy[:, lag:], atol=1e-12)
