"""A small version of benchmarks/verdicts.py: how often whole studies go wrong, counted with fixed generators."""

import numpy as np
import pytest

from benchmarks.verdicts import (
    DIFFERENCE,
    SOURCES,
    allowed,
    covered,
    declared,
    equal,
    false_findings,
    learning,
    shifted,
    simulated,
    supported,
    two_looks,
)

STUDIES = 300


@pytest.mark.parametrize("claims", [1, 6])
@pytest.mark.parametrize("source", SOURCES)
def test_studies_of_equal_arms_find_any_difference_no_more_often_than_the_level(source: str, claims: int) -> None:
    assert false_findings(SOURCES[source], claims, STUDIES, "independent", 5, False) <= allowed(STUDIES)


def test_without_the_correction_six_claims_would_find_one_too_often() -> None:
    """So the simulation sees what it is there to see."""
    study = declared([DIFFERENCE] * 6, 2, "independent", 5, None)
    judgements = simulated(study, equal(SOURCES["normal"], 6, 2, 5), STUDIES)
    uncorrected = np.mean([any(one.p is not None and one.p <= 0.05 for one in each) for each in judgements])
    assert uncorrected > 3 * 0.05


def test_two_declared_looks_share_the_level_and_still_find_what_is_there() -> None:
    either, _ = two_looks(equal(SOURCES["normal"], 1, 2, 8), 1, STUDIES, [5, 8])
    assert either <= allowed(STUDIES)
    either, _ = two_looks(shifted(SOURCES["normal"], 2.0, 1, 8), 1, 100, [5, 8])
    assert either > 0.8


@pytest.mark.parametrize("source", ["normal", "skewed", "bimodal, p = 0.5"])
def test_intervals_hold_a_shift_as_often_as_they_say(source: str) -> None:
    study = declared([DIFFERENCE], 2, "independent", 5, None)
    found = covered(simulated(study, shifted(SOURCES[source], 1.0, 1, 5), STUDIES), 1.0)
    assert abs(found - 240 / 252) <= 3 * np.sqrt(0.05 * 0.95 / STUDIES)


def test_five_seeds_see_two_standard_deviations_four_times_in_five() -> None:
    study = declared([DIFFERENCE], 2, "independent", 5, None)
    assert supported(simulated(study, shifted(SOURCES["normal"], 2.0, 1, 5), STUDIES)) == pytest.approx(0.79, abs=0.07)
    assert supported(simulated(study, learning(0.2, 0.9, 1, 5), STUDIES)) > 0.4
