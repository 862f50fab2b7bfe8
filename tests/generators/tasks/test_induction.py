"""Stories from the grammar: the labels are right, and rules that ignore first tokens stay below their ceiling."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.foundation.errors import UserError
from generators.task import Batch, shares
from generators.tasks.induction import Induction, InductionConfig
from tests.generators.batches import assert_samples_independent_of_batch, assert_splits_disjoint


@pytest.fixture(scope="module")
def task() -> Induction:
    return Induction(InductionConfig(characters=4, name_parts=12, length_tokens=96))


@pytest.fixture(scope="module")
def stories(task: Induction) -> Batch:
    return task.batch("train", np.arange(3000))


def test_the_oracle_answers_at_the_scored_positions_and_only_there(task: Induction, stories: Batch) -> None:
    answers = task.oracle(stories)
    assert ((answers >= 0) == stories.scored).all()
    assert (answers[stories.scored] == stories.tokens[stories.scored]).all()
    assert stories.scored.sum() > 30_000


def test_first_mentions_are_not_scored(task: Induction, stories: Batch) -> None:
    for tokens, scored in zip(stories.tokens[:200], stories.scored[:200], strict=True):
        unscored = tokens[(tokens >= task.second) & ~scored].tolist()
        assert len(unscored) == len(set(unscored)) == 4


def test_names_are_two_tokens_distinct_within_a_story_and_drawn_anew(task: Induction, stories: Batch) -> None:
    firsts = (stories.tokens >= task.first) & (stories.tokens < task.second)
    assert (firsts[:, :-1] == (stories.tokens[:, 1:] >= task.second)).all()
    names = [{pair for pair in pairwise(tokens) if pair[1] >= task.second} for tokens in stories.tokens.tolist()]
    assert len(set.union(*names)) == 12 * 12
    for in_story in names:
        assert len({first for first, _ in in_story}) == len({second for _, second in in_story}) == len(in_story) == 4


def best_blind_accuracy(task: Induction, batch: Batch) -> float:
    """Returns the accuracy of the best rule that knows the order of mentions but ignores first tokens.

    Such a rule always predicts the same rank: the character mentioned most recently, or second most recently, ...
    """
    right = np.zeros(task.config.characters)
    total = 0
    for tokens, scored in zip(batch.tokens, batch.scored, strict=True):
        recent: list[int] = []
        for place in np.flatnonzero(tokens >= task.second):
            if scored[place]:
                total += 1
                right[recent.index(tokens[place])] += 1
            recent = [tokens[place], *(token for token in recent if token != tokens[place])]
    return float(right.max()) / total


@pytest.mark.parametrize("characters", [3, 4, 6])
def test_no_rule_that_ignores_first_tokens_exceeds_the_blind_ceiling(characters: int) -> None:
    task = Induction(InductionConfig(characters=characters, name_parts=12, length_tokens=96))
    batch = task.batch("train", np.arange(2000))
    scored = batch.scored.sum()
    ceiling = 1 / (characters - 1)
    error = np.sqrt(ceiling * (1 - ceiling) / scored)
    assert task.ceilings == {"accuracy": {"first_token_ignored": ceiling}}
    assert best_blind_accuracy(task, batch) < ceiling + 4 * error
    for right in task.shortcut_scores(batch).values():
        assert right.mean() < ceiling + 4 * error


def test_the_character_named_last_is_not_named_next(task: Induction, stories: Batch) -> None:
    assert task.shortcut_scores(stories)["latest_name"].mean() == 0.0


def test_pronouns_agree_with_their_character_throughout_a_story(task: Induction, stories: Batch) -> None:
    pronouns = {"he": 0, "his": 0, "him": 0, "she": 1, "her": 1}
    seen = set()
    for tokens in stories.tokens[:500]:
        words = [task.vocabulary[token] for token in tokens]
        gender: dict[str, int] = {}
        owner = ""
        for place, word in enumerate(words):
            if tokens[place] >= task.second:
                follows_with = "with" in words[max(0, place - 2) : place]  # "A was with B and his lamp": A's lamp
                owner = owner if follows_with else word
                latest = word
            if word in pronouns:
                character = latest if word in ("he", "she") else owner
                assert gender.setdefault(character, pronouns[word]) == pronouns[word]
                seen.add(word)
    assert seen >= {"he", "she", "his", "her"}


def test_objects_recur_within_a_story(task: Induction, stories: Batch) -> None:
    nouns = [{"lamp", "ring", "boat", "key", "coat", "bell", "drum", "cup"} & {task.vocabulary[t] for t in tokens}
             for tokens in stories.tokens[:500]]  # fmt: skip
    assert max(map(len, nouns)) == 2


def test_train_validation_and_test_share_no_sample() -> None:
    task = Induction(InductionConfig(characters=2, name_parts=2, length_tokens=16))
    samples = assert_splits_disjoint(task, 800)
    assert len(samples["train"]) < 800, "so few stories exist that a chance overlap would be seen"
    assert (shares(task.batch("test", np.arange(800)).tokens) == 0).all()


@settings(max_examples=30, deadline=None)
@given(
    characters=st.integers(2, 8),
    spare=st.integers(0, 20),
    length=st.integers(32, 200),
    split=st.sampled_from(["train", "validation", "test"]),
    seed=st.integers(0, 5),
    cut=st.integers(1, 19),
)
def test_a_sample_does_not_depend_on_its_batch(
    characters: int, spare: int, length: int, split: str, seed: int, cut: int
) -> None:
    task = Induction(InductionConfig(characters=characters, name_parts=characters + spare, length_tokens=length))
    whole = assert_samples_independent_of_batch(task, split, seed, cut)
    assert whole.tokens.min() >= 0
    assert whole.tokens.max() < len(task.vocabulary)


def test_other_seeds_and_settings_give_other_samples(task: Induction, stories: Batch) -> None:
    assert (task.batch("train", np.arange(50), 1).tokens != stories.tokens[:50]).any(axis=1).all()
    other = Induction(InductionConfig(characters=4, name_parts=12, length_tokens=95))
    assert (other.batch("train", np.arange(50)).tokens != stories.tokens[:50, :95]).any(axis=1).all()


def test_more_characters_than_name_parts_are_refused() -> None:
    with pytest.raises(UserError, match=r"task.name_parts = 3: 4 characters need .* at least 4"):
        Induction(InductionConfig(characters=4, name_parts=3))


def test_an_unknown_split_is_refused(task: Induction) -> None:
    with pytest.raises(UserError, match="split 'dev' is not one of train, validation, test"):
        task.batch("dev", [0])


def test_a_mixture_has_stories_in_one_training_sample_in_ten_and_in_every_held_out_one() -> None:
    mixed = Induction(InductionConfig(other_share=0.9))
    train, test = mixed.batch("train", np.arange(4000)), mixed.batch("test", np.arange(200))
    named = (train.tokens >= mixed.first).any(axis=1)
    assert abs(named.mean() - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 4000)
    assert (test.tokens >= mixed.first).any(axis=1).all()
    other = train.take(~named)
    assert not other.scored.any()
    assert mixed.confirmed(train).all()
    assert mixed.confirmed(test).all()
    words = {mixed.vocabulary[token] for token in np.unique(other.tokens[:, 4:7])}
    assert words >= {"the", "lamp", "ring", "boat"}
