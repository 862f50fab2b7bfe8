"""The tuning figure shows every trial, and which one each cell chose."""

import numpy as np
import pytest

from reports.exhibits.study.tuning_trials import TuningTrials
from reports.frames.judged import read_judged
from tests.reports.figure_reader import FigureReader
from tests.reports.stored_study import RATES, StoredStudy

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
