"""The figure of the share solved has every run, its table the steps; a study that declares no threshold has neither."""

import numpy as np
import pytest

from reports.exhibits.study.share_solved import ShareSolved
from studies.reading.judged import read_judged
from studies.statistics.exact import share_interval
from tests.reports.figure_reader import FigureReader
from tests.reports.stored_study import STUDY_FILE, Outcome, StoredStudy, StudyStore

SAYS = STUDY_FILE.replace("seeds = 5\n", "seeds = 5\nsolved_at = 0.19\n", 1)
"""Runs have half of their score at step 10 and all of it at step 20, so that 0.38 or more is solved at step 20."""
PIXEL = 0.006


def shown(stored: StoredStudy) -> ShareSolved:
    (exhibit,) = ShareSolved.instances(read_judged(stored.home, stored.study))
    return exhibit


def test_each_run_is_drawn_where_it_solved_the_task_or_at_the_end(store: StudyStore) -> None:
    exhibit = shown(store(text=SAYS))
    first, second = (FigureReader(svg) for svg in exhibit.figures())
    for seed in range(3):
        ((x, y),) = first.mark(f"width=8 n=1, seed {seed}: not solved in 20 steps").points
        assert x > 20
        assert y == pytest.approx(2 / 5, abs=PIXEL)
    for count, seed in enumerate((3, 4), 1):
        ((x, y),) = first.mark(f"width=8 n=1, seed {seed}: solved at step 20").points
        assert (x, y) == pytest.approx((20, count / 5), abs=0.02)
    assert first.mark("width=8 n=1: 2 of 5 runs solved the task")
    assert second.mark("width=16 n=2: 5 of 5 runs solved the task")
    assert not [text for text in second.tooltips if "not solved" in text]


def test_the_tables_count_solved_and_censored_runs(store: StudyStore) -> None:
    exhibit = shown(store(text=SAYS))
    rows = {tuple(value.text for value in row[:2]): [value.text for value in row[2:]] for row in exhibit.summary().rows}
    low, high = share_interval(np.array([1.0, 1.0, 0.0, 0.0, 0.0]), 0.05)
    assert rows["8", "1"] == ["5", "2", "0.400", f"{low:.3f} to {high:.3f}", "–", "20", "3"]
    assert rows["16", "2"][:3] == ["5", "5", "1.000"]
    assert rows["16", "2"][4:] == ["20", "20", "0"]
    steps = [row[3].text for row in exhibit.table().rows if [value.text for value in row[:2]] == ["8", "1"]]
    assert steps == ["not solved", "not solved", "not solved", "20", "20"]


def test_a_run_that_did_not_solve_the_task_counts_with_all_its_steps(store: StudyStore) -> None:
    """One run reaches 0.39 twice, at steps 10 and 15; the others reach it once, at the end, step 20."""

    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        return 0.8 if phase == "confirm" and number == 0 else 0.4

    text = SAYS.replace("solved_at = 0.19", "solved_at = 0.39").replace(
        "evaluate_every_steps = 10", "evaluate_every_steps = 5"
    )
    exhibit = shown(store(outcomes, text=text))
    for row in exhibit.summary().rows:
        assert [value.text for value in row[-3:]] == ["–", "19", "4"]


def test_a_study_that_declares_no_threshold_has_no_such_figure(usual_store: StoredStudy) -> None:
    assert ShareSolved.instances(read_judged(usual_store.home, usual_store.study)) == []
