"""The figures and tables of tuning show every trial, which ones failed, which one each cell chose, and what the best of
fewer trials would have scored.
"""

import numpy as np
import pytest

from reports.drawing.tables import MISSING_VALUE, Value
from reports.exhibits.study.method.expected_best import ExpectedBest
from reports.exhibits.study.method.tuning_budget import TuningBudget
from reports.exhibits.study.method.tuning_trials import TuningTrials
from studies.reading.judged import read_judged
from tests.reports.figure_reader import FigureReader
from tests.reports.stored_study import RATES, STUDY_FILE, Outcome, StoredStudy, StudyStore, usual_outcome

PIXEL = 0.006


def test_every_trial_is_drawn_and_the_winner_of_each_cell_has_a_ring(usual_store: StoredStudy) -> None:
    """The axis is logarithmic; its ticks are the ends and the middle of the searched range."""
    for svg in TuningTrials(read_judged(usual_store.home, usual_store.study)).figures():
        figure = FigureReader(svg)
        assert figure.text.count("2 trials") == 2
        trials = [mark for mark in figure.marks if "trial" in mark.tooltip]
        assert len(trials) == 4
        low, high = (figure.tick("x", text) for text in ("0.001", "0.1"))
        for mark in trials:
            rate = RATES[int(mark.tooltip.partition("trial ")[2][0])]
            x, y = mark.points[0]
            pixel = figure.x_scale[0] + x * figure.x_scale[1]
            assert (pixel - low) / (high - low) == pytest.approx((np.log10(rate) + 3) / 2, abs=0.01)
            assert y == pytest.approx(float(mark.tooltip.partition(": ")[2].split()[0]), abs=PIXEL)
        rings = sorted(mark.points for mark in figure.marks if mark.tooltip.endswith(": chosen"))
        assert rings == sorted(mark.points for mark in trials if "trial 1" in mark.tooltip)


def test_a_failed_trial_is_a_cross_and_an_unfinished_one_is_absent(broken_store: StoredStudy) -> None:
    panels = TuningTrials(read_judged(broken_store.home, broken_store.study)).figures()
    texts = [text for svg in panels for text in FigureReader(svg).tooltips]
    assert "width=16 n=1, trial 0: failed at 0.01, no score" in texts
    assert not any(text.startswith("width=16 n=2, trial 1") for text in texts)


def budget_rows(stored: StoredStudy) -> dict[tuple[str, ...], dict[str, Value]]:
    """Returns the levels of each cell -> title -> value of its row in the budget table."""
    table = TuningBudget(read_judged(stored.home, stored.study)).table()
    titles = [column.title for column in table.columns]
    rows = [dict(zip(titles, row, strict=True)) for row in table.rows]
    return {(row["width"].text, row["n"].text): row for row in rows}


def test_the_budget_counts_the_trials_that_ended_and_those_that_failed(broken_store: StoredStudy) -> None:
    """One trial of a cell failed, and one of another has not ended."""
    rows = budget_rows(broken_store)
    counts = {cell: (row["trials"].text, row["failed"].text) for cell, row in rows.items()}
    assert counts == {
        ("8", "1"): ("2 of 2", "0"),
        ("8", "2"): ("2 of 2", "0"),
        ("16", "1"): ("2 of 2", "1"),
        ("16", "2"): ("1 of 2", "0"),
    }
    assert rows["16", "1"]["validation score"].order == pytest.approx(usual_outcome("width=16 n=1", "tune", 1))
    assert rows["16", "2"]["validation score"] == rows["16", "2"]["chosen learning_rate"] == MISSING_VALUE


def test_the_validation_score_of_a_trial_of_two_seeds_is_their_mean(store: StudyStore) -> None:
    """The first trial of a cell scores 0.3 and 0.9, the second one 0.5 and 0.6."""
    scores = {"tune": (0.3, 0.9, 0.5, 0.6), "confirm": (0.7,) * 5}
    stored = store(
        lambda cell, phase, number: scores[phase][number],
        text=STUDY_FILE.replace("trials = 2", "trials = 2\nseeds = 2"),
    )
    for row in budget_rows(stored).values():
        assert row["trials"].text == "4 of 4"
        assert row["chosen learning_rate"].order == RATES[0]
        assert row["validation score"].order == pytest.approx(0.6)


def test_the_expected_best_table_ranks_the_complete_trials_and_ends_with_the_failed_one(
    broken_store: StoredStudy,
) -> None:
    """In the last two cells one trial failed, and one has not ended."""
    (exhibit,) = ExpectedBest.instances(read_judged(broken_store.home, broken_store.study))
    rows = [[value.text for value in row] for row in exhibit.table().rows]
    runs = {(label, run.settings["training.learning_rate"]): run.identity for label, run in broken_store.runs("tune")}
    cell = "width=8 n=2"
    assert rows[2:4] == [
        ["8", "2", "1", "0.7250", "0.7500", "0.004", runs[cell, 0.004]],
        ["8", "2", "2", "0.7500", "0.7000", "0.01", runs[cell, 0.01]],
    ]
    assert rows[4:6] == [
        ["16", "1", "1", "0.8500", "0.8500", "0.004", runs["width=16 n=1", 0.004]],
        ["16", "1", "–", "–", "–", "0.01", runs["width=16 n=1", 0.01]],
    ]
    caption = exhibit.caption()
    assert "1 trial failed and is left out: width=16 n=1 at learning_rate = 0.01." in caption
    assert (
        "1 trial did not run with all tuning seeds and is left out: width=16 n=2 at learning_rate = 0.004." in caption
    )
    assert [column.title for column in exhibit.summary().columns] == ["width", "n", "1 trial", "2 trials"]
    assert [value.text for value in exhibit.summary().rows[2]] == ["16", "1", "0.850", "–"]


def test_a_cell_needs_two_complete_trials_for_a_curve(broken_store: StoredStudy, store: StudyStore) -> None:
    figures = ExpectedBest(read_judged(broken_store.home, broken_store.study)).figures()
    assert [FigureReader(svg).tooltips for svg in figures] == [
        ["width=8 n=1: 0.275 with 1 trial, 0.300 with 2", "width=8 n=2: 0.725 with 1 trial, 0.750 with 2"]
    ]
    single = store(text=STUDY_FILE.replace("trials = 2", "trials = 1"))
    assert ExpectedBest.instances(read_judged(single.home, single.study)) == []


def test_expected_scores_have_as_many_decimals_as_tell_the_curves_apart(store: StudyStore) -> None:
    """The curves extend over 0.00006, of which two significant digits are shown."""

    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        return 0.5 + 0.0001 * number + 0.00001 * (cell[-1] == "2")

    stored = store(outcomes)
    exhibit = ExpectedBest(read_judged(stored.home, stored.study))
    assert [value.text for value in exhibit.summary().rows[0]] == ["8", "1", "0.500050", "0.500100"]
    assert [value.text for value in exhibit.summary().rows[1]] == ["8", "2", "0.500060", "0.500110"]
    assert "width=8 n=2: 0.500060 with 1 trial, 0.500110 with 2" in FigureReader(exhibit.figures()[0]).tooltips
