"""Markov sources: every published entropy is met by counting, by enumerating sequences, or by a bound that must hold."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from generators.foundation.randomness import Integers
from generators.material.entropy import Floats, entropy
from generators.task import Batch
from generators.tasks.markov import Markov, MarkovConfig

TOKENS = 1_000_000
LAGS = [1, 2, 3, 4]
NEARLY_MEMORYLESS = MarkovConfig(vocabulary_tokens=8, memory=0.05)
MEDIUM = MarkovConfig(vocabulary_tokens=8, memory=0.6)
LONG_RANGE = MarkovConfig(vocabulary_tokens=8, memory=0.95, length_tokens=256)
GROUPED = MarkovConfig(vocabulary_tokens=12, hidden_states=4, memory=0.7)
LAGGED = MarkovConfig(vocabulary_tokens=8, memory=0.8, lag_tokens=3)
HIDDEN = MarkovConfig(vocabulary_tokens=8, memory=0.9, blur=0.3)
TOPICS = MarkovConfig(vocabulary_tokens=12, hidden_states=3, memory=0.9, blur=0.2)
LAGGED_HIDDEN = MarkovConfig(vocabulary_tokens=6, memory=0.9, lag_tokens=2, blur=0.2)
BINARY_HIDDEN = MarkovConfig(vocabulary_tokens=2, memory=0.7, blur=0.2)
EVERY = [NEARLY_MEMORYLESS, MEDIUM, LONG_RANGE, GROUPED, LAGGED, HIDDEN, TOPICS, LAGGED_HIDDEN, BINARY_HIDDEN]
NAMES = [
    "memoryless",
    "medium",
    "long-range",
    "grouped",
    "lagged",
    "hidden",
    "topics",
    "lagged-hidden",
    "binary-hidden",
]

every_source = pytest.mark.parametrize("config", EVERY, ids=NAMES)


def within(found: Floats, expected: float, errors: float = 3.0, also: float = 0.0) -> bool:
    """Whether the mean of independent numbers [N] is within some standard errors of what is expected."""
    error = np.hypot(found.std(ddof=1) / np.sqrt(len(found)), also)
    return bool(abs(found.mean() - expected) <= errors * error + 1e-12)


# ---- counted in a million tokens


@pytest.mark.parametrize("config", [NEARLY_MEMORYLESS, MEDIUM, LONG_RANGE, GROUPED], ids=NAMES[:4])
def test_entropies_counted_in_a_million_tokens_are_the_closed_forms(config: MarkovConfig) -> None:
    task = Markov(config)
    tokens = task.batch("train", np.arange(TOKENS // task.length)).tokens
    known = task.entropies(LAGS)
    assert (known.error == 0).all()
    for lag, expected in zip(LAGS, known.nats, strict=True):
        before, after = tokens[:, :-lag], tokens[:, lag:]
        counts = np.zeros((config.vocabulary_tokens, config.vocabulary_tokens))
        np.add.at(counts, (before, after), 1)
        shares = counts / counts.sum(axis=1, keepdims=True)
        surprise = -np.log(shares[before, after]).mean(axis=1)
        assert within(surprise, expected)


@pytest.mark.parametrize("config", [NEARLY_MEMORYLESS, MEDIUM, LONG_RANGE], ids=NAMES[:3])
def test_information_counted_in_a_million_tokens_is_the_closed_form(config: MarkovConfig) -> None:
    task = Markov(config)
    tokens = task.batch("train", np.arange(TOKENS // task.length)).tokens
    size = config.vocabulary_tokens
    triples = tokens[:, :-2], tokens[:, 1:-1], tokens[:, 2:]
    counts = np.zeros((size, size, size))
    np.add.at(counts, triples, 1)
    joint = counts / counts.sum(axis=(1, 2), keepdims=True)
    apart = joint.sum(axis=2, keepdims=True) * joint.sum(axis=1, keepdims=True)
    told = (np.log(joint[triples]) - np.log(apart[triples])).mean(axis=1)
    # What counts show of independent tokens: a chi-square of as many degrees of freedom, over twice the number counted.
    told -= size * (size - 1) ** 2 / (2 * counts.sum())
    assert within(told, task.information().mutual)


@every_source
def test_samples_lose_on_average_what_a_perfect_model_would(config: MarkovConfig) -> None:
    task = Markov(config)
    lags = [1, 2, 3, 5]
    batch = task.batch("train", np.arange(2000))
    known = task.optimal_losses(lags)
    assert ((known.error > 0) == task.hidden).all()
    for lag, expected, error in zip(lags, known.nats, known.error, strict=True):
        chance = np.take_along_axis(task.distribution(batch, lag), batch.tokens[:, :, None], axis=2)[:, lag:, 0]
        assert within(-np.log(chance).mean(axis=1), expected, 3.5, float(error))


@every_source
def test_every_position_has_the_stationary_frequencies(config: MarkovConfig) -> None:
    task = Markov(config)
    tokens = task.batch("train", np.arange(10_000)).tokens
    assert np.isclose(task.stationary.sum(), 1)
    assert np.allclose(task.stationary @ task.transition, task.stationary, atol=1e-14)
    expected = task.stationary @ task.emission
    for place in (0, 1, task.length - 1):
        counts = np.bincount(tokens[:, place], minlength=len(expected))
        error = np.sqrt(expected * (1 - expected) / len(tokens))
        assert (abs(counts / len(tokens) - expected) < 4.5 * error).all()


# ---- by theory


@every_source
def test_two_tokens_share_what_the_identity_says(config: MarkovConfig) -> None:
    found = Markov(config).information()
    assert abs(found.x + found.y - (found.x_given_y + 2 * found.mutual + found.y_given_x)) < 1e-12
    assert found.mutual >= -1e-12
    assert (found.mutual > 1e-3) == (config.lag_tokens == 1)


def test_numbers_worked_out_by_hand_for_two_states() -> None:
    task = Markov(MarkovConfig(vocabulary_tokens=2, memory=0.6))
    f = task.fresh
    up, down = 0.6 + 0.4 * f[1], 0.6 + 0.4 * f[0]  # 0 to 1, 1 to 0
    assert np.allclose(task.stationary, [down / (up + down), up / (up + down)])

    def h(p: float) -> float:
        return float(-p * np.log(p) - (1 - p) * np.log(1 - p))

    # P^i of a chain of two states: the distance to the stationary distribution shrinks by 1 - up - down each step.
    kept = 1 - up - down
    r0, r1 = task.stationary
    expected = [r0 * h(r1 * (1 - kept**i)) + r1 * h(r0 * (1 - kept**i)) for i in LAGS]
    assert np.allclose(task.entropies(LAGS).nats, expected, atol=1e-12)
    found = task.information()
    assert np.isclose(found.y_given_x, expected[0])
    assert np.isclose(found.mutual, expected[1] - expected[0])


@pytest.mark.parametrize("memory", [0.0, 0.3, 0.9])
def test_what_is_known_of_a_state_fades_by_memory_at_each_step(memory: float) -> None:
    task = Markov(MarkovConfig(vocabulary_tokens=8, memory=memory, length_tokens=128))
    sizes = sorted(abs(np.linalg.eigvals(task.transition)))
    assert np.allclose(sizes, [memory] * 7 + [1], atol=1e-8)
    rising = task.entropies(range(1, 60)).nats
    assert (np.diff(rising) >= -1e-12).all()
    assert rising[-1] <= task.unigram_entropy + 1e-12
    assert np.isclose(rising[-1], task.unigram_entropy, atol=100 * memory**59 + 1e-12)


def test_without_memory_every_head_is_left_with_the_entropy_of_the_frequencies() -> None:
    task = Markov(MarkovConfig(memory=0.0))
    assert np.allclose(task.stationary, task.fresh)
    assert np.allclose(task.entropies(LAGS).nats, entropy(task.fresh))
    assert abs(task.information().mutual) < 1e-12


def test_in_a_chain_the_two_next_tokens_share_what_the_nearer_one_tells_of_the_further() -> None:
    for config in (NEARLY_MEMORYLESS, MEDIUM, LONG_RANGE, GROUPED):
        task = Markov(config)
        one, two = task.entropies([1, 2]).nats
        found = task.information()
        assert np.allclose([found.x, found.y, found.y_given_x, found.mutual], [one, two, one, two - one], atol=1e-12)


def test_with_a_lag_of_l_the_first_l_heads_have_the_same_optimum() -> None:
    plain, lagged = Markov(of_lag(1)), Markov(of_lag(3))
    assert np.allclose(lagged.entropies(range(1, 7)).nats, np.repeat(plain.entropies([1, 2]).nats, 3))
    one, two = plain.entropies([1, 2]).nats
    any_token = plain.unigram_entropy
    # Of 30 tokens, head 1 predicts 29, 27 of them with their chain before them; head 4 predicts 26, 24 of them so.
    expected = [(27 * one + 2 * any_token) / 29, (27 * one + any_token) / 28, one, (24 * two + 2 * any_token) / 26]
    assert np.allclose(lagged.optimal_losses(LAGS).nats, expected, atol=1e-12)


def of_lag(lag: int) -> MarkovConfig:
    return MarkovConfig(vocabulary_tokens=8, memory=0.7, lag_tokens=lag, length_tokens=30)


# ---- hidden states


def forward(task: Markov, tokens: Integers, start: Floats) -> Floats:
    """P(tokens, last state) [S], state by state: `start` are the probabilities of the first state."""
    chance = start * task.emission[:, tokens[0]]
    for token in tokens[1:]:
        chance = (chance @ task.transition) * task.emission[:, token]
    return chance


@pytest.mark.parametrize(
    "config",
    [
        MarkovConfig(vocabulary_tokens=3, memory=0.6, blur=0.3),
        MarkovConfig(vocabulary_tokens=4, hidden_states=2, memory=0.8, blur=0.2),
        MarkovConfig(vocabulary_tokens=3, memory=0.6),
        MarkovConfig(vocabulary_tokens=2, memory=0.8, blur=0.2, lag_tokens=2),
    ],
    ids=["hidden", "topics", "plain", "lagged"],
)
def test_distributions_are_those_of_all_paths_of_states_counted(config: MarkovConfig) -> None:
    task = Markov(config)
    count, tokens = 5, config.vocabulary_tokens
    every = np.array(list(product(range(tokens), repeat=count)))
    joint = np.zeros(len(every))
    for path in product(range(task.states), repeat=count):
        p = np.ones(len(every))
        for place, state in enumerate(path):
            back = place - config.lag_tokens
            p *= task.transition[path[back], state] if back >= 0 else task.stationary[state]
            p *= task.emission[state, every[:, place]]
        joint += p
    assert np.isclose(joint.sum(), 1)
    padded = np.pad(every, ((0, 0), (0, task.length - count)))
    batch = Batch(tokens=padded, loss=padded > 0, scored=padded < 0)
    shape = joint.reshape([tokens] * count)
    for lag, place in product(range(1, 5), range(count)):
        seen = max(0, place - lag + 1)
        unseen = tuple(axis for axis in range(count) if axis >= seen and axis != place)
        pasts = shape.sum(axis=unseen).reshape(-1, tokens)
        expected = (pasts / pasts.sum(axis=1, keepdims=True)).repeat(len(every) // len(pasts), axis=0)
        assert np.allclose(task.distribution(batch, lag)[:, place], expected, atol=1e-12)


def test_entropies_of_a_hidden_source_lie_within_their_bounds() -> None:
    """Cover & Thomas, Elements of Information Theory, theorem 4.5.1: to know the first state as well is to know more."""
    task = Markov(BINARY_HIDDEN)
    every = [np.array(tokens) for tokens in product(range(2), repeat=10)]
    starts = [*np.diag(task.stationary), task.stationary]
    found = task.entropies(LAGS)
    for lag, nats, error in zip(LAGS, found.nats, found.error, strict=True):
        ahead = np.linalg.matrix_power(task.transition, lag) @ task.emission
        each = []
        for start in starts:
            chances = np.array([forward(task, tokens, start) for tokens in every])
            weights = chances.sum(axis=1)
            each.append(weights @ entropy(chances / weights[:, None] @ ahead))
        lower, upper = each[0] + each[1], each[2]
        assert 0 < upper - lower < 1e-3
        assert 0 < error < 0.01
        assert lower - 3 * error <= nats <= upper + 3 * error


def test_information_of_a_hidden_source_is_that_of_all_sequences() -> None:
    task = Markov(BINARY_HIDDEN)
    joint = np.array([forward(task, np.array(t), task.stationary).sum() for t in product(range(2), repeat=12)])
    joint = joint.reshape(-1, 2, 2)

    def total(p: Floats) -> float:
        return float(entropy(p.ravel()))

    past, x, y, both = (total(joint.sum(axis=axes)) for axes in ((1, 2), 2, 1, ()))
    found = task.information()
    expected = {
        "x": x - past, "y": y - past, "x_given_y": both - y, "y_given_x": both - x, "mutual": x + y - past - both
    }  # fmt: skip
    for name, nats in expected.items():
        assert abs(getattr(found, name) - nats) < 3 * found.error + 1e-3, name
    assert 1e-4 < found.error < 0.01
    assert found.mutual > 0.02


@pytest.mark.parametrize("config", [MEDIUM, GROUPED, LAGGED], ids=["medium", "grouped", "lagged"])
def test_the_way_of_hidden_sources_agrees_with_the_closed_forms(config: MarkovConfig) -> None:
    task = Markov(config)
    exact, exact_losses, exact_information = task.entropies(LAGS), task.optimal_losses(LAGS), task.information()
    task.hidden = True
    for sampled, known in ((task.entropies(LAGS), exact), (task.optimal_losses(LAGS), exact_losses)):
        assert (sampled.error > 0).all()
        assert (abs(sampled.nats - known.nats) <= 3 * sampled.error).all()
    information = task.information()
    assert information.error > 0
    for name in ("x", "y", "x_given_y", "y_given_x", "mutual"):
        assert abs(getattr(information, name) - getattr(exact_information, name)) <= 3 * information.error


def test_blur_hides_and_a_longer_past_tells_more() -> None:
    losses = [Markov(of_blur(blur)).optimal_losses([1]).nats[0] for blur in (0.0, 0.1, 0.3, 0.6)]
    assert (np.diff(losses) > 0.05).all()
    task = Markov(of_blur(0.3))
    batch = task.batch("train", np.arange(4000))
    early, late = entropy(task.distribution(batch))[:, [1, 20]].mean(axis=0)
    assert early > late + 0.02


def of_blur(blur: float) -> MarkovConfig:
    return MarkovConfig(vocabulary_tokens=8, memory=0.8, blur=blur)


@every_source
def test_a_head_knows_nothing_of_what_comes_between_its_position_and_its_target(config: MarkovConfig) -> None:
    task = Markov(config)
    batch = task.batch("train", np.arange(50))
    other = task.batch("train", np.arange(50, 100)).tokens
    for lag, cut in product((1, 2, 5), (1, 4, 9)):
        mixed = replace(batch, tokens=np.concatenate((batch.tokens[:, :cut], other[:, cut:]), axis=1))
        same = task.distribution(batch, lag) == task.distribution(mixed, lag)
        assert same[:, : cut + lag].all()
        assert not same.all()
