"""Choice points: samples follow the table, labels are right, and impossible samples are not confirmed."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from generators.foundation.errors import UserError
from generators.foundation.randomness import Stream, sample_keys
from generators.table import TASKS
from generators.task import Batch, shares
from generators.tasks.choice import CONSEQUENTIAL, DECIDED, FILLER, INCONSEQUENTIAL, Choice, ChoiceConfig
from tests.generators.batches import assert_samples_independent_of_batch, assert_splits_disjoint

CONFIGS = [
    ChoiceConfig(),
    ChoiceConfig(noise=0.3),
    ChoiceConfig(branching=3, alphabet_tokens=10, decides_tokens=2, spacing_tokens=5, noise=0.2, length_tokens=61),
    ChoiceConfig(consequential_points=2, inconsequential_points=3, decides_tokens=3, spacing_tokens=5, noise=0.1),
    ChoiceConfig(inconsequential_points=0, decides_tokens=1, spacing_tokens=3, source_seed=4, length_tokens=30),
]


@pytest.fixture(scope="module", params=CONFIGS, ids=["plain", "noisy", "wide alphabet", "two and three", "no controls"])
def task(request: pytest.FixtureRequest) -> Choice:
    return Choice(request.param)


@pytest.fixture(scope="module")
def batch(task: Choice) -> Batch:
    return task.batch("train", np.arange(4000))


# ---- samples


def test_the_oracle_confirms_samples_and_is_right_at_the_ceiling(task: Choice, batch: Batch) -> None:
    answers = task.oracle(batch)
    right = (answers == batch.tokens)[batch.scored]
    assert ((answers >= 0) == batch.scored).all()
    assert len(right) > 20_000
    ceiling = task.ceilings["accuracy"]["choice_seen"]
    assert abs(right.mean() - ceiling) <= 4 * np.sqrt(ceiling * (1 - ceiling) / len(right))
    assert task.confirmed(batch).all()


def test_blocks_are_decided_by_their_choice_if_it_is_consequential() -> None:
    task = Choice(ChoiceConfig())
    batch = task.batch("train", np.arange(500))
    follows: dict[str, set[str]] = {}
    for tokens in batch.tokens:
        blocks = re.findall(r"([CI]\d) (a\d) (a\d a\d a\d a\d) \1\+6 \1\+7(?: |$)", task.text(tokens))
        assert [marker for marker, _, _ in blocks] in (["C0", "I1"] * 4, ["I1", "C0"] * 4)
        for marker, option, decided in blocks:
            follows.setdefault(option if marker == "C0" else "I1", set()).add(decided)
    assert len(follows) == 8 + 1
    assert all(len(rows) == 1 for rows in follows.values())
    table = [rows.pop().split() for marker, rows in follows.items() if marker != "I1"]
    assert all(len(set(column)) == 8 for column in zip(*table, strict=True)), "any decided token reveals the choice"


def test_labels_agree_with_the_tokens(task: Choice, batch: Batch) -> None:
    classes, choice, offset = (batch.labels[name] for name in ("class", "choice", "offset"))
    assert ((classes == FILLER) == (batch.tokens >= task.alphabet)).all()
    position = np.arange(task.length)
    at_choice = (classes == CONSEQUENTIAL) | (classes == INCONSEQUENTIAL)
    assert ((offset == 0) == at_choice).all()
    assert ((choice >= 0) == (at_choice | (classes == DECIDED))).all()
    row, column = np.nonzero(classes == DECIDED)
    assert (classes[row, choice[row, column]] == CONSEQUENTIAL).all()
    assert (choice[row, column] == column - offset[row, column]).all()
    assert (choice[at_choice] == np.broadcast_to(position, choice.shape)[at_choice]).all()
    assert set(offset[classes == DECIDED]) == set(range(1, task.config.decides_tokens + 1))
    assert (batch.scored == (classes == DECIDED)).all()
    assert (batch.loss == (position > 0)).all()
    last = np.maximum.accumulate(np.where(at_choice, position, -1), axis=1)
    assert (offset == np.where(last >= 0, position - last, -1)).all()


def test_choices_of_both_kinds_are_uniform_and_independent_of_the_previous_choice(task: Choice, batch: Batch) -> None:
    options, spacing = task.config.branching, task.config.spacing_tokens
    for kind in set(batch.labels["class"][:, 1]):
        for position in (1, 1 + spacing):
            rows = batch.labels["class"][:, position] == kind
            assert chisquare(np.bincount(batch.tokens[rows, position], minlength=options)).pvalue > 1e-4
    pairs = batch.tokens[:, 1] * options + batch.tokens[:, 1 + spacing]
    assert chisquare(np.bincount(pairs, minlength=options**2)).pvalue > 1e-4


def test_a_round_has_the_points_of_the_settings_and_any_block_can_come_first(task: Choice, batch: Batch) -> None:
    config = task.config
    points = config.consequential_points + config.inconsequential_points
    heads = batch.labels["class"][:, 1 :: config.spacing_tokens][:, :points]
    assert ((heads == CONSEQUENTIAL).sum(axis=1) == config.consequential_points).all()
    assert ((heads == INCONSEQUENTIAL).sum(axis=1) == config.inconsequential_points).all()
    assert len(set(batch.tokens[:, 0])) == points


# ---- shortcuts


@pytest.mark.parametrize("config", [CONFIGS[0], ChoiceConfig(branching=4, alphabet_tokens=16)], ids=["plain", "wide"])
def test_shortcuts_score_as_the_table_predicts(config: ChoiceConfig) -> None:
    task = Choice(config)
    batch = task.batch("train", np.arange(8000))
    rows = [[option, *row] for option, row in enumerate(task.table[:-1].tolist())]
    pairs = [pair for row in rows for pair in pairwise(row)]
    letters = range(task.alphabet)
    best = sum(max(pairs.count((before, after)) for after in letters) for before in letters) / len(pairs)
    scores = task.shortcut_scores(batch)
    for name, expected in {"blind": task.ceilings["accuracy"]["choice_unseen"], "previous_token": best}.items():
        choices = 4 * len(batch)
        assert 0.1 < expected < 0.9
        assert abs(scores[name].mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / choices)


# ---- the same bytes everywhere, and no sample in two splits


def test_train_validation_and_test_share_no_sample() -> None:
    task = Choice(ChoiceConfig(branching=2, alphabet_tokens=2, decides_tokens=1, spacing_tokens=3, length_tokens=24))
    samples = assert_splits_disjoint(task, 800)
    assert len(samples["train"]) < 800, "so few samples exist that a chance overlap would be seen"
    assert (shares(task.batch("test", np.arange(800)).tokens) == 0).all()


@settings(max_examples=30, deadline=None)
@given(
    branching=st.integers(2, 9),
    decides=st.integers(1, 6),
    noise=st.sampled_from([0.0, 0.5]),
    controls=st.integers(0, 2),
    length=st.integers(80, 120),
    split=st.sampled_from(["train", "validation", "test"]),
    seed=st.integers(0, 5),
    cut=st.integers(1, 19),
)
def test_a_sample_does_not_depend_on_its_batch(
    branching: int, decides: int, noise: float, controls: int, length: int, split: str, seed: int, cut: int
) -> None:
    config = ChoiceConfig(
        branching=branching, alphabet_tokens=9, decides_tokens=decides, noise=noise, inconsequential_points=controls,
        length_tokens=length,
    )  # fmt: skip
    task = Choice(config)
    whole = assert_samples_independent_of_batch(task, split, seed, cut)
    assert task.confirmed(whole).all()
    assert whole.tokens.max() < len(task.vocabulary)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("branching", 7),
        ("decides_tokens", 3),
        ("spacing_tokens", 9),
        ("consequential_points", 2),
        ("inconsequential_points", 2),
        ("alphabet_tokens", 9),
        ("noise", 0.1),
        ("source_seed", 1),
        ("length_tokens", 63),
        ("test_samples", 9),
        ("validation_samples", 9),
    ],
)
def test_every_setting_has_an_effect(key: str, value: float) -> None:
    default, changed = Choice(ChoiceConfig()), Choice(ChoiceConfig.model_validate({key: value}))
    stream = Stream(sample_keys("the same", range(50)))
    before, after = (task.draw(stream, "train").tokens for task in (default, changed))
    assert (dict(default.splits) != dict(changed.splits)) == key.endswith("samples")
    assert np.array_equal(before, after) == key.endswith("samples")


# ---- impossible samples and settings


def test_impossible_samples_are_not_confirmed(task: Choice, batch: Batch) -> None:
    samples = batch.take(np.arange(300))
    rows, positions = np.arange(300), samples.scored.argmax(axis=1)
    for impossible_token in (len(task.vocabulary), task.alphabet, -1):
        tokens = samples.tokens.copy()
        tokens[rows, positions] = impossible_token
        assert not task.confirmed(replace(samples, tokens=tokens)).any()
    if task.config.noise == 0:
        tokens = samples.tokens.copy()
        tokens[rows, positions] = (tokens[rows, positions] + 1) % task.alphabet
        assert not task.confirmed(replace(samples, tokens=tokens)).any()
    assert not task.confirmed(replace(samples, tokens=np.roll(samples.tokens, 1, axis=1))).any()
    for name, label in samples.labels.items():
        assert not task.confirmed(replace(samples, labels={**samples.labels, name: label + 1})).any()
    assert not task.confirmed(replace(samples, scored=samples.loss)).any()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"branching": 9}, r"task.alphabet_tokens = 8: too few to distinguish 9 options; give at least 9"),
        ({"spacing_tokens": 5}, r"task.spacing_tokens = 5: .* the 4 tokens it decides .* give at least 6"),
        ({"decides_tokens": 7}, r"task.spacing_tokens = 8: .* the 7 tokens it decides .* give at least 9"),
        ({"length_tokens": 15}, r"task.length_tokens = 15: a round of 2 blocks of 8 .* give at least 16"),
        ({"spacing_tokens": 0}, r"task.spacing_tokens = 0: should be greater than or equal to 1"),
        ({"branching": 1}, r"task.branching = 1: should be greater than or equal to 2"),
        ({"decides_tokens": 0}, r"task.decides_tokens = 0: should be greater than or equal to 1"),
        ({"noise": 1.0}, r"task.noise = 1.0: should be less than 1"),
        ({"noise": -0.1}, r"task.noise = -0.1: should be greater than or equal to 0"),
        ({"consequential_points": 0}, r"task.consequential_points = 0: should be greater than or equal to 1"),
    ],
)
def test_inconsistent_settings_are_refused_in_one_sentence(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Choice(TASKS.config({"kind": "choice", **changes}, "a spec"))


def test_position_classes_agree_with_the_labels(task: Choice) -> None:
    batch = task.batch("test", np.arange(6))
    classes = task.position_classes(batch)
    assert (sum(mask.astype(int) for mask in classes.values()) == 1).all(), "each position is in one class"
    assert (classes["decided"] == batch.scored).all()
    assert (classes["consequential choice"] == (batch.labels["class"] == CONSEQUENTIAL)).all()
