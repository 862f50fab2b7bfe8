"""Counter-based draws are uniform, independent, and a function of their key and site only."""

import numpy as np
from scipy import stats

from generators.foundation.randomness import Stream, sample_keys


def test_a_draw_depends_on_its_key_and_site_and_not_on_the_batch() -> None:
    whole = Stream(sample_keys("stream", np.arange(100))).bits("site", 7)
    shuffled = np.random.default_rng(0).permutation(100)
    parts = Stream(sample_keys("stream", shuffled)).bits("site", 7)
    assert (whole[shuffled] == parts).all()
    assert (whole[:, :3] == Stream(sample_keys("stream", np.arange(100))).bits("site", 3)).all()


def test_streams_sites_and_columns_are_independent() -> None:
    keys = sample_keys("stream", np.arange(20_000))
    first = Stream(keys).uniform("a", 2)
    others = [
        first[:, 1],
        Stream(keys).uniform("b", 1)[:, 0],
        Stream(sample_keys("other", np.arange(20_000))).uniform("a", 1)[:, 0],
        np.roll(first[:, 0], 1),
    ]
    for other in others:
        assert abs(np.corrcoef(first[:, 0], other)[0, 1]) < 4 / np.sqrt(20_000)


def test_uniform_draws_are_uniform() -> None:
    draws = Stream(sample_keys("stream", np.arange(20_000))).uniform("a", 3).ravel()
    assert stats.kstest(draws, "uniform").pvalue > 0.001


def test_integers_are_uniform_below_their_bound() -> None:
    draws = Stream(sample_keys("stream", np.arange(20_000))).integers("a", 7, 3)
    assert stats.chisquare(np.bincount(draws.ravel(), minlength=7)).pvalue > 0.001


def test_choose_draws_distinct_members_in_every_order_equally_often() -> None:
    chosen = Stream(sample_keys("stream", np.arange(12_000))).choose("a", 4, 2)
    assert (chosen[:, 0] != chosen[:, 1]).all()
    counts = np.bincount(chosen[:, 0] * 4 + chosen[:, 1], minlength=16).reshape(4, 4)
    assert stats.chisquare(counts[~np.eye(4, dtype=bool)]).pvalue > 0.001


def test_later_attempts_differ_from_the_first_and_from_each_other() -> None:
    stream = Stream(sample_keys("stream", np.arange(10)))
    attempts = stream.again(np.arange(10), 1, 3).bits("a", 1).reshape(10, 3)
    assert len(np.unique(np.concatenate((stream.bits("a", 1), attempts), axis=1))) == 40


def test_attempts_do_not_depend_on_how_many_are_drawn_at_once() -> None:
    stream = Stream(sample_keys("stream", np.arange(4)))
    together = stream.again(np.arange(4), 1, 6).keys.reshape(4, 6)
    separately = np.stack([stream.again(np.arange(4), attempt, 1).keys for attempt in range(1, 7)], axis=1)
    assert (together == separately).all()
