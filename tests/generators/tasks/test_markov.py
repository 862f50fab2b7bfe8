"""Markov sources: samples follow the transition and emission, splits are disjoint, and bad settings are refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.foundation.errors import UserError
from generators.foundation.randomness import Stream, sample_keys
from generators.table import TASKS
from generators.task import Batch, shares
from generators.tasks.markov import Markov, MarkovConfig
from tests.generators.batches import assert_samples_independent_of_batch, assert_splits_disjoint

CONFIGS = {
    "plain": MarkovConfig(),
    "lagged": MarkovConfig(lag_tokens=5, length_tokens=62),
    "grouped": MarkovConfig(hidden_states=4),
    "hidden": MarkovConfig(hidden_states=8, blur=0.25, memory=0.9),
}


@pytest.fixture(scope="module", params=list(CONFIGS))
def task(request: pytest.FixtureRequest) -> Markov:
    return Markov(CONFIGS[request.param])


@pytest.fixture(scope="module")
def batch(task: Markov) -> Batch:
    return task.batch("train", np.arange(4000))


def test_a_state_is_followed_by_its_successor_with_the_right_frequency(task: Markov, batch: Batch) -> None:
    lag, memory = task.config.lag_tokens, task.config.memory
    state = batch.labels["state"]
    is_successor = state[:, lag:] == (state[:, :-lag] + 1) % task.states
    expected = memory + (1 - memory) * float(task.stationary @ np.roll(task.fresh, -1))
    assert abs(is_successor.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / is_successor.size)
    fresh = state[:, lag:][~is_successor]
    assert len(np.unique(fresh)) == task.states


def test_a_token_belongs_to_its_state_with_the_right_frequency(task: Markov, batch: Batch) -> None:
    matches = batch.tokens % task.states == batch.labels["state"]
    expected = 1 - task.config.blur * (1 - 1 / task.states)
    assert abs(matches.mean() - expected) <= 4 * np.sqrt(expected * (1 - expected) / matches.size)
    frequencies = np.bincount((batch.tokens // task.states)[matches]) / matches.sum()
    assert len(frequencies) == len(task.vocabulary) // task.states
    assert (abs(frequencies - 1 / len(frequencies)) < 4 * np.sqrt(1 / matches.sum())).all()


def test_nothing_is_scored_and_every_token_but_the_first_carries_loss(task: Markov, batch: Batch) -> None:
    assert not batch.scored.any()
    assert (task.oracle(batch) == -1).all()
    assert (batch.loss == (np.arange(task.length) > 0)).all()


def test_samples_are_confirmed_and_impossible_or_implausible_ones_are_not(task: Markov, batch: Batch) -> None:
    assert task.confirmed(batch).all()
    foreign = batch.tokens.copy()
    foreign[::2, 7] = len(task.vocabulary)
    assert (task.confirmed(replace(batch, tokens=foreign)) == (np.arange(len(batch)) % 2 == 1)).all()
    backwards = batch.tokens[:, ::-1]
    reversed_batch = replace(batch, tokens=backwards, labels={"state": backwards % task.states})
    assert task.confirmed(reversed_batch).mean() < 0.01
    assert not task.confirmed(replace(batch, scored=batch.loss)).any()
    if not task.hidden:
        wrong_states = (batch.labels["state"] + 1) % task.states
        assert not task.confirmed(replace(batch, labels={"state": wrong_states})).any()


# ---- the same bytes everywhere, and no sample in two splits


def test_train_validation_and_test_share_no_sample() -> None:
    task = Markov(MarkovConfig(vocabulary_tokens=2, memory=0.0, length_tokens=46))
    counts = {"train": 20_000, "validation": 3000, "test": 3000}
    assert_splits_disjoint(task, counts)
    undivided = {
        split: {row.tobytes() for row in task.draw(Stream(sample_keys(split, range(count))), split).tokens}
        for split, count in counts.items()
    }
    assert len(undivided["train"] & (undivided["test"] | undivided["validation"])) > 10, "chance overlaps would be seen"
    assert (shares(task.batch("test", np.arange(3000)).tokens) == 0).all()


@settings(max_examples=30, deadline=None)
@given(
    states=st.sampled_from([2, 3, 4, 6, 12]),
    memory=st.floats(0, 0.7),
    blur=st.sampled_from([0.0, 0.3]),
    lag=st.integers(1, 4),
    length=st.integers(60, 90),
    split=st.sampled_from(["train", "validation", "test"]),
    seed=st.integers(0, 5),
    cut=st.integers(1, 19),
)
def test_a_sample_does_not_depend_on_its_batch(
    states: int, memory: float, blur: float, lag: int, length: int, split: str, seed: int, cut: int
) -> None:
    config = MarkovConfig(
        vocabulary_tokens=12, hidden_states=states, memory=memory, blur=blur, lag_tokens=lag, length_tokens=length
    )
    task = Markov(config)
    whole = assert_samples_independent_of_batch(task, split, seed, cut)
    assert task.confirmed(whole).all()
    assert 0 <= whole.tokens.min() <= whole.tokens.max() < len(task.vocabulary)
    assert np.allclose(task.distribution(whole, 1 + cut % 5).sum(axis=2), 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vocabulary_tokens", 8),
        ("memory", 0.7),
        ("lag_tokens", 2),
        ("hidden_states", 8),
        ("blur", 0.1),
        ("source_seed", 1),
        ("length_tokens", 63),
        ("test_samples", 9),
        ("validation_samples", 9),
    ],
)
def test_every_setting_has_an_effect(key: str, value: float) -> None:
    default, changed = Markov(MarkovConfig()), Markov(MarkovConfig.model_validate({key: value}))
    stream = Stream(sample_keys("the same", range(50)))
    before, after = (task.draw(stream, "train").tokens for task in (default, changed))
    assert (dict(default.splits) != dict(changed.splits)) == key.endswith("samples")
    assert np.array_equal(before, after) == key.endswith("samples")


# ---- errors


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden_states": 5}, r"task.hidden_states = 5: 16 tokens cannot be divided evenly .* give a divisor"),
        ({"hidden_states": 32}, r"task.hidden_states = 32: 16 tokens cannot be divided evenly"),
        ({"lag_tokens": 64}, r"task.lag_tokens = 64: not shorter than a sample of 64 tokens; give at most 63"),
        (
            {"memory": 0.97},
            r"task.length_tokens = 64: with task.memory = 0.97 samples repeat .* give at least \d+",
        ),
        ({"memory": 0.9999}, r"task.memory = 0.9999: samples repeat too often even at 4096 tokens"),
        ({"memory": 1.0}, r"task.memory = 1.0: should be less than 1"),
        ({"blur": -0.5}, r"task.blur = -0.5: should be greater than or equal to 0"),
        ({"blur": 1.0}, r"task.blur = 1.0: should be less than 1"),
        ({"hidden_states": 1}, r"task.hidden_states = 1: should be greater than or equal to 2"),
        ({"vocabulary_tokens": 1}, r"task.vocabulary_tokens = 1: should be greater than or equal to 2"),
        ({"lag_tokens": 0}, r"task.lag_tokens = 0: should be greater than or equal to 1"),
    ],
)
def test_inconsistent_settings_are_refused_in_one_sentence(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Markov(TASKS.config({"kind": "markov", **changes}, "a spec"))


@pytest.mark.parametrize("config", [{"vocabulary_tokens": 2, "memory": 0.0}, {"vocabulary_tokens": 3, "memory": 0.7}])
def test_the_least_length_that_an_error_names_is_the_first_with_rare_repeats(config: dict[str, float]) -> None:
    with pytest.raises(UserError, match="give at least") as raised:
        Markov(MarkovConfig.model_validate({**config, "length_tokens": 8}))
    shortest = int(str(raised.value).rpartition(" ")[2])
    task = Markov(MarkovConfig.model_validate({**config, "length_tokens": shortest}))

    def repeat_probability(length: int) -> float:
        """Returns the probability that two samples are equal: the sum of the squared probabilities of all samples."""
        return float(task.stationary**2 @ np.linalg.matrix_power(task.transition**2, length - 1).sum(axis=1))

    assert repeat_probability(shortest) <= 1e-6 < repeat_probability(shortest - 1)
