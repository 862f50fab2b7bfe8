"""Suffix sums: answers agree with sums by hand, shortcuts and optimal losses with theory, held-out samples are apart."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.table import TASKS, build_task
from generators.task import Batch, whole_answers
from generators.tasks.suffix import Suffix, SuffixConfig
from tests.generators.batches import assert_samples_independent_of_batch, assert_splits_disjoint

SAMPLES = 10_000


def small_task(p: int, k: int, **sizes: int) -> Suffix:
    """Returns a task with tiny held-out splits."""
    return Suffix(SuffixConfig(p=p, k=k, **{"validation_samples": 1, "test_samples": 1, **sizes}))


@pytest.fixture(scope="module", params=[(7, 5), (2, 14), (10, 8)], ids=str)
def task(request: pytest.FixtureRequest) -> Suffix:
    """A task with each kind of domain: listed, listed with p = 2, and too large for a list with p no prime."""
    return small_task(*request.param)


@pytest.fixture(scope="module")
def samples(task: Suffix) -> Batch:
    return task.batch("train", np.arange(SAMPLES))


def written(task: Suffix, text: str) -> Batch:
    """Returns the batch of one sample that is given as text, with its masks."""
    tokens = np.array([[task.vocabulary.index(word) for word in text.split()]])
    scored = np.arange(tokens.shape[1])[None] > text.split().index("=")
    return Batch(tokens=tokens, loss=scored, scored=scored)


# ---- samples


def test_a_sample_prints_terms_and_their_suffix_sums() -> None:
    task = small_task(7, 5)
    batch = written(task, "3 6 0 5 2 = 2 6 0 0 2")
    assert task.text(batch.tokens[0]) == "3 6 0 5 2 = 2 6 0 0 2"
    rules = {name: task.text(rule(batch)[batch.scored]) for name, rule in task.shortcuts.items()}
    assert task.text(task.oracle(batch)[batch.scored]) == "2 6 0 0 2"
    assert rules == {"subtract": "3 6 0 0 2", "copy": "3 6 0 5 2"}
    assert all((rule(batch)[~batch.scored] == -1).all() for rule in task.shortcuts.values())


def test_every_answer_is_the_sum_of_its_term_and_the_later_ones(task: Suffix, samples: Batch) -> None:
    for tokens in samples.tokens[:1000].tolist():
        before, _, after = task.text(np.array(tokens)).partition(" = ")
        terms, sums = (list(map(int, part.split())) for part in (before, after))
        assert len(terms) == len(sums) == task.config.k
        assert sums[-1] == terms[-1]
        for place in range(task.config.k - 1):
            assert (sums[place] - sums[place + 1] - terms[place]) % task.config.p == 0


def test_the_oracle_confirms_samples_and_rejects_every_changed_sum(task: Suffix, samples: Batch) -> None:
    assert task.confirmed(samples.take(np.arange(2000))).all()
    some = samples.take(np.arange(100))
    for place in range(task.config.k + 1, task.length):
        tokens = some.tokens.copy()
        tokens[:, place] = (tokens[:, place] + 1) % task.config.p
        assert not task.confirmed(replace(some, tokens=tokens)).any()


def test_loss_and_score_are_on_the_answer_alone(task: Suffix, samples: Batch) -> None:
    k = task.config.k
    assert task.length == 2 * k + 1
    assert (samples.scored == (np.arange(task.length) > k)).all()
    assert (samples.loss == samples.scored).all()
    assert (samples.labels["sum"] == [*((k + 1) * [0]), *range(1, k + 1)]).all()
    assert (samples.tokens[:, k] == task.vocabulary.index("=")).all()


def test_terms_are_uniform_and_no_term_reveals_the_first_sum(task: Suffix, samples: Batch) -> None:
    p, k = task.config.p, task.config.k
    first_sum = samples.tokens[:, k + 1]
    for place in range(k):
        pairs = np.bincount(samples.tokens[:, place] * p + first_sum, minlength=p * p)
        assert chisquare(pairs).pvalue > 1e-5, "a term and the sum of all are independent and uniform"


# ---- scores of simple rules and of perfect models


def assert_near(right: Integers, share: float) -> None:
    assert abs(right.mean() - share) < 5 * np.sqrt(share * (1 - share) / len(right))


def test_subtracting_from_the_true_sums_leaves_only_the_first_to_a_guess(task: Suffix, samples: Batch) -> None:
    p, k = task.config.p, task.config.k
    right = task.shortcut_scores(samples)["subtract"].reshape(SAMPLES, k)
    assert right[:, 1:].all()
    assert_near(right[:, 0], 1 / p)
    assert task.ceilings == {
        "accuracy": {"first_sum_guessed": pytest.approx((k - 1 + 1 / p) / k)},
        "exact": {"first_sum_guessed": pytest.approx(1 / p)},
    }
    assert right.mean() == pytest.approx(task.ceilings["accuracy"]["first_sum_guessed"], abs=5 / np.sqrt(SAMPLES) / k)


def test_copying_the_terms_is_right_at_the_last_sum_and_by_chance_at_the_others(task: Suffix, samples: Batch) -> None:
    right = task.shortcut_scores(samples)["copy"].reshape(SAMPLES, task.config.k)
    assert right[:, -1].all()
    for place in range(task.config.k - 1):
        assert_near(right[:, place], 1 / task.config.p)


def test_whole_answers_of_shortcuts_are_as_frequent_as_theory_says(task: Suffix, samples: Batch) -> None:
    """Copying the terms is right as a whole if all sums but the first are 0."""
    p, k = task.config.p, task.config.k
    right = {name: whole_answers(samples, tokens) for name, tokens in task.shortcut_scores(samples).items()}
    assert_near(right["subtract"], task.ceilings["exact"]["first_sum_guessed"])
    assert_near(right["copy"], p ** (1.0 - k))


def entropies(p: int, k: int, lag: int) -> Iterator[float]:
    """Yields the entropy of every sum given all tokens at least `lag` before it, by counting all samples."""
    rows = [(*terms, p, *(sum(terms[place:]) % p for place in range(k))) for terms in product(range(p), repeat=k)]
    for place in range(max(lag, k + 1), 2 * k + 1):
        joint = Counter((row[: place - lag + 1], row[place]) for row in rows)
        seen = Counter(row[: place - lag + 1] for row in rows)
        yield sum(count * log(seen[past] / count) for (past, _), count in joint.items()) / len(rows)


@pytest.mark.parametrize(("p", "k"), [(3, 4), (2, 6), (5, 3)])
def test_optimal_losses_are_entropies_counted_over_all_samples(p: int, k: int) -> None:
    lags = range(1, 2 * k + 1)
    known = small_task(p, k).optimal_losses(lags)
    expected = [float(np.mean(list(entropies(p, k, lag)))) for lag in lags]
    np.testing.assert_allclose(known.nats, expected, atol=1e-12)
    assert known.nats[:3] == pytest.approx([0, 0, log(p) / k])
    assert not known.error.any()


# ---- the same bytes everywhere, and no sample twice


@settings(max_examples=30, deadline=None)
@given(
    p=st.integers(4, 12),
    k=st.integers(4, 9),
    fixed=st.none() | st.integers(1, 50),
    split=st.sampled_from(["train", "validation", "test"]),
    seed=st.integers(0, 5),
    cut=st.integers(1, 19),
)
def test_a_sample_does_not_depend_on_its_batch(
    p: int, k: int, fixed: int | None, split: str, seed: int, cut: int
) -> None:
    config = SuffixConfig(p=p, k=k, training_samples=fixed, validation_samples=1, test_samples=1)
    task = build_task(config)
    whole = assert_samples_independent_of_batch(task, split, seed, cut)
    assert task.confirmed(whole).all()
    assert (whole.tokens != task.batch(split, np.arange(20), seed + 1).tokens).any()


def test_splits_divide_the_domain_and_held_out_samples_occur_once() -> None:
    task = Suffix(SuffixConfig())
    sizes = {split: len(terms) for split, terms in task.listed.items()}
    drawn = assert_splits_disjoint(task, {"train": 40_000, **sizes})
    assert {split: len(drawn[split]) for split in sizes} == sizes
    assert len(drawn["train"]) == pytest.approx(task.domain_seen(40_000) * 7**5, rel=0.01)


def test_a_seed_orders_the_held_out_samples_and_the_size_of_a_split_cuts_them() -> None:
    task, shorter = small_task(7, 4, test_samples=160), small_task(7, 4, test_samples=20)
    count = len(task.listed["test"])
    first, second = (task.batch("test", np.arange(count), seed).tokens.tolist() for seed in (0, 1))
    assert first != second
    assert sorted(first) == sorted(second)
    assert shorter.batch("test", np.arange(20)).tokens.tolist() == first[:20]
    again = task.batch("test", np.arange(count, 2 * count)).tokens.tolist()
    assert again != first, "indices beyond the list read it again in another order"
    assert sorted(again) == sorted(first)


def test_a_split_of_a_large_domain_repeats_a_sixteenth_at_its_largest_size() -> None:
    task = small_task(2, 18, test_samples=2048)
    assert not task.listed
    drawn = task.batch("test", np.arange(2048)).tokens
    assert 2048 - len(np.unique(drawn, axis=0)) == pytest.approx(2048 / 16, rel=0.3)
    assert_splits_disjoint(task, 2048)


def test_every_epoch_reads_the_whole_training_set_in_a_different_order() -> None:
    task = small_task(7, 8, training_samples=40)
    first, second = (task.batch("train", np.arange(40) + 40 * epoch).tokens.tolist() for epoch in (0, 1))
    assert len({tuple(row) for row in first}) == 40
    assert sorted(first) == sorted(second)
    assert first != second


# ---- the share of the domain that training sees


@pytest.mark.parametrize(("p", "k", "count"), [(7, 4, 3000), (8, 6, 30_000)])
def test_training_sees_the_expected_share_of_the_domain(p: int, k: int, count: int) -> None:
    task = small_task(p, k)
    seen = len(np.unique(task.batch("train", np.arange(count)).tokens[:, :k], axis=0)) / task.domain
    assert task.domain_seen(count) == pytest.approx(seen, rel=0.03)


def test_a_run_of_3000_steps_sees_the_numbers_of_the_module() -> None:
    tasks = [small_task(7, k) for k in (4, 5, 6, 7)]
    assert [round(task.domain_seen(192_000) * task.domain) for task in tasks] == [2097, 14722, 86983, 168550]
    assert [round(task.domain_seen(10**9) * task.domain) for task in tasks] == [2097, 14722, 102914, 720600]
    assert [round(100 * task.domain_seen(192_000)) for task in tasks] == [87, 88, 74, 20]


# ---- settings


@pytest.mark.parametrize(
    ("changes", "room", "larger"), [({"k": 4}, 137, 5), ({"k": 7, "validation_samples": 10**6}, 6433, 10)]
)
def test_a_held_out_split_larger_than_its_share_of_the_domain_is_refused(
    changes: dict[str, int], room: int, larger: int
) -> None:
    with pytest.raises(UserError, match=rf"task.validation_samples = \d+: .* give at most {room}, or a larger task.k"):
        Suffix(SuffixConfig(**changes))
    sizes = {"validation_samples": room, "test_samples": 1}
    assert Suffix(SuffixConfig(**{**changes, **sizes})).splits == {"train": None, "validation": room, "test": 1}
    Suffix(SuffixConfig(**{**changes, "k": larger}))


def test_a_domain_of_which_a_held_out_split_has_no_sample_is_refused() -> None:
    with pytest.raises(UserError, match=r"there are 4 samples .* has room for 0; give a larger task.k$"):
        small_task(2, 2)


@pytest.mark.parametrize(
    ("key", "value", "bound"),
    [
        ("p", 1, "greater"),
        ("p", 98, "less"),
        ("k", 1, "greater"),
        ("k", 33, "less"),
        ("training_samples", 0, "greater"),
    ],
)
def test_settings_out_of_bounds_are_refused_with_their_key(key: str, value: int, bound: str) -> None:
    with pytest.raises(UserError, match=f"a spec: task.{key} = {value}: should be {bound} than or equal to"):
        TASKS.config({"kind": "suffix", key: value}, "a spec")


@pytest.mark.parametrize(("key", "value"), [("p", 11), ("k", 6)])
def test_each_setting_of_the_sums_changes_the_samples(key: str, value: int) -> None:
    default, changed = Suffix(SuffixConfig()), Suffix(TASKS.config({"kind": "suffix", key: value}, "a spec"))
    assert default.name != changed.name
    assert default.vocabulary != changed.vocabulary or default.length != changed.length
