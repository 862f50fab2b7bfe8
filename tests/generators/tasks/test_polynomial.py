"""Polynomial arithmetic: answers agree with an independent oracle, masks with the settings, shortcuts with theory."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from generators.foundation.errors import UserError
from generators.foundation.settings import validate
from generators.table import TASKS
from generators.task import Batch
from generators.tasks.polynomial import Polynomial, PolynomialConfig
from tests.generators.tasks.expression_text import encode, small_task


@pytest.fixture(scope="module")
def task() -> Polynomial:
    return Polynomial(PolynomialConfig())


# ---- the oracle


@pytest.mark.parametrize(
    "text",
    [
        "( 1 0 2 0 0 + 0 1 0 0 0 ) ∘ 3 1 0 0 0 = 1 6 2 0 0",
        "0 0 1 0 0 ∘ 1 1 0 0 0 = 1 2 1 0 0",
        "- - 3 0 1 6 2 = 3 0 1 6 2",
        "- ( 1 1 0 0 0 * - 1 1 0 0 0 ) = 1 2 1 0 0",
        "0 0 0 1 0 * 0 0 1 0 0 = 0 0 0 0 0",
        "0 0 0 0 1 ∘ ( 1 0 0 0 0 + 0 1 0 0 0 ) = 1 4 6 4 1",
        "6 0 0 0 0 + 6 0 0 0 3 = 5 0 0 0 3",
    ],
)
def test_the_oracle_solves_expressions_worked_out_by_hand(task: Polynomial, text: str) -> None:
    tokens = encode(task, text)
    scored = np.arange(task.length) >= text.split().index("=") + 1
    scored &= tokens[0] != task.padding
    answers = task.oracle(Batch(tokens=tokens, loss=scored[None], scored=scored[None]))
    assert (answers == np.where(scored, tokens, -1)).all()
    assert scored.sum() == 5


def assert_confirmed(task: Polynomial, count: int) -> None:
    for split in task.splits:
        drawn = task.batch(split, np.arange(count))
        assert (drawn.scored.sum(axis=1) == task.config.k).all()
        assert task.confirmed(drawn).all(), split


@pytest.mark.parametrize(
    ("count", "changes"),
    [
        (40, {}),
        (20, {"pause_tokens": 5, "loss_on": "answer"}),
        (20, {"p": 2, "k": 3}),
        (20, {"p": 97, "k": 1}),
        (10, {"p": 5, "k": 9, "operators": ("composition", "negation")}),
        (20, {"operators": ("multiplication",)}),
        (20, {"operators": ("negation",)}),
        (4, {"operations_minimum": 16, "operations_maximum": 16, "test_operations": (16,)}),
    ],
)
def test_answers_agree_with_the_oracle(count: int, changes: dict[str, Any]) -> None:
    assert_confirmed(small_task(**changes), count)


@pytest.mark.slow
def test_answers_agree_with_the_oracle_in_two_thousand_samples_of_each_split(task: Polynomial) -> None:
    assert_confirmed(task, 2000)


def test_the_oracle_does_not_confirm_a_wrong_coefficient(task: Polynomial) -> None:
    batch = task.batch("train", np.arange(60))
    is_changed = batch.labels["coefficient"] == 1 + np.arange(60)[:, None] % 5
    tokens = np.where(is_changed, (batch.tokens + 1) % 7, batch.tokens)
    assert not task.confirmed(replace(batch, tokens=tokens)).any()


# ---- masks and pauses


@pytest.mark.parametrize(("pause_tokens", "loss_on"), [(0, "all"), (5, "all"), (0, "answer"), (10, "answer")])
def test_loss_and_scored_masks_follow_the_settings(pause_tokens: int, loss_on: str) -> None:
    task = small_task(pause_tokens=pause_tokens, loss_on=loss_on)
    drawn = task.batch("train", np.arange(300))
    for row, tokens in enumerate(drawn.tokens):
        words = [task.vocabulary[token] for token in tokens]
        end = words.index("=")
        assert words.count("<pause>") == words[end - pause_tokens : end].count("<pause>") == pause_tokens
        answer = list(range(end + 1, end + 6))
        assert set(words[end + 6 :]) <= {"<pad>"}
        assert np.flatnonzero(drawn.scored[row]).tolist() == answer
        assert drawn.labels["coefficient"][row, answer].tolist() == [1, 2, 3, 4, 5]
        assert drawn.labels["coefficient"][row].sum() == 15
        all_targets = [*range(1, end - pause_tokens), end, *answer]
        assert np.flatnonzero(drawn.loss[row]).tolist() == (all_targets if loss_on == "all" else answer)


def test_text_has_no_padding(task: Polynomial) -> None:
    tokens = encode(task, "- 1 0 0 0 0 = 6 0 0 0 0")[0]
    assert task.text(tokens) == "- 1 0 0 0 0 = 6 0 0 0 0"


# ---- shortcuts


def test_zero_is_right_as_often_as_a_coefficient_of_a_product_is_zero() -> None:
    task = small_task(operators=("multiplication",), operations_maximum=1, test_operations=(1,))
    drawn = task.batch("train", np.arange(8000))
    right = task.shortcut_scores(drawn)["zero"].reshape(-1, 5).mean(axis=0)
    # Coefficient j of a product is a sum of j + 1 products of independent uniform coefficients.
    expected = np.array([1 / 7 + 6 / 7 * 7.0 ** -(j + 1) for j in range(5)])
    assert np.abs(right - expected).max() < 5 * np.sqrt(0.25 * 0.75 / 8000)


def test_linear_is_always_right_without_multiplication_and_composition() -> None:
    task = small_task(operators=("negation", "addition"))
    for split in ("train", "test/m=7"):
        assert task.shortcut_scores(task.batch(split, np.arange(1000)))["linear"].all()


@pytest.mark.parametrize("m", [1, 2, 3])
def test_linear_solves_two_to_the_minus_m_of_the_samples(task: Polynomial, m: int) -> None:
    drawn = task.batch(f"test/m={m}", np.arange(2000))
    exact = task.shortcut_scores(drawn)["linear"].reshape(-1, 5).all(axis=1).mean()
    assert abs(exact - 2.0**-m) < 5 * np.sqrt(2.0**-m * (1 - 2.0**-m) / 2000)


def test_shortcuts_fail_out_of_domain_and_guess_only_at_scored_tokens(task: Polynomial) -> None:
    drawn = task.batch("test/m=6", np.arange(2000))
    for name, right in task.shortcut_scores(drawn).items():
        guesses = task.shortcuts[name](drawn)
        assert ((guesses >= 0) == drawn.scored).all()
        assert right.reshape(-1, 5).all(axis=1).mean() < 0.03
        assert 1 / 7 - 0.02 < right.mean() < 0.22


# ---- errors


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("p", 8, "task.p = 8: is not a prime; the nearest are 7 and 11"),
        ("p", 91, "task.p = 91: is not a prime; the nearest are 89 and 97"),
        ("p", 1, "task.p = 1: should be greater than or equal to 2"),
        ("k", 0, "task.k = 0: should be greater than or equal to 1"),
        ("operators", [], r"task.operators = \[\]: .* at least 1 item"),
        ("operators", ["negation", "negation"], "task.operators = .*: should not repeat a value"),
        ("operators", ["subtraction"], "task.operators.0 = \"subtraction\": should be 'negation', 'addition'"),
        ("test_operations", [], r"task.test_operations = \[\]: .* at least 1 item"),
        ("test_operations", [2, 2], "task.test_operations = .*: should not repeat a value"),
        ("test_operations", [0], "task.test_operations.0 = 0: should be greater than or equal to 1"),
        ("operations_maximum", 17, "task.operations_maximum = 17: should be less than or equal to 16"),
        ("loss_on", "result", "task.loss_on = \"result\": should be 'all' or 'answer'"),
        ("test_samples", 0, "task.test_samples = 0: should be greater than or equal to 1"),
        ("training_samples", 0, "task.training_samples = 0: should be greater than or equal to 1"),
    ],
)
def test_invalid_settings_are_refused_in_one_sentence(key: str, value: object, sentence: str) -> None:
    with pytest.raises(UserError, match=f"^spec.toml: {sentence}"):
        validate(PolynomialConfig, {"kind": "polynomial", key: value}, "spec.toml", "task")


def test_a_minimum_of_operations_above_the_maximum_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"task\.operations_minimum = 4: is above task\.operations_maximum = 3; give at most 3"
    ):
        Polynomial(PolynomialConfig(operations_minimum=4, operations_maximum=3))


def test_two_questions_are_too_few_for_three_groups_of_splits() -> None:
    task = small_task(p=2, k=1, operators=("negation",), operations_maximum=1, test_operations=(1,))
    errors = []
    for split in task.splits:
        try:
            assert set(task.text(task.batch(split, [0]).tokens[0])) <= set("- 01=")
        except UserError as error:
            errors.append(str(error))
    assert errors
    assert all("too few distinct samples for split" in error for error in errors)


def test_the_table_of_tasks_builds_its_settings() -> None:
    assert TASKS.config({"kind": "polynomial", "p": 5}, "a spec") == PolynomialConfig(p=5)


def test_the_test_split_is_the_first_of_several(task: Polynomial) -> None:
    assert task.test_split == "test/m=1"
