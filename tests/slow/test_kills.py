"""Runs tests/slow/kills.py with eight kills; the script makes hundreds."""

import pytest

from tests.slow.kills import torture


@pytest.mark.slow
def test_a_run_killed_at_random_moments_and_in_checkpoint_writes_ends_with_the_same_bytes() -> None:
    tally = torture(kills=8, seed=0, workers=1, steps=400)
    assert tally.kills >= 8
    assert tally.equal >= 1
    assert tally.wrong == []
