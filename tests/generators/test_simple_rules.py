"""The parts of the search for simple rules agree with slow computations of the same, and a task of copying passes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from generators.check import check_task
from generators.checks import rules
from generators.checks.exact import upper_tail
from generators.checks.rules import most_frequent, numbered_answers, table_of
from generators.checks.separation import places_of
from generators.foundation.randomness import Integers, Stream
from generators.task import Batch
from tests.generators.recall_task import Recall, RecallConfig


@given(count=st.integers(1, 3000), share=st.floats(0, 1), probability=st.floats(0.001, 0.999))
def test_the_upper_tail_is_that_of_the_binomial_distribution(count: int, share: float, probability: float) -> None:
    hits = round(share * count)
    expected = binom.sf(hits - 1, count, probability) if hits > count * probability else 1.0
    # Far in the tail scipy is not exact: by 4e-6 at P(X >= 735) for 759 trials of 3/8, which the next test has.
    assert upper_tail(hits, count, probability) == pytest.approx(expected, rel=1e-6, abs=1e-100)


def test_a_tail_that_is_nearly_zero_is_exact() -> None:
    assert upper_tail(735, 759, 3 / 8) == pytest.approx(1.57105783037248e-273, rel=1e-11), "the value is mpmath's"


def test_the_most_frequent_token_is_counted_under_the_mask_alone() -> None:
    random = np.random.default_rng(0)
    tokens, mask = random.integers(0, 5, (50, 9)), random.random((50, 9)) < 0.6
    mask[7] = False
    for row, guess in enumerate(most_frequent(tokens, mask).tolist()):
        counts = Counter(tokens[row, mask[row]].tolist())
        expected = min(counts, key=lambda token: (-counts[token], token)) if counts else -1
        assert guess == expected


@pytest.mark.parametrize("counted", [True, False])
def test_a_table_has_the_most_common_answer_of_each_key(counted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "TABLE_VOCABULARY_MAXIMUM", 100 if counted else 0)
    keys = np.array([3, 3, 3, 0, 0, 2, -1, -1])
    answers = np.array([1, 1, 2, 4, 4, 0, 3, 3])
    assert table_of(keys, answers, 5).tolist() == [4, -1, 0, 1, -1]


def test_an_answer_sees_the_tokens_before_it_alone() -> None:
    tokens = np.array([[5, 6, 7, 8], [1, 2, 3, 4], [0, 0, 0, 0]])
    scored = np.array([[False, True, False, True], [False, False, True, True], [False, True, False, False]])
    answers = numbered_answers(Batch(tokens=tokens, loss=scored, scored=scored), scored, 1)
    assert (answers.tokens.tolist(), answers.starts.tolist()) == ([8, 4], [1, 2])
    assert answers.token_at(2).tolist() == [7, 3]
    assert answers.token_at(3).tolist() == [-1, -1]
    assert answers.token_at(np.array([-1, 0])).tolist() == [-1, 1]


def test_runs_are_located_where_they_first_occur() -> None:
    tokens = np.random.default_rng(1).integers(0, 3, (40, 12))
    runs = np.concatenate((tokens[17:18, 4:9], tokens[3:4, 0:5], np.full((1, 5), 7)))
    for run, (row, place) in zip(runs, places_of(runs, tokens).tolist(), strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(tokens, 5, axis=1)
        first = np.argwhere((windows == run).all(axis=2))
        assert [row, place] == (first[0].tolist() if len(first) else [-1, -1])


class Copying(Recall):
    """Four keys, four values, and the same values again, all scored; no shortcut says that they are copied."""

    def draw(self, stream: Stream, split: str) -> Batch:
        tokens = stream.integers("tokens", 16, self.length)
        answer = np.broadcast_to(np.arange(self.length) >= self.length - 4, tokens.shape)
        tokens[:, -4:] = tokens[:, -8:-4]
        return Batch(tokens=tokens, loss=answer, scored=answer)

    def oracle(self, batch: Batch) -> Integers:
        return np.where(batch.scored, np.roll(batch.tokens, 4, axis=1), -1)

    def last_value(self, batch: Batch) -> Integers:
        return np.broadcast_to(batch.tokens[:, [-5]], batch.tokens.shape)


def test_copying_a_text_is_no_simple_rule_where_no_ceiling_is_known() -> None:
    assert check_task(Copying(RecallConfig()), 2000).problems == []
