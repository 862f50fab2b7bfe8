"""The counted weight of a choice agrees with the closed form, with the oracle and with the paper."""

from itertools import product

import numpy as np
import pytest

from generators.foundation.randomness import Integers
from generators.protocols import ChoicePoints
from generators.task import Batch
from generators.tasks.choice import Choice, ChoiceConfig
from lab.analysis.estimators.choice_weight import PredictionHead, count_predictions, theoretical_weight
from tests.paper_weight import implied_weight

HEADS = [[PredictionHead(lag, lag) for lag in range(1, n + 1)] for n in range(9)]


def choice_task(**settings: int) -> Choice:
    return Choice(ChoiceConfig(**settings))  # type: ignore[arg-type]


def dependents(task: Choice, tokens: Integers) -> set[tuple[int, int]]:
    """Returns pairs (choice, target) of a sample [T]: targets that the oracle answers differently if the choice is
    different, and the choice itself."""

    def answers(of: Integers) -> Integers:
        no_mask = np.zeros((1, len(of)), bool)
        return task.oracle(Batch(tokens=of[None], loss=no_mask, scored=no_mask))[0]

    pairs = set()
    for place, token in enumerate(tokens[:-1].tolist()):
        name = task.vocabulary[token]
        if name[0] in "CI" and "+" not in name:
            other = tokens.copy()
            other[place + 1] = (other[place + 1] + 1) % task.config.branching
            differ = np.flatnonzero(answers(tokens) != answers(other))
            pairs |= {(place + 1, place + 1)} | {(place + 1, int(target)) for target in differ}
    return pairs


@pytest.mark.parametrize("extra_spacing", [0, 1, 5])
def test_the_counted_weight_of_each_class_equals_the_theory_for_every_n_and_d(extra_spacing: int) -> None:
    for n, decides in product(range(1, 9), range(1, 9)):
        spacing = decides + 2 + extra_spacing  # from below n to above it
        task = choice_task(decides_tokens=decides, spacing_tokens=spacing, length_tokens=4 * spacing)
        points = task.choice_points(task.batch("test", [0, 1]))
        counts = count_predictions(points, HEADS[n])
        for row, at in np.argwhere(points.choice == np.arange(task.length)):
            consequential = points.consequential[row, at]
            own = (counts.consequential if consequential else counts.inconsequential)[row, at]
            deciding = decides if consequential else 0
            before, after = int(at), task.length - 1 - int(at)
            theory = theoretical_weight(HEADS[n], deciding, spacing, before, after)
            assert (own, counts.decided[row, at]) == theory
            if before >= n and after >= decides:
                m = min(decides + 1, n)
                assert own == n
                assert own + counts.decided[row, at] == implied_weight(n, deciding)
                assert not consequential or own + counts.decided[row, at] == m * n - m * (m - 1) // 2
        assert counts.decided.sum() == counts.decided[points.consequential].sum()


@pytest.mark.parametrize(("n", "decides", "spacing"), [(1, 4, 8), (4, 2, 4), (8, 3, 5), (8, 4, 8), (5, 8, 10)])
def test_the_labels_count_what_the_oracle_says_depends_on_the_choice(n: int, decides: int, spacing: int) -> None:
    task = choice_task(decides_tokens=decides, spacing_tokens=spacing, length_tokens=4 * spacing)
    batch = task.batch("test", np.arange(4))
    counts = count_predictions(task.choice_points(batch), HEADS[n]).total
    for row, tokens in enumerate(batch.tokens):
        by_hand = np.zeros(task.length, int)
        pairs = dependents(task, tokens)
        for position, head in product(range(task.length), range(1, n + 1)):
            for choice, target in pairs:
                by_hand[choice] += position + head == target and position < choice
        assert (counts[row] == by_hand).all()


@pytest.mark.slow
def test_the_general_formula_holds_if_the_next_choice_comes_before_all_is_decided() -> None:
    """Tokens then count for the last choice before them."""
    for n, decides, spacing in product(range(1, 9), range(1, 9), range(1, 10)):
        place = np.arange(60)
        last = (place - 20) // spacing * spacing + 20
        is_choice = place == last
        depends = (place >= 20) & (place - last <= decides)
        points = ChoicePoints(
            consequential=is_choice[None],
            inconsequential=np.zeros((1, 60), bool),
            decided=~is_choice[None],
            choice=np.where(depends, last, -1)[None],
            offset=(place - last)[None],
            decides_tokens=decides,
            spacing_tokens=spacing,
        )
        total = count_predictions(points, HEADS[n]).total[0, 20]
        m = min(decides + 1, spacing, n)
        assert total == sum(theoretical_weight(HEADS[n], decides, spacing)) == m * n - m * (m - 1) // 2
        if decides < spacing:
            assert total == implied_weight(n, decides)
        if decides >= n - 1 and spacing >= n:
            assert total == n * (n + 1) // 2, "the paper's weight"
