"""The check of a task finds samples with wrong answers, shared samples, repeats and foreign tokens."""

from dataclasses import replace

import numpy as np
import pytest

from generators.check import check_task
from generators.foundation.randomness import Integers, Stream
from generators.task import Batch
from generators.tasks.choice import Choice, ChoiceConfig
from generators.tasks.induction import Induction, InductionConfig
from generators.tasks.markov import Markov, MarkovConfig
from generators.tasks.star import Star, StarConfig

SMALL = InductionConfig(test_samples=50, validation_samples=50)


class SwappedNames(Induction):
    """Swaps the last two second tokens of every third story after its masks were made."""

    def draw(self, stream: Stream, split: str) -> Batch:
        batch = super().draw(stream, split)
        tokens: Integers = batch.tokens.copy()
        for row in range(0, len(tokens), 3):
            places = (tokens[row] >= self.second).nonzero()[0][-2:]
            tokens[row, places] = tokens[row, places[::-1]]
        return replace(batch, tokens=tokens)


class ForeignToken(Induction):
    """Ends every story with a token that the vocabulary does not have."""

    def draw(self, stream: Stream, split: str) -> Batch:
        batch = super().draw(stream, split)
        tokens: Integers = batch.tokens.copy()
        tokens[:, -1] = len(self.vocabulary)
        return replace(batch, tokens=tokens)


def test_wrong_answers_are_unconfirmed_and_shown() -> None:
    result = check_task(SwappedNames(SMALL), 300)
    assert result.unconfirmed > 50
    assert len(result.examples) == 10
    assert result.examples[0].startswith("train: <s> once there were")
    assert not result.passed


def test_tokens_outside_the_vocabulary_are_counted() -> None:
    result = check_task(ForeignToken(SMALL), 20)
    assert result.tokens_out_of_vocabulary == 20 + 50 + 50
    assert result.examples, "a foreign token stands where an answer was scored"
    assert all(": [0, " in example for example in result.examples), "foreign tokens are shown as numbers"
    assert not result.passed


def test_samples_that_splits_share_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Induction(InductionConfig(characters=2, name_parts=2, length_tokens=16))
    assert check_task(task, 1000).shared_between_splits == 0
    monkeypatch.setattr(Induction, "belongs", lambda self, batch, split: batch.loss.any(axis=1))
    result = check_task(task, 1000)
    assert result.shared_between_splits > 0
    assert not result.passed


def test_a_source_with_too_few_distinct_samples_repeats_itself_and_fails() -> None:
    result = check_task(Star(StarConfig(nodes=5, length=3)), 500)
    assert result.repeated_within_held_out > 0.5 * result.held_out_samples
    assert not result.passed


def test_the_accuracies_of_shortcuts_are_their_shares_of_right_answers_and_stay_below_the_ceiling() -> None:
    task = Induction(InductionConfig(characters=4, test_samples=600, validation_samples=50))
    result = check_task(task, 20)
    right = task.shortcut_scores(task.batch("test", np.arange(600)))
    assert result.shortcuts == {name: pytest.approx(hits.mean()) for name, hits in right.items()}
    assert result.shortcuts_exact == dict.fromkeys(right, 0), "no rule gets all names of a story right"
    assert result.ceilings == {"accuracy": {"first_token_ignored": pytest.approx(1 / 3)}}
    assert 0.2 < max(result.shortcuts.values()) < 1 / 3 + 0.03
    assert result.optimal_losses == {}


def test_optimal_losses_are_those_worked_out_by_hand() -> None:
    """The states of the Markov source are fresh draws alone, so every head loses their entropy."""
    task = Markov(MarkovConfig(memory=0.0, test_samples=20, validation_samples=20))
    entropy = float(-(task.stationary * np.log(task.stationary)).sum())
    expected = {f"loss_{head}": pytest.approx(entropy) for head in range(1, 5)}
    assert check_task(task, 20).optimal_losses == expected
    config = ChoiceConfig(branching=2, alphabet_tokens=2, decides_tokens=1, spacing_tokens=4, length_tokens=24)
    choice = check_task(Choice(config), 20)
    assert choice.optimal_losses["loss_1"] == pytest.approx(np.log(2) * 6 / 23), "six choices among 23 targets"


def test_a_sound_task_passes_and_its_scored_share_is_that_of_its_held_out_targets() -> None:
    result = check_task(Star(StarConfig(test_samples=20, validation_samples=30)), 40)
    assert result.passed
    assert (result.samples, result.held_out_samples) == (90, 50)
    assert result.scored_share == pytest.approx(4 / 5), "all nodes of the path except the first"
