"""Markov sources: known entropies agree with counts, with enumerated sequences, or with bounds from theory."""

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
SOURCES = [NEARLY_MEMORYLESS, MEDIUM, LONG_RANGE, GROUPED, LAGGED, HIDDEN, TOPICS, LAGGED_HIDDEN, BINARY_HIDDEN]
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

every_source = pytest.mark.parametrize("config", SOURCES, ids=NAMES)


def mean_agrees(numbers: Floats, expected: float, errors: float = 3.0, expected_error: float = 0.0) -> bool:
    """Returns True if the mean of independent numbers [N] is within some standard errors of the expected value."""
    error = np.hypot(numbers.std(ddof=1) / np.sqrt(len(numbers)), expected_error)
    return bool(abs(numbers.mean() - expected) <= errors * error + 1e-12)


# ---- counted in a million tokens


@pytest.mark.parametrize("config", [NEARLY_MEMORYLESS, MEDIUM, LONG_RANGE, GROUPED], ids=NAMES[:4])
def test_entropies_counted_in_a_million_tokens_agree_with_the_closed_forms(config: MarkovConfig) -> None:
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
        assert mean_agrees(surprise, expected)


@pytest.mark.parametrize("config", [NEARLY_MEMORYLESS, MEDIUM, LONG_RANGE], ids=NAMES[:3])
def test_information_counted_in_a_million_tokens_agrees_with_the_closed_form(config: MarkovConfig) -> None:
    task = Markov(config)
    tokens = task.batch("train", np.arange(TOKENS // task.length)).tokens
    size = config.vocabulary_tokens
    triples = tokens[:, :-2], tokens[:, 1:-1], tokens[:, 2:]
    counts = np.zeros((size, size, size))
    np.add.at(counts, triples, 1)
    joint = counts / counts.sum(axis=(1, 2), keepdims=True)
    apart = joint.sum(axis=2, keepdims=True) * joint.sum(axis=1, keepdims=True)
    information = (np.log(joint[triples]) - np.log(apart[triples])).mean(axis=1)
    # The bias of counted information: for independent tokens, 2 N times it is chi-square with that many degrees of freedom.
    information -= size * (size - 1) ** 2 / (2 * counts.sum())
    assert mean_agrees(information, task.information().mutual)


@every_source
def test_the_mean_loss_of_samples_agrees_with_the_optimal_loss(config: MarkovConfig) -> None:
    task = Markov(config)
    lags = [1, 2, 3, 5]
    batch = task.batch("train", np.arange(2000))
    known = task.optimal_losses(lags)
    assert ((known.error > 0) == task.hidden).all()
    for lag, expected, error in zip(lags, known.nats, known.error, strict=True):
        chances = np.take_along_axis(task.distribution(batch, lag), batch.tokens[:, :, None], axis=2)[:, lag:, 0]
        assert mean_agrees(-np.log(chances).mean(axis=1), expected, 3.5, float(error))


@every_source
def test_every_position_has_the_stationary_frequencies(config: MarkovConfig) -> None:
    task = Markov(config)
    tokens = task.batch("train", np.arange(10_000)).tokens
    assert np.isclose(task.stationary.sum(), 1)
    assert np.allclose(task.stationary @ task.transition, task.stationary, atol=1e-14)
    expected = task.stationary @ task.emission
    for position in (0, 1, task.length - 1):
        counts = np.bincount(tokens[:, position], minlength=len(expected))
        error = np.sqrt(expected * (1 - expected) / len(tokens))
        assert (abs(counts / len(tokens) - expected) < 4.5 * error).all()


# ---- theory


@every_source
def test_the_entropies_of_two_tokens_satisfy_the_identity_of_the_paper(config: MarkovConfig) -> None:
    known = Markov(config).information()
    assert abs(known.x + known.y - (known.x_given_y + 2 * known.mutual + known.y_given_x)) < 1e-12
    assert known.mutual >= -1e-12
    assert (known.mutual > 1e-3) == (config.lag_tokens == 1)


def test_entropies_of_two_states_worked_out_by_hand() -> None:
    task = Markov(MarkovConfig(vocabulary_tokens=2, memory=0.6))
    f = task.fresh
    up, down = 0.6 + 0.4 * f[1], 0.6 + 0.4 * f[0]  # 0 to 1, 1 to 0
    assert np.allclose(task.stationary, [down / (up + down), up / (up + down)])

    def h(p: float) -> float:
        return float(-p * np.log(p) - (1 - p) * np.log(1 - p))

    # P^i of a chain of two states: the distance to the stationary distribution shrinks by 1 - up - down at each step.
    decay = 1 - up - down
    r0, r1 = task.stationary
    expected = [r0 * h(r1 * (1 - decay**i)) + r1 * h(r0 * (1 - decay**i)) for i in LAGS]
    assert np.allclose(task.entropies(LAGS).nats, expected, atol=1e-12)
    information = task.information()
    assert np.isclose(information.y_given_x, expected[0])
    assert np.isclose(information.mutual, expected[1] - expected[0])


@pytest.mark.parametrize("memory", [0.0, 0.3, 0.9])
def test_information_about_a_state_decays_by_memory_at_each_step(memory: float) -> None:
    task = Markov(MarkovConfig(vocabulary_tokens=8, memory=memory, length_tokens=128))
    eigenvalues = sorted(abs(np.linalg.eigvals(task.transition)))
    assert np.allclose(eigenvalues, [memory] * 7 + [1], atol=1e-8)
    entropies = task.entropies(range(1, 60)).nats
    assert (np.diff(entropies) >= -1e-12).all()
    assert entropies[-1] <= task.unigram_entropy + 1e-12
    assert np.isclose(entropies[-1], task.unigram_entropy, atol=100 * memory**59 + 1e-12)


def test_without_memory_every_entropy_is_that_of_the_frequencies() -> None:
    task = Markov(MarkovConfig(memory=0.0))
    assert np.allclose(task.stationary, task.fresh)
    assert np.allclose(task.entropies(LAGS).nats, entropy(task.fresh))
    assert abs(task.information().mutual) < 1e-12


def test_in_a_chain_the_mutual_information_is_the_rise_from_the_first_entropy_to_the_second() -> None:
    for config in (NEARLY_MEMORYLESS, MEDIUM, LONG_RANGE, GROUPED):
        task = Markov(config)
        first, second = task.entropies([1, 2]).nats
        known = task.information()
        assert np.allclose(
            [known.x, known.y, known.y_given_x, known.mutual], [first, second, first, second - first], atol=1e-12
        )


def test_with_a_lag_of_l_tokens_the_first_l_heads_have_the_same_optimum() -> None:
    plain, lagged = Markov(config_with_lag(1)), Markov(config_with_lag(3))
    assert np.allclose(lagged.entropies(range(1, 7)).nats, np.repeat(plain.entropies([1, 2]).nats, 3))
    near, far = plain.entropies([1, 2]).nats
    unseen = plain.unigram_entropy
    # Of 30 tokens head 1 predicts 29 and sees the chain of 27; head 4 predicts 26 and sees the chain of 24.
    expected = [(27 * near + 2 * unseen) / 29, (27 * near + unseen) / 28, near, (24 * far + 2 * unseen) / 26]
    assert np.allclose(lagged.optimal_losses(LAGS).nats, expected, atol=1e-12)


def config_with_lag(lag: int) -> MarkovConfig:
    return MarkovConfig(vocabulary_tokens=8, memory=0.7, lag_tokens=lag, length_tokens=30)


# ---- hidden states


def forward(task: Markov, tokens: Integers, start: Floats) -> Floats:
    """Computes P(tokens, last state) [S] from the distribution `start` of the first state."""
    probability = start * task.emission[:, tokens[0]]
    for token in tokens[1:]:
        probability = (probability @ task.transition) * task.emission[:, token]
    return probability


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
def test_distributions_agree_with_enumerated_paths_of_states(config: MarkovConfig) -> None:
    task = Markov(config)
    count, tokens = 5, config.vocabulary_tokens
    sequences = np.array(list(product(range(tokens), repeat=count)))
    joint = np.zeros(len(sequences))
    for path in product(range(task.states), repeat=count):
        p = np.ones(len(sequences))
        for position, state in enumerate(path):
            back = position - config.lag_tokens
            p *= task.transition[path[back], state] if back >= 0 else task.stationary[state]
            p *= task.emission[state, sequences[:, position]]
        joint += p
    assert np.isclose(joint.sum(), 1)
    padded = np.pad(sequences, ((0, 0), (0, task.length - count)))
    batch = Batch(tokens=padded, loss=padded > 0, scored=padded < 0)
    shape = joint.reshape([tokens] * count)
    for lag, position in product(range(1, 5), range(count)):
        seen = max(0, position - lag + 1)
        unseen = tuple(axis for axis in range(count) if axis >= seen and axis != position)
        pasts = shape.sum(axis=unseen).reshape(-1, tokens)
        expected = (pasts / pasts.sum(axis=1, keepdims=True)).repeat(len(sequences) // len(pasts), axis=0)
        assert np.allclose(task.distribution(batch, lag)[:, position], expected, atol=1e-12)


def test_entropies_of_a_hidden_source_lie_within_their_bounds() -> None:
    """Cover & Thomas, Elements of Information Theory, theorem 4.5.1: knowing the first state lowers the entropy."""
    task = Markov(BINARY_HIDDEN)
    sequences = [np.array(tokens) for tokens in product(range(2), repeat=10)]
    starts = [*np.diag(task.stationary), task.stationary]
    known = task.entropies(LAGS)
    for lag, nats, error in zip(LAGS, known.nats, known.error, strict=True):
        ahead = np.linalg.matrix_power(task.transition, lag) @ task.emission
        entropies = []
        for start in starts:
            joint = np.array([forward(task, tokens, start) for tokens in sequences])
            weights = joint.sum(axis=1)
            entropies.append(weights @ entropy(joint / weights[:, None] @ ahead))
        lower, upper = entropies[0] + entropies[1], entropies[2]
        assert 0 < upper - lower < 1e-3
        assert 0 < error < 0.01
        assert lower - 3 * error <= nats <= upper + 3 * error


def test_information_of_a_hidden_source_agrees_with_enumerated_sequences() -> None:
    task = Markov(BINARY_HIDDEN)
    joint = np.array([forward(task, np.array(t), task.stationary).sum() for t in product(range(2), repeat=12)])
    joint = joint.reshape(-1, 2, 2)

    def total(p: Floats) -> float:
        return float(entropy(p.ravel()))

    past, x, y, both = (total(joint.sum(axis=axes)) for axes in ((1, 2), 2, 1, ()))
    information = task.information()
    expected = {
        "x": x - past, "y": y - past, "x_given_y": both - y, "y_given_x": both - x, "mutual": x + y - past - both
    }  # fmt: skip
    for name, nats in expected.items():
        assert abs(getattr(information, name) - nats) < 3 * information.error + 1e-3, name
    assert 1e-4 < information.error < 0.01
    assert information.mutual > 0.02


@pytest.mark.parametrize("config", [MEDIUM, GROUPED, LAGGED], ids=["medium", "grouped", "lagged"])
def test_sampled_beliefs_agree_with_the_closed_forms(config: MarkovConfig) -> None:
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


def test_blur_raises_the_loss_and_a_longer_past_lowers_it() -> None:
    losses = [Markov(config_with_blur(blur)).optimal_losses([1]).nats[0] for blur in (0.0, 0.1, 0.3, 0.6)]
    assert (np.diff(losses) > 0.05).all()
    task = Markov(config_with_blur(0.3))
    batch = task.batch("train", np.arange(4000))
    early, late = entropy(task.distribution(batch))[:, [1, 20]].mean(axis=0)
    assert early > late + 0.02


def config_with_blur(blur: float) -> MarkovConfig:
    return MarkovConfig(vocabulary_tokens=8, memory=0.8, blur=blur)


@every_source
def test_a_distribution_ignores_the_tokens_between_the_head_and_its_target(config: MarkovConfig) -> None:
    task = Markov(config)
    batch = task.batch("train", np.arange(50))
    other = task.batch("train", np.arange(50, 100)).tokens
    for lag, cut in product((1, 2, 5), (1, 4, 9)):
        mixed = replace(batch, tokens=np.concatenate((batch.tokens[:, :cut], other[:, cut:]), axis=1))
        same = task.distribution(batch, lag) == task.distribution(mixed, lag)
        assert same[:, : cut + lag].all()
        assert not same.all()
