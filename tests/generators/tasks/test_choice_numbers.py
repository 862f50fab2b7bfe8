"""Choice points: closed forms agree with enumerated sequences, counted predictions and drawn samples."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from generators.foundation.randomness import Integers
from generators.material.entropy import Floats, entropy
from generators.task import Batch, whole_answers
from generators.tasks.choice import (
    CONSEQUENTIAL,
    DECIDED,
    FILLER,
    FIXED,
    INCONSEQUENTIAL,
    Choice,
    ChoiceConfig,
)
from tests.paper_weight import implied_weight

CONFIGS = [
    ChoiceConfig(),
    ChoiceConfig(noise=0.3),
    ChoiceConfig(branching=3, alphabet_tokens=10, decides_tokens=2, spacing_tokens=5, noise=0.2, length_tokens=61),
    ChoiceConfig(consequential_points=2, inconsequential_points=3, decides_tokens=3, spacing_tokens=5, noise=0.1),
]


@pytest.fixture(scope="module", params=CONFIGS, ids=["plain", "noisy", "wide alphabet", "two and three"])
def task(request: pytest.FixtureRequest) -> Choice:
    return Choice(request.param)


@pytest.fixture(scope="module")
def batch(task: Choice) -> Batch:
    return task.batch("train", np.arange(4000))


def every_sequence(task: Choice) -> tuple[Integers, Floats]:
    """Enumerates the samples [N, T] of a small task with their probabilities [N], block by block."""
    config, rounds = task.config, len(task.blocks)
    decides, noise = config.decides_tokens, config.noise
    probability: dict[tuple[int, ...], float] = {}
    for first in range(rounds):
        sequences: dict[tuple[int, ...], float] = {(): 1 / rounds}
        for point in range(-(-task.length // config.spacing_tokens)):
            filler = task.blocks[(first + point) % rounds].tolist()
            longer = {}
            for start, p in sequences.items():
                for option in range(config.branching):
                    row = task.table[option if task.vocabulary[filler[0]].startswith("C") else -1]
                    for follow in product(range(task.alphabet), repeat=decides):
                        chances = [
                            noise / task.alphabet + (1 - noise) * (a == b) for a, b in zip(follow, row, strict=True)
                        ]
                        sequence = (*start, filler[0], option, *follow, *filler[2 + decides :])
                        longer[sequence] = p / config.branching * float(np.prod(chances))
            sequences = longer
        for sequence, p in sequences.items():
            if p:
                cut = sequence[: task.length]
                probability[cut] = probability.get(cut, 0) + p
    return np.array(list(probability)), np.array(list(probability.values()))


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize(("decides", "spacing"), [(1, 3), (2, 4)])
def test_distributions_agree_with_enumerated_sequences(noise: float, decides: int, spacing: int) -> None:
    config = ChoiceConfig(branching=2, alphabet_tokens=3, decides_tokens=decides, spacing_tokens=spacing, noise=noise, length_tokens=8)  # fmt: skip
    task = Choice(config)
    tokens, probability = every_sequence(task)
    assert np.isclose(probability.sum(), 1)
    sequences = Batch(tokens=tokens, loss=tokens > 0, scored=tokens < 0)
    for lag in range(1, 9):
        distribution = task.distribution(sequences, lag)
        for position in range(8):
            pasts = [row.tobytes() for row in tokens[:, : max(0, position - lag + 1)]]
            joint: dict[bytes, Floats] = {}
            for past, token, p in zip(pasts, tokens[:, position], probability, strict=True):
                joint.setdefault(past, np.zeros(len(task.vocabulary)))[token] += p
            expected = np.array([joint[past] / joint[past].sum() for past in pasts])
            assert np.allclose(distribution[:, position], expected, atol=1e-12), (lag, position)


def test_the_optimal_loss_is_the_entropy_of_the_distribution(task: Choice, batch: Batch) -> None:
    samples = batch.take(np.arange(200))
    for lag in (1, 2, 3, 5, 8, 13):
        entropies = entropy(task.distribution(samples, lag))
        assert np.allclose(task.optimal_loss(samples, lag)[:, lag:], entropies[:, lag:], atol=1e-12)


def test_the_mean_loss_of_samples_agrees_with_the_closed_form(task: Choice, batch: Batch) -> None:
    lags = [1, 2, 3, 5, 8, 13]
    known = task.optimal_losses(lags)
    assert (known.error == 0).all()
    for lag, expected in zip(lags, known.nats, strict=True):
        chances = np.take_along_axis(task.distribution(batch, lag), batch.tokens[:, :, None], axis=2)[:, lag:, 0]
        losses = -np.log(chances).mean(axis=1)
        assert abs(losses.mean() - expected) <= 3.5 * losses.std() / np.sqrt(len(losses)) + 1e-12


def test_losses_and_ceilings_worked_out_by_hand() -> None:
    task = Choice(ChoiceConfig(branching=2, alphabet_tokens=2, noise=0.5))
    classes = np.array([FILLER, CONSEQUENTIAL, INCONSEQUENTIAL, DECIDED, DECIDED, FIXED])
    losses = task.optimal_loss_at(classes, np.array([-1, 0, 0, 1, 3, 1]), lag=2)
    quarter = 2 * np.log(2) - 0.75 * np.log(3)  # h(3/4, 1/4)
    assert np.allclose(losses, [0, np.log(2), np.log(2), np.log(2), quarter, quarter], atol=1e-12)
    assert task.ceilings["accuracy"] == {"choice_seen": 0.75, "choice_unseen": 0.5}
    wide = Choice(ChoiceConfig(branching=4, alphabet_tokens=16, noise=0.5))
    assert wide.ceilings["accuracy"] == {"choice_seen": 1 - 0.5 * 15 / 16, "choice_unseen": 0.5 / 4 + 0.5 / 16}


def test_ceilings_of_whole_answers_worked_out_by_hand() -> None:
    """Half of the samples begin with the choice that decides; the last of three blocks is cut after one token."""
    settings = {"branching": 2, "alphabet_tokens": 4, "decides_tokens": 2, "spacing_tokens": 4, "length_tokens": 11}
    assert Choice(ChoiceConfig(**settings)).ceilings["exact"] == {
        "choice_seen": 1,
        "choice_unseen": (1 / 4 + 1 / 2) / 2,
    }
    noisy = Choice(ChoiceConfig(**settings, noise=0.4)).ceilings["exact"]  # 0.7 if seen; a wrong option's token: 0.1
    first, both = (0.7 + 0.1) / 2, (0.7**2 + 0.1**2) / 2
    assert noisy["choice_seen"] == pytest.approx((0.7**3 + 0.7**2) / 2)
    assert noisy["choice_unseen"] == pytest.approx((both * first + both) / 2)


def test_rules_get_as_many_whole_answers_right_as_the_ceilings_say() -> None:
    config = ChoiceConfig(branching=3, decides_tokens=2, spacing_tokens=4, length_tokens=11, noise=0.2)
    task, count = Choice(config), 20_000
    batch = task.batch("train", np.arange(count))
    for rule, ceiling in ((task.oracle, "choice_seen"), (task.blind, "choice_unseen")):
        share = task.ceilings["exact"][ceiling]
        right = whole_answers(batch, (rule(batch) == batch.tokens)[batch.scored])
        assert len(right) == count
        assert abs(right.mean() - share) < 4 * np.sqrt(share * (1 - share) / count)


def test_both_kinds_of_choice_have_the_same_next_token_loss_at_every_offset() -> None:
    task = Choice(ChoiceConfig(noise=0.3))
    offsets = np.arange(5)
    consequential = task.optimal_loss_at(np.array([CONSEQUENTIAL, *[DECIDED] * 4]), offsets)
    inconsequential = task.optimal_loss_at(np.array([INCONSEQUENTIAL, *[FIXED] * 4]), offsets)
    assert np.allclose(consequential, inconsequential)
    assert consequential[0] == np.log(8)
    further = task.optimal_loss_at(np.array([DECIDED] * 4), offsets[1:], lag=4)
    assert (further[:3] > consequential[1:4] + 0.5).all()


def test_a_distribution_ignores_the_tokens_between_the_head_and_its_target(task: Choice, batch: Batch) -> None:
    samples = batch.take(np.arange(50))
    other = task.batch("train", np.arange(50, 100)).tokens
    for lag in (1, 3, 6):
        for cut in (4, 9, 17):
            mixed = replace(samples, tokens=np.concatenate((samples.tokens[:, :cut], other[:, cut:]), axis=1))
            same = task.distribution(samples, lag) == task.distribution(mixed, lag)
            assert same[:, : cut + lag].all()


def test_implied_weights_agree_with_counted_predictions() -> None:
    for n, decides in product(range(1, 9), range(9)):
        choice = 100
        pairs = [
            (source, head)
            for source in range(200)
            for head in range(1, n + 1)
            if source < choice <= source + head <= choice + decides
        ]
        assert implied_weight(n, decides) == len(pairs)
        if decides >= n - 1:
            assert implied_weight(n, decides) == n * (n + 1) // 2
        fixed = decides + 1
        if fixed <= n:
            assert implied_weight(n, decides) == fixed * n - fixed * (fixed - 1) // 2
    assert [implied_weight(n, 0) for n in range(1, 9)] == list(range(1, 9))


def test_the_summed_loss_of_a_choice_is_log_b_times_its_implied_weight() -> None:
    for decides in range(1, 9):
        task = Choice(ChoiceConfig(decides_tokens=decides, spacing_tokens=decides + 2, length_tokens=64, branching=3))
        batch = task.batch("train", [0, 1])
        points = np.flatnonzero(batch.labels["offset"][0] == 0)
        points = points[(points > 8) & (points + decides < task.length)]
        assert len(points) >= 4
        for n in range(1, 9):
            losses = np.sum([entropy(task.distribution(batch, lag)) for lag in range(1, n + 1)], axis=0)
            for row, point in product((0, 1), points):
                total = losses[row, point - 1 : point + decides + 1].sum() / np.log(3)
                weight = implied_weight(n, decides if batch.labels["class"][row, point] == CONSEQUENTIAL else 0)
                assert np.isclose(total, weight)
