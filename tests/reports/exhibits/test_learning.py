"""Learning curves show the means of the seeds."""

import re

import numpy as np
import pytest

from reports.exhibits.study.learning_seconds import LearningSeconds
from reports.exhibits.study.learning_steps import LearningSteps
from studies.reading.judged import read_judged
from tests.reports.figure_reader import FigureReader
from tests.reports.stored_study import StoredStudy, usual_score

PIXEL = 0.006
PANELS = (("width=8 n=1", "width=8 n=2"), ("width=16 n=1", "width=16 n=2"))


@pytest.mark.parametrize("exhibit", [LearningSteps, LearningSeconds])
def test_mean_curves_are_the_means_of_the_seeds(
    usual_store: StoredStudy, exhibit: type[LearningSteps | LearningSeconds]
) -> None:
    panels = exhibit(read_judged(usual_store.home, usual_store.study)).figures()
    assert len(panels) == 2
    labels = [cell.label for cell in usual_store.study.cells]
    for svg, cells in zip(panels, PANELS, strict=True):
        figure = FigureReader(svg)
        for cell in cells:
            mean = figure.mark(f"{cell}, mean of 5 seeds")
            seconds = np.mean([1.0 + labels.index(cell) + 0.1 * seed for seed in range(5)])
            x = [10, 20] if exhibit is LearningSteps else [seconds, 2 * seconds]
            final = np.mean([usual_score(cell, seed) for seed in range(5)])
            assert [point[0] for point in mean.points] == pytest.approx(x, rel=0.02)
            assert [point[1] for point in mean.points] == pytest.approx([final / 2, final], abs=PIXEL)
            assert sum(bool(re.fullmatch(rf"{cell}, seed \d", text)) for text in figure.tooltips) == 5


def test_the_tables_behind_the_curves_hold_scores_and_seconds(usual_store: StoredStudy) -> None:
    judged = read_judged(usual_store.home, usual_store.study)
    scores, seconds = LearningSteps(judged).table(), LearningSeconds(judged).table()
    titles = [column.title for column in scores.columns]
    assert titles == ["width", "n", "step", "mean value", *(f"seed {seed}" for seed in range(5))]
    first, second = ([value.text for value in table.rows[1]] for table in (scores, seconds))
    final = [usual_score("width=8 n=1", seed) for seed in range(5)]
    assert first == ["8", "1", "20", *(f"{score:.3f}" for score in (np.mean(final), *final))]
    assert second == ["8", "1", "20", "2.40", "2.00", "2.20", "2.40", "2.60", "2.80"]
