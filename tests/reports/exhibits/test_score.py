"""The score figure shows every seed, the means with their intervals, and the shortcut."""

import re

import matplotlib
import numpy as np
import pytest

from reports.exhibits.study.contrasts import Contrasts
from reports.exhibits.study.learning_steps import LearningSteps
from reports.exhibits.study.score import Score
from studies.reading.judged import read_judged
from studies.statistics.exact import mean_interval
from tests.reports.figure_reader import FigureReader
from tests.reports.stored_study import SHORTCUT, STUDY_FILE, StoredStudy, StudyStore, usual_score

PIXEL = 0.006
"""Score that one pixel stands for, at most."""
CELLS = ("width=8 n=1", "width=8 n=2", "width=16 n=1", "width=16 n=2")


def score_figures(stored: StoredStudy) -> list[str]:
    return Score(read_judged(stored.home, stored.study)).figures()


def test_every_seed_is_drawn_at_its_score(usual_store: StoredStudy) -> None:
    (svg,) = score_figures(usual_store)
    drawn = {mark.tooltip: mark.points[0][1] for mark in FigureReader(svg).marks if "seed " in mark.tooltip}
    expected = {
        f"{cell}, seed {run.seed}: {run.score:.3f}": run.score
        for cell, run in usual_store.runs("confirm")
        if run.score is not None
    }
    assert drawn.keys() == expected.keys()
    assert drawn == pytest.approx(expected, abs=PIXEL)


def test_seeds_stand_at_the_same_places_whichever_is_the_first(
    usual_store: StoredStudy, later_store: StoredStudy
) -> None:
    usual, later = (
        {mark.tooltip: mark.points[0] for mark in FigureReader(svg).marks if "seed " in mark.tooltip}
        for stored in (usual_store, later_store)
        for svg in score_figures(stored)
    )
    assert len(usual) == len(later) == 4 * 5
    for tooltip, place in usual.items():
        assert later[tooltip.replace("seed ", "seed 10")] == pytest.approx(place, abs=0.01)


def test_means_and_their_intervals_are_drawn(usual_store: StoredStudy) -> None:
    (svg,) = score_figures(usual_store)
    figure = FigureReader(svg)
    for cell in CELLS:
        values = np.array([usual_score(cell, seed) for seed in range(5)])
        low, high = mean_interval(values, 0.05, (0.0, 1.0))
        mark = figure.mark(f"{cell}: mean")
        assert mark.tooltip == f"{cell}: mean {values.mean():.3f}, interval {low:.3f} to {high:.3f}, 5 seeds"
        ((x, y),) = mark.points
        assert y == pytest.approx(values.mean(), abs=PIXEL)
        bars = [ends for ends in figure.segments if abs(ends[0][0] - x) < 0.1 and abs(ends[1][0] - x) < 0.1]
        assert any(sorted((start[1], end[1])) == pytest.approx([low, high], abs=PIXEL) for start, end in bars)


def test_the_shortcut_is_a_line_with_its_name_and_score(usual_store: StoredStudy) -> None:
    judged = read_judged(usual_store.home, usual_store.study)
    for svg, split in ((Score(judged).figures()[0], "test"), (LearningSteps(judged).figures()[0], "validation")):
        figure = FigureReader(svg)
        assert f"shortcut name_before: {SHORTCUT[split]:.3f}" in figure.text
        line = figure.mark("shortcut name_before")
        assert [y for _, y in line.points] == pytest.approx([SHORTCUT[split]] * 2, abs=PIXEL)


def test_a_failed_run_is_a_cross_below_the_scale_and_an_unfinished_run_is_absent(broken_store: StoredStudy) -> None:
    (svg,) = score_figures(broken_store)
    figure = FigureReader(svg)
    failures = [mark for mark in figure.marks if "failed" in mark.tooltip]
    assert [mark.tooltip for mark in failures] == ["width=8 n=2, seed 3: failed, no score"]
    assert failures[0].points[0][1] < -0.03
    assert not [text for text in figure.tooltips if "width=16 n=1, seed 4" in text or "width=16 n=2" in text]
    assert "failed, no score" in figure.text
    assert not any("0.000" in text or "nan" in text for text in figure.tooltips)


def test_hues_differ_in_shape_and_not_only_in_colour(usual_store: StoredStudy) -> None:
    (svg,) = score_figures(usual_store)
    marks = FigureReader(svg).marks
    shapes = {n: {mark.shape for mark in marks if f"n={n}, seed" in mark.tooltip} for n in (1, 2)}
    assert all(len(shape) == 1 for shape in shapes.values())
    assert not shapes[1] & shapes[2]
    svg, _ = LearningSteps(read_judged(usual_store.home, usual_store.study)).figures()
    dashes = {
        n: set(re.findall(rf"n={n}, (?:seed|mean)[^<]*</title>\s*<path[^>]*?stroke-dasharray: ([^;]*);", svg))
        for n in (1, 2)
    }
    assert not dashes[1]
    assert dashes[2]


def test_a_figure_has_the_same_bytes_after_other_figures_and_under_other_settings(broken_store: StoredStudy) -> None:
    (first,) = score_figures(broken_store)
    Contrasts(read_judged(broken_store.home, broken_store.study)).figures()
    np.random.seed(1)
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": False, "axes.labelpad": 40}):
        assert score_figures(broken_store) == [first]
        assert matplotlib.rcParams["axes.labelpad"] == 40


@pytest.mark.slow
def test_factors_beyond_two_get_panels(store: StudyStore) -> None:
    third = '"objective.n" = [1, 2]\n"training.batch_size" = [2, 4]'
    text = STUDY_FILE.replace('"objective.n" = [1, 2]', third)
    text = text.replace('"model.width" = "first"', '"model.width" = "first", "training.batch_size" = 2')
    text = text.replace('"model.width" = "last"', '"model.width" = "last", "training.batch_size" = 4')
    panels = score_figures(store(lambda cell, phase, number: 0.5 + 0.01 * number, text=text))
    assert ["batch_size=2" in FigureReader(svg).text for svg in panels] == [True, False]
    assert ["batch_size=4" in FigureReader(svg).text for svg in panels] == [False, True]
    seeds = [text for svg in panels for text in FigureReader(svg).tooltips if "seed " in text]
    assert len(seeds) == 8 * 5
