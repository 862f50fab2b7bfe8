"""Polynomials: the ring's laws hold, expressions are what is said of them, the answers are sympy's."""

from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import polynomial as plain

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.foundation.settings import validate
from generators.material.ring import PRIMES, add, compose, multiply, negate
from generators.table import TASKS
from generators.task import Batch
from generators.tasks.polynomial import Polynomial, PolynomialConfig

Tree = Any  # an operand as a tuple of words, or ("-", tree), or (tree, sign, tree)


@pytest.fixture(scope="module")
def task() -> Polynomial:
    return Polynomial(PolynomialConfig())


@pytest.fixture(scope="module")
def batch(task: Polynomial) -> Batch:
    return task.batch("train", np.arange(6000))


def small(**changes: Any) -> Polynomial:
    return Polynomial(PolynomialConfig(**{"validation_samples": 50, "test_samples": 50, **changes}))


def encoded(task: Polynomial, text: str) -> Integers:
    tokens = [task.vocabulary.index(word) for word in text.split()]
    return np.array([tokens + [task.padding] * (task.length - len(tokens))])


def question(task: Polynomial, tokens: Integers) -> list[str]:
    """The words of the expression, without pauses."""
    words = task.text(tokens).split()
    return [word for word in words[: words.index("=")] if word != "<pause>"]


def parsed(words: list[str], k: int) -> Tree:
    rest = deque(words)

    def argument() -> Tree:
        word = rest.popleft()
        if word == "-":
            return ("-", argument())
        if word == "(":
            inner = expression()
            assert rest.popleft() == ")"
            return inner
        return (word, *(rest.popleft() for _ in range(k - 1)))

    def expression() -> Tree:
        left = argument()
        return (left, rest.popleft(), argument()) if rest and rest[0] != ")" else left

    tree = expression()
    assert not rest
    return tree


def is_binary(tree: Tree) -> bool:
    return len(tree) == 3 and isinstance(tree[0], tuple)


def printed(tree: Tree, outermost: bool = True) -> list[str]:
    if tree[0] == "-":
        return ["-", *printed(tree[1], False)]
    if not is_binary(tree):
        return list(tree)
    inner = [*printed(tree[0], False), tree[1], *printed(tree[2], False)]
    return inner if outermost else ["(", *inner, ")"]


def signs_of(words: list[str]) -> list[str]:
    return [word for word in words if word in {"-", "+", "*", "∘"}]


def assert_equal(one: Batch, other: Batch) -> None:
    assert (one.tokens == other.tokens).all()
    assert (one.loss == other.loss).all()
    assert (one.scored == other.scored).all()
    assert (one.labels["coefficient"] == other.labels["coefficient"]).all()


# ---- the ring


@st.composite
def polynomials(draw: st.DrawFn) -> tuple[int, list[Integers]]:
    p, k = draw(st.sampled_from(PRIMES)), draw(st.integers(1, 8))
    row = st.lists(st.integers(0, p - 1), min_size=k, max_size=k)
    return p, [np.array([draw(row)]) for _ in range(3)]


@given(polynomials())
def test_products_and_compositions_are_those_of_whole_polynomials_cut_off(case: tuple[int, list[Integers]]) -> None:
    p, (f, g, _) = case
    k = f.shape[1]
    composed, power = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)
    for coefficient in f[0]:
        composed = plain.polyadd(composed, coefficient * power) % p
        power = np.rint(plain.polymul(power, g[0])).astype(np.int64) % p
    multiplied = np.rint(plain.polymul(f[0], g[0])).astype(np.int64) % p
    for mine, whole in ((multiply(f, g, p), multiplied), (compose(f, g, p), composed)):
        expected = np.zeros(k, dtype=np.int64)
        expected[: min(k, len(whole))] = whole[:k]
        assert (mine[0] == expected).all()


@given(polynomials())
def test_the_laws_of_a_commutative_ring_hold(case: tuple[int, list[Integers]]) -> None:
    p, (f, g, h) = case
    zero, one = np.zeros_like(f), np.eye(1, f.shape[1], dtype=np.int64)
    assert (add(f, g, p) == add(g, f, p)).all()
    assert (add(add(f, g, p), h, p) == add(f, add(g, h, p), p)).all()
    assert (add(f, negate(f, p), p) == zero).all()
    assert (negate(negate(f, p), p) == f).all()
    assert (multiply(f, g, p) == multiply(g, f, p)).all()
    assert (multiply(multiply(f, g, p), h, p) == multiply(f, multiply(g, h, p), p)).all()
    assert (multiply(f, add(g, h, p), p) == add(multiply(f, g, p), multiply(f, h, p), p)).all()
    assert (multiply(f, one, p) == f).all()
    assert (multiply(negate(f, p), g, p) == negate(multiply(f, g, p), p)).all()


