"""The expected best of k trials equals an enumeration of all choices, and counts complete trials only."""

from itertools import combinations, pairwise
from statistics import fmean

import numpy as np
import pytest

from reports.frames.method.expected_best import complete_trials, expected_best, tuning_trials
from studies.reading.results import read_results
from tests.reports.stored_study import RATES, STUDY_FILE, Outcome, StudyStore, usual_outcome


def random_scores(source: int) -> list[float]:
    """Returns up to nine scores, some of which may be equal."""
    rng = np.random.default_rng(source)
    return [float(score) for score in rng.normal(size=rng.integers(1, 10)).round(source % 3)]


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("source", range(12))
def test_the_expected_best_is_the_mean_best_over_all_choices_of_k_trials(source: int, sign: float) -> None:
    scores, best = random_scores(source), max if sign > 0 else min
    expected = [fmean(map(best, combinations(scores, k))) for k in range(1, len(scores) + 1)]
    curve = expected_best(scores, sign)
    assert curve == pytest.approx(expected, abs=1e-12)
    assert curve[0] == pytest.approx(fmean(scores), abs=1e-12)
    assert curve[-1] == best(scores)
    assert all(sign * (later - earlier) >= -1e-12 for earlier, later in pairwise(curve))


def test_the_expected_best_of_many_trials_stays_exact_at_both_ends() -> None:
    scores = list(np.random.default_rng(0).normal(size=1500))
    curve = expected_best(scores, 1.0)
    assert curve[0] == pytest.approx(fmean(scores))
    assert curve[-2] == pytest.approx(max(scores) - (sorted(scores)[-1] - sorted(scores)[-2]) / 1500)
    assert curve[-1] == max(scores)


def test_where_less_is_better_the_expected_best_falls_with_k() -> None:
    assert expected_best([3.0, 1.0, 2.0], -1.0) == pytest.approx([2.0, 4 / 3, 1.0])
    assert expected_best([3.0, 1.0, 2.0], 1.0) == pytest.approx([2.0, 8 / 3, 3.0])


def test_the_score_of_a_trial_is_its_mean_over_tuning_seeds(store: StudyStore) -> None:
    """The first trial of a cell scores 0.3 and 0.9, the second one 0.5 and 0.6."""
    scores = {"tune": (0.3, 0.9, 0.5, 0.6), "confirm": (0.7,) * 5}
    text = STUDY_FILE.replace("trials = 2", "trials = 2\nseeds = 2")
    stored = store(lambda cell, phase, number: scores[phase][number], text=text)
    for label, trials in tuning_trials(read_results(stored.home, stored.study)).items():
        identities = [run.identity for cell, run in stored.runs("tune") if cell == label]
        assert [trial.score for trial in trials] == pytest.approx([0.6, 0.55])
        assert [run for trial in trials for run in trial.runs] == identities
        assert [len(trial.runs) for trial in trials] == [2, 2]
        assert [list(trial.settings.values()) for trial in trials] == [[rate] for rate in RATES]


def test_a_trial_without_all_its_scores_is_left_out(store: StudyStore) -> None:
    """In one cell the second seed of the first trial fails; in another one that of the second trial has not ended."""

    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        if (cell, phase, number) == ("width=8 n=1", "tune", 1):
            return "out of memory"
        if (cell, phase, number) == ("width=16 n=2", "tune", 3):
            return None
        return usual_outcome(cell, phase, number)

    stored = store(outcomes, text=STUDY_FILE.replace("trials = 2", "trials = 2\nseeds = 2"))
    trials = tuning_trials(read_results(stored.home, stored.study))
    states = {cell: [(trial.score is None, trial.failed) for trial in members] for cell, members in trials.items()}
    complete, failed, unfinished = (False, False), (True, True), (True, False)
    assert states["width=8 n=1"] == [failed, complete]
    assert states["width=16 n=2"] == [complete, unfinished]
    assert states["width=8 n=2"] == [complete, complete]
    assert [trial for _, trial in complete_trials(trials["width=8 n=1"], 1.0)] == trials["width=8 n=1"][1:]
