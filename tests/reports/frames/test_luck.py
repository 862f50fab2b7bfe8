"""The caution about luck: a chosen trial that no confirming run reproduces on validation."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.frames.claim_lines import claim_lines
from reports.frames.summaries import scores
from reports.frames.wording import cautions
from reports.pages.study import render_study
from studies.declared.study import Study
from studies.reading.judged import read_judged
from studies.reading.results import read_results
from tests.reports.forged_study import Score, Splits, forge, small


def warned_cells(home: Path, study: Study) -> set[str]:
    """Returns the cells that the caution names."""
    lucky = [caution for caution in cautions(read_results(home, study)) if "by luck" in caution]
    return {caution.removeprefix("In ").partition(", the chosen trial")[0] for caution in lucky}


def scores_of(trials: list[float | None], seeds: list[float], test: float = 0.5) -> Score:
    """Returns the same scores for every cell: for its trials, for its seeds on validation, and one score on test."""

    def score(cell: str, phase: str, number: int) -> Splits | None:
        value = trials[number] if phase == "tune" else seeds[number]
        return None if value is None else {"validation": value, "test": test + 0.001 * number}

    return score


def test_the_caution_reads_validation_and_not_test(tmp_path: Path) -> None:
    study = small(tmp_path)
    all_cells = {cell.label for cell in study.cells}
    reproduced = scores_of([0.6, 0.9], [0.88, 0.89, 0.9, 0.91, 0.92], test=0.1)
    forge(tmp_path / "reproduced", study, reproduced)
    assert warned_cells(tmp_path / "reproduced", study) == set()
    lucky = scores_of([0.6, 0.9], [0.5, 0.51, 0.52, 0.53, 0.54], test=0.9)
    forge(tmp_path / "lucky", study, lucky)
    assert warned_cells(tmp_path / "lucky", study) == all_cells


@pytest.mark.parametrize("source", range(4))
def test_the_caution_names_the_cells_whose_trial_is_further_off_than_the_seeds_are_from_each_other(
    tmp_path: Path, source: int
) -> None:
    study = small(tmp_path, ("trials = 2", "trials = 3"))
    drawn: dict[tuple[str, str, int], Splits | None] = {}

    def score(cell: str, phase: str, number: int) -> Splits | None:
        rng = np.random.default_rng([source, *cell.encode(), phase == "tune", number])
        failed = phase == "tune" and rng.random() < 0.4
        higher = phase == ("tune" if source % 2 else "confirm")
        value = rng.integers(0, 4) / 10 + (0.4 if higher else 0.2)
        drawn[cell, phase, number] = None if failed else {"validation": float(value), "test": float(rng.random())}
        return drawn[cell, phase, number]

    forge(tmp_path / "home", study, score)
    expected = set()
    for cell in study.cells:
        trials = [drawn[cell.label, "tune", number] for number in range(3)]
        scored = [trial["validation"] for trial in trials if trial]
        if len(scored) < 2:
            continue
        confirmed = [scores["validation"] for seed in range(5) if (scores := drawn[cell.label, "confirm", seed])]
        low, high, best = min(confirmed), max(confirmed), max(scored)
        if high > low and (best - high > high - low or low - best > high - low):
            expected.add(cell.label)
    assert warned_cells(tmp_path / "home", study) == expected


@pytest.mark.parametrize(
    "trials", [[0.9], [0.9, None], [None, 0.9]], ids=["one", "the other failed", "the first failed"]
)
def test_no_trial_was_chosen_by_luck_where_only_one_has_a_score(tmp_path: Path, trials: list[float | None]) -> None:
    study = small(tmp_path, ("trials = 2", f"trials = {len(trials)}"))
    forge(tmp_path / "home", study, scores_of(trials, [0.5, 0.51, 0.52, 0.53, 0.54]))
    assert warned_cells(tmp_path / "home", study) == set()


@pytest.mark.parametrize("seeds", [[1.0] * 5, [0.1 + 0.2, 0.3, 0.3, 0.3, 0.3]], ids=["equal", "equal but for rounding"])
def test_a_trial_is_not_measured_by_a_scatter_of_zero(tmp_path: Path, seeds: list[float]) -> None:
    study = small(tmp_path)
    forge(tmp_path / "home", study, scores_of([0.98, 0.99], seeds))
    assert warned_cells(tmp_path / "home", study) == set()


@pytest.mark.parametrize("seeds", [1, 5])
def test_one_score_and_equal_scores_have_no_interval(tmp_path: Path, seeds: int) -> None:
    study = replace(small(tmp_path), seeds=seeds)
    forge(tmp_path / "home", study, lambda cell, phase, number: {"validation": 0.7, "test": 0.7})
    judged = read_judged(tmp_path / "home", study)
    for row in scores(judged.results).values():
        assert row.mean == pytest.approx(0.7)
        assert row.seeds == seeds
        assert np.isnan([row.low, row.high]).all()
    page = render_study(judged)
    assert "0.700 to 0.700" not in page
    assert not re.search(r"\bnan\b", page)
    assert f": mean 0.700, {seeds} seed" in page


def test_equal_effects_have_no_standard_deviation_as_their_unit(tmp_path: Path) -> None:
    """In floating point, 0.81 - 0.36 and 0.8 - 0.35 differ by 1e-16."""
    study = small(tmp_path)

    def score(cell: str, phase: str, number: int) -> Splits:
        return dict.fromkeys(("validation", "test"), (0.35 if "n=1" in cell else 0.8) + 0.01 * number)

    forge(tmp_path / "home", study, score)
    judged = read_judged(tmp_path / "home", study)
    effects = [judgement.by_seed.values() for judgement in judged.judgements]
    assert all(0 < np.std(list(values), ddof=1) < 1e-15 for values in effects)
    assert all(np.isnan(line.deviation) for line in claim_lines(study, judged.judgements, 1.0))