@given(polynomials())
def test_composition_keeps_sums_always_and_products_and_itself_where_the_constant_term_is_zero(
    case: tuple[int, list[Integers]],
) -> None:
    p, (f, g, h) = case
    assert (compose(add(f, g, p), h, p) == add(compose(f, h, p), compose(g, h, p), p)).all()
    h[:, 0] = 0
    assert (compose(multiply(f, g, p), h, p) == multiply(compose(f, h, p), compose(g, h, p), p)).all()
    assert (compose(compose(f, g, p), h, p) == compose(f, compose(g, h, p), p)).all()


@given(polynomials())
def test_x_is_neutral_in_composition_and_a_constant_swallows_what_is_inside(case: tuple[int, list[Integers]]) -> None:
    p, (f, g, _) = case
    constant = f * np.eye(1, f.shape[1], dtype=np.int64)
    assert (compose(constant, g, p) == constant).all()
    if f.shape[1] > 1:
        x = np.eye(1, f.shape[1], 1, dtype=np.int64)
        assert (compose(f, x, p) == f).all()
        assert (compose(x, f, p) == f).all()


def test_composition_is_of_representatives_because_residue_classes_do_not_have_one() -> None:
    x4, x, inner = np.array([[0, 0, 0, 0, 1]]), np.array([[0, 1, 0, 0, 0]]), np.array([[1, 1, 0, 0, 0]])
    assert compose(multiply(x4, x, 7), inner, 7).tolist() == [[0, 0, 0, 0, 0]]
    fifth_power = [[1, 5, 10 % 7, 10 % 7, 5]]
    assert multiply(compose(x4, inner, 7), compose(x, inner, 7), 7).tolist() == fifth_power


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
def test_the_oracle_reads_expressions_worked_out_by_hand(task: Polynomial, text: str) -> None:
    tokens = encoded(task, text)
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
def test_the_answers_are_the_oracles(count: int, changes: dict[str, Any]) -> None:
    assert_confirmed(small(**changes), count)


@pytest.mark.slow
def test_the_answers_are_the_oracles_in_two_thousand_samples_of_each_split(task: Polynomial) -> None:
    assert_confirmed(task, 2000)


def test_the_oracle_does_not_confirm_a_wrong_coefficient(task: Polynomial, batch: Batch) -> None:
    some = batch.take(np.arange(60))
    coefficient = some.labels["coefficient"]
    tokens = np.where(coefficient == 1 + np.arange(60)[:, None] % 5, (some.tokens + 1) % 7, some.tokens)
    assert not task.confirmed(Batch(tokens=tokens, loss=some.loss, scored=some.scored, labels=some.labels)).any()


# ---- what is drawn


def test_each_test_split_has_its_number_of_operations_and_training_one_to_five_uniformly(
    task: Polynomial, batch: Batch
) -> None:
    assert list(task.splits) == ["train", "validation", *(f"test/m={m}" for m in range(1, 8))]
    assert {task.splits[f"test/m={m}"] for m in range(1, 8)} == {2000}
    for m in range(1, 8):
        drawn = task.batch(f"test/m={m}", np.arange(50))
        assert {len(signs_of(question(task, tokens))) for tokens in drawn.tokens} == {m}
    for drawn in (batch, task.batch("validation", np.arange(1500))):
        counts = np.bincount([len(signs_of(question(task, tokens))) for tokens in drawn.tokens], minlength=6)
        assert counts[0] == 0
        assert_uniform(counts[1:])


def assert_uniform(counts: Integers) -> None:
    """Each count within five standard errors of its share."""
    total, share = counts.sum(), 1 / len(counts)
    assert total > 500
    assert np.abs(counts - total * share).max() < 5 * np.sqrt(total * share * (1 - share))


def test_operators_and_coefficients_are_uniform(task: Polynomial, batch: Batch) -> None:
    words = [word for tokens in batch.tokens for word in question(task, tokens)]
    assert_uniform(np.array([words.count(sign) for sign in "-+*∘"]))
    assert_uniform(np.array([words.count(str(digit)) for digit in range(7)]))


