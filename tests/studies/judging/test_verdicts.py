"""Simulated studies reach wrong verdicts no more often than they should.

This is a small version of benchmarks/verdicts.py with fixed seeds."""

import numpy as np
import pytest

from benchmarks.simulated_studies import (
    DIFFERENCE,
    SOURCES,
    equal,
    highest_share_allowed,
    learning,
    share_covered,
    share_of_false_findings,
    share_supported,
    shares_at_two_looks,
    shifted,
    simulate,
    study_of,
)

STUDIES = 300


@pytest.mark.parametrize("claims", [1, 6])
@pytest.mark.parametrize("source", SOURCES)
def test_studies_of_equal_arms_find_any_difference_no_more_often_than_the_level(source: str, claims: int) -> None:
    share = share_of_false_findings(SOURCES[source], claims, STUDIES, "independent", 5, False)
    assert share <= highest_share_allowed(STUDIES)


def test_without_the_correction_six_claims_would_find_a_difference_too_often() -> None:
    """Shows that the simulation can detect an error rate above the level."""
    study = study_of([DIFFERENCE] * 6, 2, "independent", 5, None)
    judgements = simulate(study, equal(SOURCES["normal"], 6, 2, 5), STUDIES)
    uncorrected = [any(claim.p is not None and claim.p <= 0.05 for claim in claims) for claims in judgements]
    assert np.mean(uncorrected) > 3 * 0.05


def test_two_declared_looks_share_the_level_and_still_find_a_difference_that_is_there() -> None:
    either, _ = shares_at_two_looks(equal(SOURCES["normal"], 1, 2, 8), 1, STUDIES, [5, 8])
    assert either <= highest_share_allowed(STUDIES)
    either, _ = shares_at_two_looks(shifted(SOURCES["normal"], 2.0, 1, 8), 1, 100, [5, 8])
    assert either > 0.8


@pytest.mark.parametrize("source", ["normal", "skewed", "bimodal, q = 0.5"])
def test_intervals_contain_a_shift_as_often_as_their_level_says(source: str) -> None:
    study = study_of([DIFFERENCE], 2, "independent", 5, None)
    share = share_covered(simulate(study, shifted(SOURCES[source], 1.0, 1, 5), STUDIES), 1.0)
    assert abs(share - 240 / 252) <= 3 * np.sqrt(0.05 * 0.95 / STUDIES)


def test_five_seeds_find_two_standard_deviations_four_times_in_five() -> None:
    study = study_of([DIFFERENCE], 2, "independent", 5, None)
    power = share_supported(simulate(study, shifted(SOURCES["normal"], 2.0, 1, 5), STUDIES))
    assert power == pytest.approx(0.79, abs=0.07)
    assert share_supported(simulate(study, learning(0.2, 0.9, 1, 5), STUDIES)) > 0.4
