"""The signal to noise of a measure follows from its closed form, whatever the unit of the measure."""

from math import inf, isnan, sqrt

import numpy as np
import pytest

from reports.drawing.tables import Value
from reports.exhibits.study.method.signal_to_noise import NO_SCATTER, SignalToNoise, ratio_value
from reports.frames.method.signal_to_noise import measure_signals, signal_of
from studies.reading.judged import read_judged
from studies.reading.results import read_results
from studies.statistics.forms.form import Scores
from tests.reports.stored_study import STUDY_FILE, Outcome, StoredStudy, StudyStore, usual_outcome


def arms_of(*arms: list[float]) -> list[Scores]:
    return [np.array(values, dtype=float) for values in arms]


def test_the_signal_of_two_arms_is_that_of_the_closed_form() -> None:
    """The variances over seeds are 2 and 0, so 1 if pooled; the means are 1 and 5, with variance 8 between them.

    The scatter of a mean of two seeds is 1/2 of that over seeds.
    """
    signal = signal_of("accuracy", arms_of([0, 2], [5, 5]))
    assert (signal.within, signal.between) == pytest.approx((1, sqrt(8 - 1 / 2)))
    assert signal.ratio == pytest.approx(sqrt(7.5))
    assert signal.seeds == (2, 2)


def test_arms_with_unequal_seeds_count_by_their_degrees_of_freedom() -> None:
    """The variances over seeds are 2 (one degree of freedom) and 1 (two), so 4/3 if pooled."""
    signal = signal_of("accuracy", arms_of([0, 2], [4, 5, 6]))
    assert signal.within == pytest.approx(sqrt(4 / 3))
    assert signal.between == pytest.approx(sqrt(8 - 4 / 3 * (1 / 2 + 1 / 3) / 2))


def test_means_no_further_apart_than_seeds_explain_have_no_signal() -> None:
    signal = signal_of("accuracy", arms_of([0, 4], [1, 5]))
    assert (signal.between, signal.ratio) == (0, 0)


def test_a_measure_without_scatter_over_seeds_divides_by_nothing() -> None:
    differing, equal = (signal_of("exact", arms_of([0.1] * 3, [level] * 3)) for level in (0.7, 0.1))
    assert (differing.within, differing.ratio) == (0, inf)
    assert differing.between == pytest.approx(0.6 / sqrt(2))
    assert (equal.within, equal.between) == (0, 0)
    assert isnan(equal.ratio)
    ordinary = ratio_value(signal_of("exact", arms_of([0, 2], [5, 5])))
    assert ratio_value(differing).text == ratio_value(equal).text == NO_SCATTER
    orders = [value.order for value in (ratio_value(equal), ordinary, ratio_value(differing))]
    assert all(isinstance(order, float) and np.isfinite(order) for order in orders)
    assert orders == sorted(orders, key=lambda order: float(order or 0))


@pytest.mark.parametrize("source", range(5))
def test_the_ratio_does_not_depend_on_the_unit_of_the_measure(source: int) -> None:
    rng = np.random.default_rng(source)
    arms = [rng.normal(size=rng.integers(2, 7)) for _ in range(rng.integers(2, 6))]
    factor, shift = rng.normal(size=2)
    changed = [factor * values + shift for values in arms]
    assert signal_of("loss_1", changed).ratio == pytest.approx(signal_of("loss_1", arms).ratio)


def test_the_estimate_between_arms_is_unbiased_in_its_variance() -> None:
    """Arms have a variance of 1 and seeds one of 4; the standard error of the mean estimate is about 0.03."""
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(3000):
        arms = [mean + 2 * rng.normal(size=5) for mean in rng.normal(size=8)]
        estimates.append(signal_of("accuracy", arms))
    assert np.mean([signal.within**2 for signal in estimates]) == pytest.approx(4, abs=0.1)
    assert np.mean([signal.between**2 for signal in estimates]) == pytest.approx(1, abs=0.1)


def rows_of_page(stored: StoredStudy) -> dict[str, dict[str, Value]]:
    """Returns measure -> title -> value of its row on the page."""
    (exhibit,) = SignalToNoise.instances(read_judged(stored.home, stored.study))
    table = exhibit.table()
    titles = [column.title for column in table.columns]
    return {row[0].text: dict(zip(titles, row, strict=True)) for row in table.rows}


def test_a_page_ranks_the_metrics_of_an_evaluation_by_the_scores_of_its_runs(usual_store: StoredStudy) -> None:
    """The accuracies of every arm are 0.01 apart; exact is half of them, in the arms as over seeds."""
    rows = rows_of_page(usual_store)
    assert set(rows) == {"accuracy", "exact", "accuracy_unexplained", "above_shortcuts", "loss_1"}
    within, between = np.var([0, 0.01, 0.02, 0.03, 0.04], ddof=1), np.var([0.35, 0.8, 0.9, 0.9], ddof=1)
    ratio = sqrt((between - within / 5) / within)
    for measure in ("accuracy", "exact", "above_shortcuts"):
        assert rows[measure]["signal to noise"].order == pytest.approx(ratio)
        assert (rows[measure]["arms"].text, rows[measure]["seeds per arm"].text) == ("4", "5")
    orders = [float(row["signal to noise"].order or 0) for row in rows.values()]
    assert orders == sorted(orders, reverse=True)


def test_only_arms_with_two_complete_seeds_count(broken_store: StoredStudy, store: StudyStore) -> None:
    """In the broken study one seed of an arm failed, one of another has not ended, and the last arm has no seed."""
    rows = rows_of_page(broken_store)
    assert (rows["accuracy"]["arms"].text, rows["accuracy"]["seeds per arm"].text) == ("3", "4 to 5")

    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        kept = cell == "width=8 n=1" or phase == "tune" or number == 0
        return usual_outcome(cell, phase, number) if kept else "out of memory"

    lone = store(outcomes)
    assert SignalToNoise.instances(read_judged(lone.home, lone.study)) == []


def test_solving_counts_as_two_measures_if_the_study_says_what_is_solved(store: StudyStore) -> None:
    """A run has half its score at step 10 and all of it at step 20, so that of n = 1 at width 8 alone stays below 0.2
    at step 10; the others solve their task with their second evaluation, which is their last.
    """
    stored = store(text=STUDY_FILE.replace("seeds = 5", 'seeds = 5\nmetric = "accuracy"\nsolved_at = 0.2'))
    signals = {signal.metric: signal for signal in measure_signals(read_results(stored.home, stored.study))}
    solved, steps = signals["solved"], signals["steps_to_solve"]
    assert (solved.within, solved.between, solved.ratio) == (0, pytest.approx(0.5), inf)
    assert (steps.within, steps.between) == (0, 0)
    assert next(iter(signals)) == "solved"
    assert list(signals)[-1] == "steps_to_solve"