def test_operators_are_uniform_at_every_depth_and_the_rest_is_shared_out_uniformly(task: Polynomial) -> None:
    drawn = task.batch("test/m=5", np.arange(1500))
    outermost, shares = [], []
    for tokens in drawn.tokens:
        tree = parsed(question(task, tokens), 5)
        outermost.append("-" if tree[0] == "-" else tree[1])
        if is_binary(tree):
            left, right = (len(signs_of(printed(tree[side]))) for side in (0, 2))
            assert left + right == 4
            shares.append(left)
    assert_uniform(np.array([outermost.count(sign) for sign in "-+*∘"]))
    assert_uniform(np.bincount(shares, minlength=5))


def test_expressions_have_the_brackets_they_need_and_no_other(task: Polynomial) -> None:
    nested = 0
    for tokens in task.batch("test/m=7", np.arange(300)).tokens:
        words = question(task, tokens)
        assert printed(parsed(words, 5)) == words
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
def test_no_sample_has_more_padding_than_the_longest_needs(changes: dict[str, Any], length: int) -> None:
    task = small(**changes)
    drawn = task.batch("validation" if "test_operations" in changes else "test/m=7", np.arange(400))
    assert drawn.tokens.shape == (400, length)
    assert task.length == length
    assert (drawn.tokens != task.padding).sum(axis=1).max() == length


# ---- masks and pauses


@pytest.mark.parametrize(("pause_tokens", "loss_on"), [(0, "all"), (5, "all"), (0, "answer"), (10, "answer")])
def test_loss_and_score_stand_where_the_settings_say(pause_tokens: int, loss_on: str) -> None:
    task = small(pause_tokens=pause_tokens, loss_on=loss_on)
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
        everything = [*range(1, end - pause_tokens), end, *answer]
        assert np.flatnonzero(drawn.loss[row]).tolist() == (everything if loss_on == "all" else answer)


def test_text_leaves_the_padding_out(task: Polynomial) -> None:
    tokens = encoded(task, "- 1 0 0 0 0 = 6 0 0 0 0")[0]
    assert task.text(tokens) == "- 1 0 0 0 0 = 6 0 0 0 0"


# ---- which sample is which


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
def test_a_sample_is_the_same_whatever_it_is_drawn_with(
    p: int, k: int, operations: int, training_samples: int | None, split: str, seed: int, cut: int
) -> None:
    task = small(p=p, k=k, operations_maximum=operations, test_operations=(2,), training_samples=training_samples)
    order = np.random.default_rng(cut).permutation(20)
    whole = task.batch(split, np.arange(20), seed)
    assert_equal(whole.take(order[:cut]), task.batch(split, order[:cut], seed))
    assert_equal(whole.take(order[cut:]), task.batch(split, order[cut:], seed))
    assert whole.tokens.min() >= 0
    assert whole.tokens.max() < len(task.vocabulary)
    assert (whole.tokens != task.batch(split, np.arange(20), seed + 1).tokens).any()


def test_train_validation_and_test_share_no_question() -> None:
    task = small(p=2, k=2, operations_maximum=2, test_operations=(1, 2))
    questions: dict[str, set[str]] = {}
    for split in task.splits:
        drawn = task.batch(split, np.arange(2000))
        found = {" ".join(question(task, tokens)) for tokens in drawn.tokens}
        assert len(found) < 1000, "so few questions exist that a chance overlap would be seen"
        questions.setdefault(split.partition("/")[0], set()).update(found)
    assert len(questions) == 3
    assert not questions["train"] & questions["test"]
    assert not questions["train"] & questions["validation"]
    assert not questions["validation"] & questions["test"]


