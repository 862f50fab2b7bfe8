"""Polynomial questions: uniform operators and operands, separate splits, and settings that do not change questions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.foundation.randomness import Integers
from generators.task import Batch
from generators.tasks.polynomial import Polynomial, PolynomialConfig
from tests.generators.batches import assert_samples_independent_of_batch
from tests.generators.tasks.expression_text import (
    expression_words,
    is_binary,
    operators_in,
    parse,
    print_words,
    small_task,
)


@pytest.fixture(scope="module")
def task() -> Polynomial:
    return Polynomial(PolynomialConfig())


@pytest.fixture(scope="module")
def batch(task: Polynomial) -> Batch:
    return task.batch("train", np.arange(6000))


# ---- distributions


def test_test_splits_have_their_number_of_operations_and_training_is_uniform_from_one_to_five(
    task: Polynomial, batch: Batch
) -> None:
    assert list(task.splits) == ["train", "validation", *(f"test/m={m}" for m in range(1, 8))]
    assert {task.splits[f"test/m={m}"] for m in range(1, 8)} == {2000}
    for m in range(1, 8):
        drawn = task.batch(f"test/m={m}", np.arange(50))
        assert {len(operators_in(expression_words(task, tokens))) for tokens in drawn.tokens} == {m}
    for drawn in (batch, task.batch("validation", np.arange(1500))):
        counts = np.bincount(
            [len(operators_in(expression_words(task, tokens))) for tokens in drawn.tokens], minlength=6
        )
        assert counts[0] == 0
        assert_uniform(counts[1:])


def assert_uniform(counts: Integers) -> None:
    """Asserts that every count is within five standard errors of an equal share."""
    total, share = counts.sum(), 1 / len(counts)
    assert total > 500
    assert np.abs(counts - total * share).max() < 5 * np.sqrt(total * share * (1 - share))


def test_operators_and_coefficients_are_uniform(task: Polynomial, batch: Batch) -> None:
    words = [word for tokens in batch.tokens for word in expression_words(task, tokens)]
    assert_uniform(np.array([words.count(sign) for sign in "-+*∘"]))
    assert_uniform(np.array([words.count(str(digit)) for digit in range(7)]))


def test_outermost_operators_are_uniform_and_the_remaining_operations_are_divided_uniformly(task: Polynomial) -> None:
    drawn = task.batch("test/m=5", np.arange(1500))
    outermost, left_counts = [], []
    for tokens in drawn.tokens:
        tree = parse(expression_words(task, tokens), 5)
        outermost.append("-" if tree[0] == "-" else tree[1])
        if is_binary(tree):
            left, right = (len(operators_in(print_words(tree[side]))) for side in (0, 2))
            assert left + right == 4
            left_counts.append(left)
    assert_uniform(np.array([outermost.count(sign) for sign in "-+*∘"]))
    assert_uniform(np.bincount(left_counts, minlength=5))


def test_expressions_have_only_the_brackets_that_they_need(task: Polynomial) -> None:
    nested = 0
    for tokens in task.batch("test/m=7", np.arange(300)).tokens:
        words = expression_words(task, tokens)
        assert print_words(parse(words, 5)) == words
        nested += "( (" in " ".join(words)
    assert nested > 50


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({}, 5 * 8 + 7 + 2 * 6 + 1 + 5),
        ({"pause_tokens": 10}, 5 * 8 + 7 + 2 * 6 + 10 + 1 + 5),
        ({"test_operations": (1,)}, 5 * 6 + 5 + 2 * 4 + 1 + 5),
        ({"operators": ("negation",), "k": 3, "p": 13}, 3 + 7 + 1 + 3),
    ],
)
def test_samples_are_padded_to_the_longest_expression(changes: dict[str, Any], length: int) -> None:
    task = small_task(**changes)
    drawn = task.batch("validation" if "test_operations" in changes else "test/m=7", np.arange(400))
    assert drawn.tokens.shape == (400, length)
    assert task.length == length
    assert (drawn.tokens != task.padding).sum(axis=1).max() == length


# ---- splits and settings


@settings(max_examples=30, deadline=None)
@given(
    p=st.sampled_from([2, 3, 7, 11]),
    k=st.integers(2, 6),
    operations=st.integers(2, 7),
    training_samples=st.none() | st.integers(1, 30),
    split=st.sampled_from(["train", "validation", "test/m=2"]),
    seed=st.integers(0, 5),
    cut=st.integers(1, 19),
)
def test_a_sample_does_not_depend_on_its_batch(
    p: int, k: int, operations: int, training_samples: int | None, split: str, seed: int, cut: int
) -> None:
    task = small_task(p=p, k=k, operations_maximum=operations, test_operations=(2,), training_samples=training_samples)
    whole = assert_samples_independent_of_batch(task, split, seed, cut)
    assert whole.tokens.min() >= 0
    assert whole.tokens.max() < len(task.vocabulary)
    assert (whole.tokens != task.batch(split, np.arange(20), seed + 1).tokens).any()


def test_train_validation_and_test_share_no_expression_words() -> None:
    task = small_task(p=2, k=2, operations_maximum=2, test_operations=(1, 2))
    questions: dict[str, set[str]] = {}
    for split in task.splits:
        drawn = task.batch(split, np.arange(2000))
        in_split = {" ".join(expression_words(task, tokens)) for tokens in drawn.tokens}
        assert len(in_split) < 1000, "so few questions exist that a chance overlap would be seen"
        questions.setdefault(split.partition("/")[0], set()).update(in_split)
    assert len(questions) == 3
    assert not questions["train"] & questions["test"]
    assert not questions["train"] & questions["validation"]
    assert not questions["validation"] & questions["test"]


def test_epochs_differ_in_order_and_training_sets_of_different_sizes_are_nested() -> None:
    fixed, larger, fresh = small_task(training_samples=100), small_task(training_samples=250), small_task()
    assert fixed.splits["train"] == 100
    assert fresh.splits["train"] is None

    def rows(task: Polynomial, start: int, stop: int) -> list[bytes]:
        return [tokens.tobytes() for tokens in task.batch("train", np.arange(start, stop), seed=2).tokens]

    first, third = rows(fixed, 0, 100), rows(fixed, 200, 300)
    assert first != third
    assert set(first) == set(third) == set(rows(fresh, 0, 100))
    assert set(first) < set(rows(larger, 0, 250)) == set(rows(fresh, 0, 250))
    assert len(set(rows(fresh, 0, 300))) == 300
    held_out = [task.batch("validation", np.arange(150)).tokens for task in (fixed, fresh)]
    assert (held_out[0] == held_out[1]).all()
    assert len({tokens.tobytes() for tokens in held_out[0]}) == 150


@pytest.mark.parametrize(
    "changes",
    [
        {"pause_tokens": 10},
        {"loss_on": "answer"},
        {"test_operations": (1, 2, 9)},
        {"training_samples": 200},
        {"validation_samples": 7, "test_samples": 7},
    ],
)
def test_settings_that_do_not_decide_the_questions_leave_them_unchanged(changes: dict[str, Any]) -> None:
    default, changed = small_task(), small_task(**changes)
    assert default.config.canonical() != changed.config.canonical()
    for split in ("train", "validation", "test/m=1", "test/m=2"):
        before, after = (
            [expression_words(task, tokens) for tokens in task.batch(split, np.arange(200)).tokens]
            for task in (default, changed)
        )
        assert sorted(before) == sorted(after) if "training_samples" in changes else before == after


@pytest.mark.parametrize(
    "changes",
    [
        {"p": 5},
        {"k": 4},
        {"operators": ("addition", "composition")},
        {"operations_minimum": 2},
        {"operations_maximum": 4},
    ],
)
def test_settings_that_decide_the_questions_change_them(changes: dict[str, Any]) -> None:
    default, changed = small_task(), small_task(**changes)
    for split in ("train", "test/m=3"):
        before, after = (
            {" ".join(expression_words(task, tokens)) for tokens in task.batch(split, np.arange(200)).tokens}
            for task in (default, changed)
        )
        assert len(before & after) < 10
