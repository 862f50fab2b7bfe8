"""Satisfiability: one solution each, all instances equally likely, shortcuts as strong as counting says."""

from collections import Counter
from dataclasses import replace
from itertools import combinations, product
from math import comb, log10
from typing import Any

import numpy as np
import pytest

from generators.check import check_task
from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.table import TASKS
from generators.task import Batch, whole_answers
from generators.tasks.satisfiability import Satisfiability, SatisfiabilityConfig
from tests.generators.batches import assert_samples_independent_of_batch, assert_splits_disjoint

SAMPLES = 5000
SIZES: dict[str, Any] = {"validation_samples": 100, "test_samples": 100}


@pytest.fixture(scope="module")
def task() -> Satisfiability:
    return Satisfiability(SatisfiabilityConfig())


@pytest.fixture(scope="module")
def samples(task: Satisfiability) -> Batch:
    return task.batch("train", np.arange(SAMPLES))


def solutions(text: str, variables: int) -> list[str]:
    """Returns the assignments that satisfy every printed clause, as literals in order."""
    clauses = [set(clause.split()) for clause in text.partition(" = ")[0].split(" | ")]
    literals = ((str(n), str(-n)) for n in range(1, variables + 1))
    return [" ".join(answer) for answer in product(*literals) if all(clause & set(answer) for clause in clauses)]


# ---- counts over all sets of clauses of 4 variables, seen from the solution that they have


def relative_clauses() -> tuple[Integers, Integers]:
    """Returns the 28 clauses that a planted assignment satisfies.

    Returns:
        The other 15 assignments that each falsifies, as bits [28]; and 1, -1 or 0 [28] if variable 1 is in the clause
        with its true literal, with its false one, or not at all.
    """
    falsified, polarity = [], []
    for variables in combinations(range(4), 3):
        for true in set(product((0, 1), repeat=3)) - {(0, 0, 0)}:
            wrong = [n for n in range(1, 16) if all((n >> v) & 1 == t for v, t in zip(variables, true, strict=True))]
            falsified.append(sum(1 << (n - 1) for n in wrong))
            polarity.append(2 * true[0] - 1 if variables[0] == 0 else 0)
    return np.array(falsified), np.array(polarity)


def sets_with_one_solution(clauses: int) -> Counter[tuple[int, int]]:
    """Counts the sets of clauses that falsify all other assignments, by inclusion and exclusion over those left over.

    Returns:
        The number of sets by how often they contain the true and the false literal of variable 1.
    """
    falsified, polarity = relative_clauses()
    left_over = np.arange(2**15)
    signs = 1 - 2 * (np.array([number.bit_count() for number in left_over.tolist()]) % 2)
    allowed = (left_over[:, None] & falsified) == 0
    kinds = np.stack([allowed[:, polarity == kind].sum(axis=1) for kind in (1, -1, 0)], axis=1)
    terms, inverse = np.unique(kinds, axis=0, return_inverse=True)
    weights = np.bincount(inverse.reshape(-1), signs).astype(int).tolist()
    counts: Counter[tuple[int, int]] = Counter()
    for (true, false, absent), weight in zip(terms.tolist(), weights, strict=True):
        for a, b in product(range(true + 1), range(false + 1)):
            if a + b <= clauses:
                counts[a, b] += weight * comb(true, a) * comb(false, b) * comb(absent, clauses - a - b)
    return counts


def test_the_accepted_share_and_the_domain_are_those_of_counting(task: Satisfiability) -> None:
    sets = sum(sets_with_one_solution(16).values())
    assert 16 * sets == 264_766_512
    assert task.accepted == pytest.approx(sets / comb(28, 16), abs=0.04)
    assert task.domain == pytest.approx(16 * sets, rel=0.08)


def test_the_majority_is_right_as_often_as_counting_says(task: Satisfiability, samples: Batch) -> None:
    counts = sets_with_one_solution(16)
    expected = sum(count * (a > b or (a == b) / 2) for (a, b), count in counts.items()) / sum(counts.values())
    right = task.shortcut_scores(samples)["majority"].mean()
    assert right == pytest.approx(expected, abs=0.015)
    assert expected == pytest.approx(0.779, abs=0.001)


# ---- samples


def test_every_instance_has_the_printed_solution_and_no_other(task: Satisfiability, samples: Batch) -> None:
    for tokens in samples.tokens[:200]:
        text = task.text(tokens)
        assert solutions(text, 4) == [text.partition(" = ")[2]]


def test_clauses_are_different_and_each_has_three_different_variables(task: Satisfiability, samples: Batch) -> None:
    for tokens in samples.tokens[:200]:
        clauses = task.text(tokens).partition(" = ")[0].split(" | ")
        assert len(set(clauses)) == len(clauses) == 16
        assert all(len({abs(int(word)) for word in clause.split()}) == 3 for clause in clauses)


def test_solutions_and_clauses_are_uniform(task: Satisfiability, samples: Batch) -> None:
    """Flipping or exchanging variables leaves the distribution unchanged, so all solutions and clauses are equal."""
    answers = np.unique(samples.tokens[:, task.answer :], axis=0, return_counts=True)[1]
    assert len(answers) == 16
    np.testing.assert_allclose(answers, SAMPLES / 16, atol=5 * np.sqrt(SAMPLES / 16))
    clauses = np.bincount(task._clause_codes(samples.tokens).reshape(-1), minlength=32)
    np.testing.assert_allclose(clauses, SAMPLES / 2, atol=5 * np.sqrt(SAMPLES / 4))
    first = np.bincount(task._clause_codes(samples.tokens)[:, 0], minlength=32)
    np.testing.assert_allclose(first, SAMPLES / 32, atol=5 * np.sqrt(SAMPLES / 32))