def test_a_training_set_of_n_is_read_in_epochs_of_different_order_and_sets_of_different_sizes_are_nested() -> None:
    fixed, larger, fresh = small(training_samples=100), small(training_samples=250), small()
    assert fixed.splits["train"] == 100
    assert fresh.splits["train"] is None

    def rows(task: Polynomial, start: int, stop: int) -> list[bytes]:
        return [tokens.tobytes() for tokens in task.batch("train", np.arange(start, stop), seed=2).tokens]

    first, third = rows(fixed, 0, 100), rows(fixed, 200, 300)
    assert first != third
    assert set(first) == set(third) == set(rows(fresh, 0, 100))
    assert set(first) < set(rows(larger, 0, 250)) == set(rows(fresh, 0, 250))
    assert len(set(rows(fresh, 0, 300))) == 300
    held_out = [each.batch("validation", np.arange(150)).tokens for each in (fixed, fresh)]
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
def test_settings_that_are_not_of_the_question_leave_every_question_alone(changes: dict[str, Any]) -> None:
    one, other = small(), small(**changes)
    assert one.config.canonical() != other.config.canonical()
    for split in ("train", "validation", "test/m=1", "test/m=2"):
        mine, theirs = (
            [question(each, tokens) for tokens in each.batch(split, np.arange(200)).tokens] for each in (one, other)
        )
        assert sorted(mine) == sorted(theirs) if "training_samples" in changes else mine == theirs


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
def test_settings_of_the_question_change_the_questions(changes: dict[str, Any]) -> None:
    one, other = small(), small(**changes)
    for split in ("train", "test/m=3"):
        mine, theirs = (
            {" ".join(question(each, tokens)) for tokens in each.batch(split, np.arange(200)).tokens}
            for each in (one, other)
        )
        assert len(mine & theirs) < 10


# ---- the rules a score is read against


def test_zero_is_right_as_often_as_products_of_uniform_coefficients_are_zero() -> None:
    task = small(operators=("multiplication",), operations_maximum=1, test_operations=(1,))
    drawn = task.batch("train", np.arange(8000))
    right = task.shortcut_scores(drawn)["zero"].reshape(-1, 5).mean(axis=0)
    # Coefficient j of a product is a sum of j + 1 products of independent uniform coefficients.
    expected = np.array([1 / 7 + 6 / 7 * 7.0 ** -(j + 1) for j in range(5)])
    assert np.abs(right - expected).max() < 5 * np.sqrt(0.25 * 0.75 / 8000)


def test_linear_is_always_right_without_multiplication_and_composition() -> None:
    task = small(operators=("negation", "addition"))
    for split in ("train", "test/m=7"):
        assert task.shortcut_scores(task.batch(split, np.arange(1000)))["linear"].all()


@pytest.mark.parametrize("m", [1, 2, 3])
def test_linear_has_two_to_the_minus_m_of_all_samples(task: Polynomial, m: int) -> None:
    drawn = task.batch(f"test/m={m}", np.arange(2000))
    exact = task.shortcut_scores(drawn)["linear"].reshape(-1, 5).all(axis=1).mean()
    assert abs(exact - 2.0**-m) < 5 * np.sqrt(2.0**-m * (1 - 2.0**-m) / 2000)


def test_no_shortcut_has_many_samples_out_of_domain_and_none_answers_where_nothing_is_scored(task: Polynomial) -> None:
    drawn = task.batch("test/m=6", np.arange(2000))
    for name, right in task.shortcut_scores(drawn).items():
        guesses = task.shortcuts[name](drawn)
        assert ((guesses >= 0) == drawn.scored).all()
        assert right.reshape(-1, 5).all(axis=1).mean() < 0.03
        assert 1 / 7 - 0.02 < right.mean() < 0.22


# ---- what is refused


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
        ("training_samples", 0, "task.training_samples = 0: should be greater than or equal to 1"),
    ],
)
def test_settings_that_make_no_task_are_refused_with_a_sentence(key: str, value: object, sentence: str) -> None:
    with pytest.raises(UserError, match=f"^spec.toml: {sentence}"):
        validate(PolynomialConfig, {"kind": "polynomial", key: value}, "spec.toml", "task")


def test_a_range_of_operations_upside_down_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"task\.operations_minimum = 4: is above task\.operations_maximum = 3; give at most 3"
    ):
        Polynomial(PolynomialConfig(operations_minimum=4, operations_maximum=3))


def test_two_questions_are_too_few_for_three_groups() -> None:
    task = small(p=2, k=1, operators=("negation",), operations_maximum=1, test_operations=(1,))
    refusals = []
    for split in task.splits:
        try:
            assert set(task.text(task.batch(split, [0]).tokens[0])) <= set("- 01=")
        except UserError as error:
            refusals.append(str(error))
    assert refusals
    assert all("too few distinct samples for split" in refusal for refusal in refusals)


def test_the_table_of_tasks_knows_it() -> None:
    assert TASKS.config({"kind": "polynomial", "p": 5}, "a spec") == PolynomialConfig(p=5)


def test_the_first_of_several_test_splits_stands_for_test(task: Polynomial) -> None:
    assert task.test_split == "test/m=1"
