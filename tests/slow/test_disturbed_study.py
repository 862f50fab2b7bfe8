"""Runs tests/slow/disturbed_study.py with six kills; the script makes fifty."""

import pytest

from tests.slow.disturbed_study import torture


@pytest.mark.slow
def test_a_study_whose_workers_and_coordinator_are_killed_ends_with_the_same_verdicts() -> None:
    assert torture(kills=6, seed=0, workers=2, steps=60) == []
