"""Word problems of groups: products agree with sympy's, scores of rules and optimal losses with theory."""

from dataclasses import replace
from itertools import product
from math import log
from typing import Any

import numpy as np
import pytest
from sympy.combinatorics import Permutation
from sympy.combinatorics.named_groups import AlternatingGroup, SymmetricGroup

from generators.check import check_task
from generators.foundation.errors import UserError
from generators.table import TASKS
from generators.task import Batch, whole_answers
from generators.tasks.group import Group, GroupConfig
from tests.generators.batches import assert_samples_independent_of_batch, assert_splits_disjoint

SAMPLES = 5000
GROUPS = {"S3": SymmetricGroup(3), "A4": AlternatingGroup(4), "A5": AlternatingGroup(5)}
COMMUTATORS = {name: group.derived_subgroup().order() for name, group in GROUPS.items()}


def small_task(**settings: Any) -> Group:
    """Returns a task with small held-out splits."""
    sizes = {"validation_samples": 50, "test_samples": 100}
    return Group(GroupConfig(**{"length": 6, "test_lengths": (6, 12), **sizes, **settings}))


CASES = [("S3", "every"), ("S3", "last"), ("A4", "every"), ("A5", "last")]


@pytest.fixture(scope="module", params=CASES, ids=str)
def task(request: pytest.FixtureRequest) -> Group:
    name, products = request.param
    return small_task(group=name, products=products)


@pytest.fixture(scope="module")
def samples(task: Group) -> Batch:
    return task.batch("train", np.arange(SAMPLES))


def permutation(word: str) -> Permutation:
    return Permutation([int(image) - 1 for image in word])


def running_products(words: list[str]) -> list[str]:
    """Returns the running products of permutations by sympy, whose product applies its first factor first."""
    products, value = [], Permutation(len(words[0]) - 1)
    for word in words:
        value = value * permutation(word)
        products.append("".join(str(image + 1) for image in value.array_form))
    return products


def test_the_elements_are_those_of_the_group(task: Group) -> None:
    elements = {permutation(word) for word in task.vocabulary[: task.order]}
    assert elements == set(GROUPS[task.config.group].elements)


def test_products_are_those_of_sympy(task: Group, samples: Batch) -> None:
    for tokens in samples.tokens[:200]:
        words = task.text(tokens).split()
        if task.config.products == "every":
            assert words[1::2] == running_products(words[::2])
        else:
            assert words[-1] == running_products(words[:-1])[-1]


def test_the_oracle_confirms_samples_and_rejects_every_changed_token(task: Group, samples: Batch) -> None:
    assert task.confirmed(samples.take(np.arange(500))).all()
    assert task.confirmed(task.batch("test/length=12", np.arange(50))).all()
    some = samples.take(np.arange(50))
    for place in range(12 if task.every else 1):
        tokens = some.tokens.copy()
        tokens[:, place] = (tokens[:, place] + 1) % task.order
        assert not task.confirmed(replace(some, tokens=tokens)).any()


def test_only_products_are_scored_and_trained_on(task: Group, samples: Batch) -> None:
    assert (samples.loss == samples.scored).all()
    assert (samples.scored == (samples.labels["product"] > 0)).all()
    counts = samples.scored.sum(axis=1)
    assert set(counts.tolist()) == {6 if task.every else 1}
    lengths = np.bincount(samples.labels["product"].max(axis=1), minlength=7)[1:]
    expected = [0, 0, 0, 0, 0, SAMPLES] if task.every else [SAMPLES / 6] * 6
    np.testing.assert_allclose(lengths, expected, atol=5 * np.sqrt(SAMPLES))


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("products", ["every", "last"])
def test_the_quotient_rule_scores_its_ceilings(name: str, products: str) -> None:
    task = small_task(group=name, products=products)
    batch = task.batch("train", np.arange(SAMPLES))
    right = task.shortcut_scores(batch)["quotient"]
    subgroup = COMMUTATORS[name]
    accuracy = (1 + 5 / subgroup) / 6
    exact = subgroup**-5.0 if products == "every" else accuracy
    assert task.ceilings["accuracy"]["quotient_known"] == pytest.approx(accuracy)
    assert task.ceilings["exact"]["quotient_known"] == pytest.approx(exact)
    assert right.mean() == pytest.approx(accuracy, abs=0.04)
    assert whole_answers(batch, right).mean() == pytest.approx(exact, abs=0.04)


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_optimal_losses_are_entropies_counted_over_all_words(lag: int) -> None:
    """Every product is uniform given the tokens at least two before it, and certain given the token before it."""
    task = small_task()
    elements = np.array(list(product(range(6), repeat=3)))
    products = elements.copy()
    for place in (1, 2):
        products[:, place] = task.table[products[:, place - 1], elements[:, place]]
    tokens = np.stack((elements, products), axis=2).reshape(len(elements), -1)
    for place in range(max(lag, 1) | 1, 6, 2):
        seen = tokens[:, : place - lag + 1]
        past, counts = np.unique(seen, axis=0, return_counts=True)
        pairs = np.unique(np.column_stack((seen, tokens[:, place])), axis=0, return_counts=True)[1]
        entropy = (counts @ np.log(counts) - pairs @ np.log(pairs)) / len(tokens)
        assert len(past) == 6 ** ((place - lag + 2) // 2)
        assert entropy == pytest.approx(task.optimal_losses([lag]).nats[0], abs=1e-12)
    assert task.optimal_losses([1, 2, 9]).nats == pytest.approx([0, log(6), log(6)])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_samples_depend_neither_on_their_batch_nor_on_the_tested_lengths(task: Group, split: str) -> None:
    whole = assert_samples_independent_of_batch(task, split)
    padded = Group(task.config.model_copy(update={"test_lengths": (20,)}))
    assert [padded.text(tokens) for tokens in padded.batch(split, np.arange(20), 3).tokens] == [
        task.text(tokens) for tokens in whole.tokens
    ]
    assert (task.batch(split, np.arange(20), 4).tokens != whole.tokens).any()


def test_splits_share_no_word(task: Group) -> None:
    assert_splits_disjoint(task, 2000)


@pytest.mark.parametrize(("name", "products"), CASES)
def test_the_check_passes(name: str, products: str) -> None:
    result = check_task(
        small_task(group=name, products=products, length=8, test_lengths=(8, 16), test_samples=200), 500
    )
    assert result.problems == []
    assert result.repeated_within_held_out == 0


def test_a_held_out_split_larger_than_its_share_of_the_words_is_refused() -> None:
    with pytest.raises(UserError, match=r"task.validation_samples = 51: .* room for 10; give .* a larger task.length"):
        small_task(length=4, validation_samples=51)
    with pytest.raises(UserError, match=r"task.test_samples = 100: there are 36 words .* a larger task.test_lengths"):
        small_task(test_lengths=(2,))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"group": "S5"}, "task.group = \"S5\": should be 'S3', 'A4' or 'A5'"),
        ({"length": 1}, "task.length = 1: should be greater than or equal to 2"),
        ({"test_lengths": [6, 6]}, "task.test_lengths = .*: should not repeat a value"),
    ],
)
def test_wrong_settings_are_refused_with_their_key(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        TASKS.config({"kind": "group", **settings}, "a spec")