def test_the_oracle_confirms_samples_and_rejects_a_changed_answer(task: Satisfiability, samples: Batch) -> None:
    assert task.confirmed(samples.take(np.arange(1000))).all()
    some = samples.take(np.arange(50))
    for place in range(task.answer, task.length):
        tokens = some.tokens.copy()
        tokens[:, place] ^= 1
        assert not task.confirmed(replace(some, tokens=tokens)).any()


def test_the_oracle_gives_no_answer_if_a_second_assignment_satisfies_the_clauses(
    task: Satisfiability, samples: Batch
) -> None:
    some = samples.take(np.arange(50))
    tokens = some.tokens.copy()
    tokens[:, 4 : task.answer] = np.tile(tokens[:, :4], 15)  # one clause, sixteen times
    tokens[:, task.answer - 1] = samples.tokens[0, task.answer - 1]
    assert (task.oracle(replace(some, tokens=tokens)) == -1).all()


def test_loss_and_score_are_on_the_answer_alone(task: Satisfiability, samples: Batch) -> None:
    assert task.length == 68
    assert (samples.scored == (np.arange(68) >= 64)).all()
    assert (samples.loss == samples.scored).all()
    assert (samples.labels["variable"][:, 64:] == [1, 2, 3, 4]).all()


# ---- shortcuts


def test_a_unit_clause_decides_a_variable() -> None:
    task = Satisfiability(SatisfiabilityConfig())
    text = "1 2 3 | -1 -2 -4 | " + " | ".join(["1 2 -4"] * 14) + " = -1 -2 3 -4"
    tokens = np.array([[task.vocabulary.index(word) for word in text.split()]])
    batch = Batch(tokens=tokens, loss=tokens < 0, scored=np.arange(68)[None] >= 64)
    rules = {name: task.text(rule(batch)[batch.scored]) for name, rule in task.shortcuts.items()}
    assert rules == {"unit_clauses": "1 2 3 -4", "majority": "1 2 3 -4"}
    flipped = replace(batch, tokens=np.where(np.arange(68) == 64, tokens ^ 1, tokens))
    assert task.text(task.unit_clauses(flipped)[batch.scored]) == "1 2 3 -4"
    only = replace(batch, tokens=np.where(tokens == task.vocabulary.index("-4"), 6, tokens))
    assert task.text(task.majority(only)[batch.scored]) == "1 2 3 4"


def test_unit_clauses_are_always_right_at_the_last_variable(task: Satisfiability, samples: Batch) -> None:
    right = task.shortcut_scores(samples)
    units, majority = (right[name].reshape(SAMPLES, 4).mean(axis=0) for name in ("unit_clauses", "majority"))
    assert units[-1] == 1
    assert (units[:2] == majority[:2]).all(), "no clause is a unit before two variables are known"
    assert units[2] > majority[2]


def test_the_ceilings_are_just_above_the_scores_of_unit_clauses(task: Satisfiability, samples: Batch) -> None:
    right = task.shortcut_scores(samples)["unit_clauses"]
    scores = {"accuracy": right.mean(), "exact": whole_answers(samples, right).mean()}
    for score, share in scores.items():
        assert share < task.ceilings[score]["units_seen"] < share + 0.06
    assert scores["exact"] < 0.52


@pytest.mark.parametrize(("variables", "clauses"), [(4, 14), (5, 30)])
def test_the_check_passes(variables: int, clauses: int | None) -> None:
    task = Satisfiability(SatisfiabilityConfig(variables=variables, clauses=clauses, **SIZES))
    result = check_task(task, 200)
    assert result.problems == []
    assert result.repeated_within_held_out == 0


# ---- the same bytes everywhere, and no set of clauses twice


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_sample_does_not_depend_on_its_batch(task: Satisfiability, split: str) -> None:
    whole = assert_samples_independent_of_batch(task, split)
    assert (task.batch(split, np.arange(20), 4).tokens != whole.tokens).any(axis=1).all()


def test_splits_share_no_sample_and_no_order_of_its_clauses(task: Satisfiability) -> None:
    assert_splits_disjoint(task, 500)
    batch = task.batch("test", np.arange(200))
    clauses = batch.tokens[:, : task.answer].reshape(200, 16, 4)
    for order in (np.arange(16)[::-1], np.roll(np.arange(16), 5)):
        tokens = batch.tokens.copy()
        tokens[:, : task.answer].reshape(200, 16, 4)[:, :, :3] = clauses[:, order, :3]
        assert (tokens != batch.tokens).any(axis=1).all()
        assert task.belongs(replace(batch, tokens=tokens), "test").all()


# ---- settings


def test_default_clauses_are_those_of_the_module() -> None:
    tasks = [Satisfiability(SatisfiabilityConfig(variables=variables)) for variables in (4, 5, 7)]
    assert [task.clauses for task in tasks] == [16, 41, 45]
    assert [100 * task.accepted for task in tasks] == pytest.approx([54, 98, 65], abs=4)
    assert [log10(task.domain) > 20 for task in tasks] == [False, True, True]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"clauses": 29}, "task.clauses = 29: an assignment of 4 variables satisfies 28 different clauses; give fewer"),
        ({"clauses": 9}, "task.clauses = 9: hardly any instance of 4 variables has exactly one solution; give more"),
        ({"clauses": 25}, "task.clauses = 25: only 5.... sets of that many clauses of 4 variables have .* give fewer"),
        ({"variables": 3}, "task.variables = 3: should be greater than or equal to 4"),
    ],
)
def test_settings_without_enough_instances_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Satisfiability(TASKS.config({"kind": "satisfiability", **settings}, "a spec"))
