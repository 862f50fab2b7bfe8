"""`lab data check` names wrong labels, malformed arrays, masks on the wrong side and samples that do not stay the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from generators.check import check_task
from generators.foundation.randomness import Integers, Stream
from generators.table import build_task
from generators.task import Batch, Task
from generators.tasks.induction import Induction, InductionConfig
from generators.tasks.markov import Markov, MarkovConfig
from generators.tasks.text import Text
from tests.conftest import Lab
from tests.generators.corpora import text_config
from tests.generators.recall_task import Recall, RecallConfig

ANSWER = 10
COUNT = 600


def problems_of(task: Task) -> list[str]:
    return check_task(task, COUNT).problems


class Changed(Recall):
    """Recall whose training batches a function changes after they are drawn."""

    change: Any

    def batch(self, split: str, indices: ArrayLike, seed: int = 0) -> Batch:
        batch = super().batch(split, indices, seed)
        return type(self).change(batch, np.asarray(indices)) if split == "train" else batch


def changed(change: Any, base: type[Changed] = Changed) -> Task:
    """Builds a task with this change."""
    return type("ChangedRecall", (base,), {"change": staticmethod(change)})(RecallConfig())


# ---- answers and the oracle


class LabelledRecall(Changed):
    """Recall whose oracle reads the pair in question from the label."""

    def oracle(self, batch: Batch) -> Integers:
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            values = tokens[1:9:2]
            answers[row, -1] = values[batch.labels["pair"][row, -1]]
        return answers


def with_pair(number: int, samples: list[int]) -> Any:
    """Returns a change that gives some samples another label."""

    def change(batch: Batch, indices: Integers) -> Batch:
        pair = batch.labels["pair"].copy()
        pair[np.isin(indices, samples), -1] = number
        return replace(batch, labels={"pair": pair})

    return change


def test_a_label_on_which_the_oracle_raises_is_named_with_its_sample_and_position() -> None:
    (problem,) = problems_of(changed(with_pair(4, [523]), LabelledRecall))
    assert problem.startswith(
        "train: sample 523, position 10, label 'pair' = 4: the oracle raises IndexError: list index out of range "
        "(test_planted_batches.py, line "
    )
    assert "such samples" not in problem
    (problem,) = problems_of(changed(with_pair(9, list(range(COUNT))), LabelledRecall))
    assert problem.startswith("train: sample 0, position 10, label 'pair' = 9: the oracle raises IndexError")
    assert problem.endswith("(600 such samples)")
    assert problems_of(changed(lambda batch, indices: batch, LabelledRecall)) == []


class WrongDocument(Text):
    def draw(self, stream: Stream, split: str) -> Batch:
        batch = super().draw(stream, split)
        return replace(batch, labels={"document": batch.labels["document"] + (10_000 if split == "train" else 0)})


def test_a_number_of_a_document_that_does_not_exist_is_named(text_folder: Path) -> None:
    (problem,) = problems_of(WrongDocument(text_config(text_folder)))
    assert "train: sample 0, position 0, label 'document' = 100" in problem
    assert "the oracle raises IndexError: tuple index out of range (text.py, line " in problem


def with_tokens(samples: list[int], position: int, token: int) -> Any:
    """Returns a change of one token of some samples."""

    def change(batch: Batch, indices: Integers) -> Batch:
        tokens = batch.tokens.copy()
        tokens[np.isin(indices, samples), position] = token
        return replace(batch, tokens=tokens)

    return change


def test_a_token_on_which_the_oracle_raises_is_named_with_its_sample_and_position() -> None:
    (problem,) = problems_of(changed(with_tokens([7], 9, 32)))
    assert problem.startswith("train: sample 7, position 9, '?': the oracle raises ValueError: 32 is not in list (")


def test_a_wrong_answer_is_named_with_its_sample_and_position_and_the_answer_of_the_oracle() -> None:
    samples = range(0, COUNT, 60)
    (problem,) = problems_of(changed(with_tokens(list(samples), ANSWER, 16)))
    batch = Recall(RecallConfig()).batch("train", samples)
    wrong = [sample for sample, token in zip(samples, batch.tokens[:, ANSWER], strict=True) if token != 16]
    right = Recall(RecallConfig()).batch("train", wrong[:1]).tokens[0, ANSWER]
    assert problem == (
        f"train: sample {wrong[0]}, position 10: 'v0' is scored, but the oracle gives 'v{right - 16}' "
        f"({len(wrong)} such samples)"
    )


# ---- arrays and masks


def shifted(*names: str) -> Any:
    """Returns a change that moves masks one position towards the start, to the position that predicts the target."""
    return lambda batch, indices: replace(batch, **{name: np.roll(getattr(batch, name), -1, axis=1) for name in names})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (shifted("loss"), "sample 0, position 10: the token is scored, but the loss mask leaves it out"),
        (shifted("loss", "scored"), "position 9: 'k"),
        (lambda batch, _: replace(batch, scored=np.ones_like(batch.loss)), "position 0: the token is scored, but no"),
        (lambda batch, _: replace(batch, loss=batch.loss & False, scored=batch.loss & False), "leaves out every token"),
        (
            lambda batch, _: replace(batch, tokens=batch.tokens[:, 1:]),
            "tokens has the shape 500 x 10; should be 500 x 11",
        ),
        (lambda batch, _: replace(batch, loss=batch.loss[:, :-1]), "loss has the shape 500 x 10; should be 500 x 11"),
        (lambda batch, _: batch.take(np.arange(3)), "tokens has the shape 3 x 11; should be 500 x 11"),
        (
            lambda batch, _: replace(batch, labels={"pair": np.zeros(500)}),
            "labels['pair'] has the shape 500; should be",
        ),
        (lambda batch, _: replace(batch, scored=batch.scored.astype(int)), "scored has the type int64; should be bool"),
        (lambda batch, _: replace(batch, tokens=batch.tokens.astype(np.int32)), "tokens has the type int32"),
        (with_tokens([4], 2, 33), "sample 4, position 2: token 33 is outside the vocabulary of 33 tokens"),
        (with_tokens([5], 2, -1), "sample 5, position 2: token -1 is outside the vocabulary of 33 tokens"),
    ],
)
def test_malformed_batches_and_masks_on_the_wrong_side_are_named(change: Any, sentence: str) -> None:
    problems = problems_of(changed(change))
    assert [problem for problem in problems if problem.startswith("train: ") and sentence in problem], problems


class ShiftedLoss(Markov):
    def draw(self, stream: Stream, split: str) -> Batch:
        batch = super().draw(stream, split)
        return replace(batch, loss=np.roll(batch.loss, -1, axis=1))


def test_a_loss_mask_on_the_side_of_the_inputs_is_named_where_nothing_is_scored() -> None:
    config = MarkovConfig(test_samples=50, validation_samples=50)
    assert problems_of(Markov(config)) == []
    assert (
        "train: the loss mask has position 0 of every sample and the last position of none"
        in problems_of(ShiftedLoss(config))[0]
    )


# ---- samples that do not stay the same


class GlobalGenerator(Recall):
    generator = np.random.default_rng(0)

    def asked(self, stream: Stream) -> Integers:
        return self.generator.integers(4, size=len(stream))


class GeneratorOfTheBatch(Recall):
    """Draws the question by a generator that starts anew in every batch."""

    def asked(self, stream: Stream) -> Integers:
        return np.random.default_rng(0).integers(4, size=len(stream))


class GeneratorOfTheTask(Recall):
    """Chooses a secret of its own for every task object, by which it draws questions."""

    def asked(self, stream: Stream) -> Integers:
        if not hasattr(self, "secret"):
            self.secret = int(np.random.default_rng().integers(2**31))
        return stream.integers(f"asked {self.secret}", 4, 1)[:, 0]


class LengthOfTheBatch(Induction):
    """Scores nothing in the first sample of a batch."""

    def batch(self, split: str, indices: ArrayLike, seed: int = 0) -> Batch:
        batch = super().batch(split, indices, seed)
        loss = batch.loss.copy()
        loss[0, 1:5] = False
        return replace(batch, loss=loss)


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (GlobalGenerator(RecallConfig()), "when the same batch is drawn again; a batch should depend on its arguments"),
        (GeneratorOfTheBatch(RecallConfig()), "in a batch of 1; a sample should not depend on the others in its batch"),
        (
            GeneratorOfTheTask(RecallConfig()),
            "when the task is built again; a task should depend on its settings alone",
        ),
        (LengthOfTheBatch(InductionConfig(length_tokens=32)), "differs (loss)"),
    ],
)
def test_samples_that_do_not_stay_the_same_are_named(task: Task, sentence: str) -> None:
    assert [problem for problem in problems_of(task) if problem.startswith("train: ") and sentence in problem]


class RaisesLate(Recall):
    def draw(self, stream: Stream, split: str) -> Batch:
        if split == "test":
            raise KeyError("no test samples")
        return super().draw(stream, split)


def test_a_split_that_cannot_be_drawn_is_named_and_a_shortcut_that_raises_too() -> None:
    (problem,) = problems_of(RaisesLate(RecallConfig()))
    assert problem.startswith("test: drawing samples 0 to 399 raises KeyError: 'no test samples' (test_planted_batch")
    task = Recall(RecallConfig())
    task.shortcuts = {"broken": lambda batch: batch.tokens[:, [11]]}
    problem, *_ = problems_of(task)
    assert problem.startswith("trying simple rules raises IndexError: index 11 is out of bounds")


def test_the_command_prints_the_problems_and_ends_with_the_first(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    config = InductionConfig(length_tokens=41)
    monkeypatch.setattr(build_task(config), "ceilings", {"accuracy": {"nothing_read": 0.1}})
    done = lab("data", "check", "induction", "--set", "length_tokens=41", "--count", "600")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("problem: ")]
    assert len(lines) > 1
    assert (
        f"its samples failed the check: {lines[0].removeprefix('problem: ')} ({len(lines) - 1} more above)"
        in done.stderr
    )
