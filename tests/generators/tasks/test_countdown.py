"""Countdown: one derivation each, found again by brute force, and ceilings counted over the whole domain."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from generators.check import check_task
from generators.foundation.errors import UserError
from generators.table import TASKS
from generators.task import Batch, whole_answers
from generators.tasks.countdown import Countdown, CountdownConfig
from tests.generators.batches import assert_samples_independent_of_batch, assert_splits_disjoint

SAMPLES = 5000
SMALL: dict[str, Any] = {"largest_number": 12, "largest_result": 60, "validation_samples": 50, "test_samples": 50}


@pytest.fixture(scope="module")
def task() -> Countdown:
    return Countdown(CountdownConfig())


@pytest.fixture(scope="module")
def samples(task: Countdown) -> Batch:
    return task.batch("train", np.arange(SAMPLES))


def equations(x: int, y: int, limit: int) -> Iterator[tuple[str, int]]:
    """Yields the equations about two numbers, larger first, and their results."""
    large, small = max(x, y), min(x, y)
    for sign, value in (("+", large + small), ("-", large - small), ("*", large * small), ("/", large / small)):
        if 1 <= value <= limit and value == int(value):
            yield f"{large} {sign} {small} = {int(value)}", int(value)


def derivations(numbers: tuple[int, ...], limit: int) -> dict[int, list[str]]:
    """Returns target -> all derivations from three numbers."""
    by_target = defaultdict(list)
    for place, left in enumerate(numbers):
        x, y = numbers[:place] + numbers[place + 1 :]
        for first, result in equations(x, y, limit):
            for second, target in equations(result, left, limit):
                by_target[target].append(f"{first} , {second}")
    return by_target


def small_domain() -> dict[tuple[int, ...], dict[int, str]]:
    """Returns numbers -> target -> the only derivation, for the settings `SMALL`."""
    choices = combinations(range(1, SMALL["largest_number"] + 1), 3)
    by_numbers = {numbers: derivations(numbers, SMALL["largest_result"]) for numbers in choices}
    return {
        numbers: {target: texts[0] for target, texts in by_target.items() if len(texts) == 1}
        for numbers, by_target in by_numbers.items()
    }


# ---- the domain and its ceilings


def test_the_domain_has_every_question_with_exactly_one_derivation() -> None:
    task = Countdown(CountdownConfig(**SMALL))
    rows, places = task.domain.T
    questions = zip(task.triples[rows].tolist(), task.targets[rows, places].tolist(), strict=True)
    expected = {(numbers, target) for numbers, answers in small_domain().items() for target in answers}
    assert {(tuple(numbers), target) for numbers, target in questions} == expected
    assert len(task.domain) == len(expected)


def test_ceilings_are_frequencies_counted_over_all_questions() -> None:
    """The best rule that ignores the target writes the most frequent plan, or the most frequent token of one."""
    total, whole, tokens = 0, 0, 0
    for answers in small_domain().values():
        plans = [tuple(text.split()[:3]) for text in answers.values()]
        total += len(plans)
        whole += max(Counter(plans).values(), default=0)
        for length in (1, 2, 3):
            counts: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
            for plan in plans:
                counts[plan[: length - 1]][plan[length - 1]] += 1
            tokens += sum(max(counter.values()) for counter in counts.values())
    ceilings = Countdown(CountdownConfig(**SMALL)).ceilings
    assert ceilings["exact"]["target_ignored"] == pytest.approx(whole / total)
    assert ceilings["accuracy"]["target_ignored"] == pytest.approx((5 + tokens / total) / 8)


def test_the_default_domain_has_the_numbers_of_the_module(task: Countdown) -> None:
    assert len(task.domain) == 45_097
    assert len(task.questions["train"]) == 39_532
    assert task.ceilings["exact"]["target_ignored"] == pytest.approx(0.369, abs=0.001)


# ---- samples


def test_a_sample_prints_the_question_and_its_only_derivation(task: Countdown, samples: Batch) -> None:
    for tokens in samples.tokens[:300]:
        question, answer = task.text(tokens).split(" : ")
        numbers, target = question.split(" > ")
        assert derivations(tuple(map(int, numbers.split())), 200)[int(target)] == [answer]


def test_the_oracle_confirms_samples_and_rejects_a_changed_answer(task: Countdown, samples: Batch) -> None:
    assert task.confirmed(samples.take(np.arange(1000))).all()
    some = samples.take(np.arange(50))
    for place in np.flatnonzero(some.scored[0]):
        tokens = some.tokens.copy()
        tokens[:, place] += 1
        assert not task.confirmed(replace(some, tokens=tokens)).any()


def test_the_oracle_gives_no_answer_to_a_question_with_several_derivations(task: Countdown, samples: Batch) -> None:
    text = "3 5 8 > 16 : 5 + 3 = 8 , 8 + 8 = 16"
    assert len(derivations((3, 5, 8), 200)[16]) > 1
    tokens = np.array([[task.vocabulary.index(word) for word in text.split()]])
    batch = replace(samples.take(np.arange(1)), tokens=tokens)
    assert (task.oracle(batch) == -1).all()


def test_numbers_and_operators_of_both_equations_are_scored_and_the_question_is_not(
    task: Countdown, samples: Batch
) -> None:
    words = task.text(samples.tokens[0]).split()
    classes = task.position_classes(samples)
    assert (samples.loss == (np.arange(17) >= 6)).all()
    assert [words[place] for place in np.flatnonzero(samples.loss[0] & ~samples.scored[0])] == ["=", ",", "="]
    assert np.flatnonzero(classes["equation 1"][0]).tolist() == [6, 7, 8, 10]
    assert np.flatnonzero(classes["equation 2"][0]).tolist() == [12, 13, 14, 16]


def test_questions_and_the_order_of_their_numbers_are_uniform() -> None:
    task = Countdown(CountdownConfig(**SMALL))
    batch = task.batch("train", np.arange(40 * SAMPLES // 10))
    orders = np.bincount(np.argsort(batch.tokens[:, :3], axis=1) @ [9, 3, 1], minlength=27)
    np.testing.assert_allclose(orders[orders > 0], len(batch) / 6, rtol=0.06)
    questions = np.column_stack((np.sort(batch.tokens[:, :3], axis=1), batch.tokens[:, 4]))
    counts = np.unique(questions, axis=0, return_counts=True)[1]
    mean = len(batch) / len(task.questions["train"])
    assert len(counts) == len(task.questions["train"])
    assert counts.var() == pytest.approx(mean, rel=0.25), "counts of equally likely questions are Poisson"


# ---- shortcuts


def test_a_blind_plan_scores_the_ceiling_and_is_right_after_the_plan(task: Countdown, samples: Batch) -> None:
    right = task.shortcut_scores(samples)
    blind, usual = (right[name].reshape(SAMPLES, 8) for name in ("blind_plan", "usual_plan"))
    assert blind[:, 3:].all()
    assert usual[:, 3:].all()
    ceiling = task.ceilings["exact"]["target_ignored"]
    assert whole_answers(samples, right["blind_plan"]).mean() == pytest.approx(ceiling, abs=0.035)
    frequency = task.plans.sum(axis=0).max() / len(task.domain)
    assert whole_answers(samples, right["usual_plan"]).mean() == pytest.approx(frequency, abs=0.03)
    assert usual.mean() < blind.mean() < task.ceilings["accuracy"]["target_ignored"]


@pytest.mark.parametrize("settings", [{}, {"largest_number": 30, "largest_result": 100, "operators": ("+", "-", "*")}])
def test_the_check_passes(settings: dict[str, Any]) -> None:
    result = check_task(Countdown(CountdownConfig(**{"validation_samples": 300, "test_samples": 300, **settings})), 500)
    assert result.problems == []
    assert result.repeated_within_held_out == 0


# ---- the same bytes everywhere, and no question twice


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_sample_does_not_depend_on_its_batch(task: Countdown, split: str) -> None:
    whole = assert_samples_independent_of_batch(task, split)
    assert (task.batch(split, np.arange(20), 4).tokens != whole.tokens).any()


def test_splits_share_no_question_in_any_order_of_its_numbers() -> None:
    class Ordered(Countdown):
        def batch(self, *arguments: Any) -> Batch:
            batch = super().batch(*arguments)
            tokens = batch.tokens.copy()
            tokens[:, :3].sort(axis=1)
            return replace(batch, tokens=tokens)

    task = Ordered(CountdownConfig(**SMALL))
    held_out = {split: len(task.questions[split]) for split in ("validation", "test")}
    drawn = assert_splits_disjoint(task, {"train": 20_000, **held_out})
    assert {split: len(drawn[split]) for split in held_out} == held_out
    assert sum(map(len, drawn.values())) == len(task.domain)


# ---- settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"test_samples": 3000},
            "task.test_samples = 3000: 45097 questions .* of which 2775 .* give at most 2775, or a",
        ),
        ({"operators": ["+", "-"]}, r"task.operators = \['\+', '-'\]: 0 questions have exactly one .* give all four"),
        ({"operators": ["+", "+"]}, "task.operators = .*: should not repeat a value"),
        ({"largest_number": 61}, "task.largest_number = 61: should be less than or equal to 60"),
    ],
)
def test_settings_without_enough_questions_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Countdown(TASKS.config({"kind": "countdown", **settings}, "a spec"))
