"""A page warns of arms that cannot be told apart because the metric is at its limit in all of their seeds."""

import pytest

from reports.frames.wording import cautions
from studies.reading.judged import read_judged
from tests.reports.stored_study import StudyStore

LIMIT = "the limit of the metric"


def cautions_of(store: StudyStore, scores: dict[str, float]) -> list[str]:
    stored = store(
        lambda cell, phase, number: scores[cell] + 0.01 * (phase == "tune" and number == 1) * (scores[cell] < 1)
    )
    return [caution for caution in cautions(read_judged(stored.home, stored.study).results) if LIMIT in caution]


@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_arms_at_the_limit_of_the_metric_are_named(store: StudyStore, bound: float) -> None:
    scores = {"width=8 n=1": bound, "width=8 n=2": bound, "width=16 n=1": 0.4, "width=16 n=2": 0.5}
    (caution,) = cautions_of(store, scores)
    assert caution.startswith(f"Every seed of width=8 n=1 and width=8 n=2 has accuracy {bound:g}, {LIMIT}")


def test_one_arm_at_the_limit_raises_no_caution(store: StudyStore) -> None:
    assert not cautions_of(store, {"width=8 n=1": 1.0, "width=8 n=2": 0.9, "width=16 n=1": 0.0, "width=16 n=2": 0.5})
