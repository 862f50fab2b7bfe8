"""Tuning: trials of several seeds, pruning, samplers, and seeds that are added to a study that was judged."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage

from generators.foundation.errors import UserError
from studies.declared.loading import declare
from studies.declared.study import TUNING_SEED, Cell, Study
from studies.ledger.declared_study import cells_of
from studies.ledger.folder import StudyFolder
from studies.running import tuning
from studies.running.cell_runs import RunEvent
from studies.running.executors.executor import Outcome, RunRequest
from studies.running.executors.here import InProcess
from studies.running.sweep import Sweep
from tests.studies.conftest import Edit

RATE = "training.learning_rate"
BEST_RATE = 0.02
Score = Callable[[float, int], float]
"""Distance of a learning rate from the best one, and number of the seed within its phase -> accuracy."""


@pytest.fixture
def score_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Score], None]:
    """Returns a function that replaces training by a score of learning rate and seed."""

    def replace(score: Score) -> None:
        def attempt(request: RunRequest, home: Path) -> Outcome:
            rate, seed = request.tree["training"]["learning_rate"], request.tree["seed"]
            metrics = {"accuracy": score(abs(rate - BEST_RATE), seed % TUNING_SEED)}
            scores = {"best": {"validation": metrics, "test": metrics}}
            return Outcome({"status": "complete", "scores": scores})

        monkeypatch.setattr("studies.running.executors.here.attempt", attempt)

    return replace


@pytest.fixture(autouse=True)
def closer_rates_score_higher(score_by: Callable[[Score], None]) -> None:
    score_by(lambda distance, seed: 1 - 10 * distance + 0.001 * (seed * 7 % 5))


def sweep(study: Study, home: Path) -> list[RunEvent]:
    """Runs a study in this process and returns the runs in the order in which they ended."""
    events: list[RunEvent] = []
    Sweep(study, home, events.append).run(InProcess(home))
    return events


def test_a_trial_is_judged_by_the_mean_over_its_seeds(
    study_file: Edit, tmp_path: Path, score_by: Callable[[Score], None]
) -> None:
    """By its first seed, or its last, the worse of the two trials would win."""
    score_by(lambda distance, seed: 0.5 + distance if seed != 1 else 0.5 - 4 * distance)
    study = declare(str(study_file(("trials = 2", "trials = 2\nseeds = 3"))), "cpu", [])
    assert len(sweep(study, tmp_path)) == study.runs == 4 * (2 * 3 + 5)
    for cell in cells_of(tmp_path, study):
        trials = [run for run in cell.runs if run.phase == "tune"]
        assert [run.seed - TUNING_SEED for run in trials] == [0, 1, 2, 0, 1, 2]
        distances = {abs(run.settings[RATE] - BEST_RATE): run.settings for run in trials}
        assert len(distances) == 2
        assert cell.winner == distances[min(distances)]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_trial_that_loses_to_the_best_is_pruned_and_never_wins(
    study_file: Edit, tmp_path: Path, score_by: Callable[[Score], None]
) -> None:
    """By its first seed alone, the worst trial would win."""
    score_by(lambda distance, seed: 0.5 + distance if seed == 0 else 0.5 - 4 * distance)
    study = declare(str(study_file(("trials = 2", 'trials = 6\nseeds = 8\npruner = "wilcoxon"'))), "cpu", [])
    events = sweep(study, tmp_path)
    assert len(events) < study.runs
    assert events[-1].done == events[-1].total == len(events), "the total leaves out the runs that pruning saved"
    for cell in cells_of(tmp_path, study):
        scores: dict[float, list[float]] = {}
        for run in cell.runs:
            if run.phase == "tune":
                assert run.score is not None
                scores.setdefault(run.settings[RATE], []).append(run.score)
        assert len(scores) == 6, "every cell has the same number of trials"
        means = {rate: fmean(values) for rate, values in scores.items()}
        complete = {rate: mean for rate, mean in means.items() if len(scores[rate]) == 8}
        assert 1 <= len(complete) < 6
        assert cell.winner == {RATE: max(complete, key=lambda rate: complete[rate])}


def late_distances(study: Study, cells: int) -> float:
    """Returns the mean distance of the second half of the trials from the best rate, in decades, over some cells."""
    distances = []
    for number in range(cells):
        cell_study = tuning.tuning_of(study, Cell((("cell", number),)), 1.0, InMemoryStorage())
        for _ in range(study.trials):
            trial = cell_study.ask()
            distance = abs(math.log10(trial.suggest_float(RATE, 0.001, 0.1, log=True) / BEST_RATE))
            cell_study.tell(trial, -distance)
            if trial.number >= study.trials // 2:
                distances.append(distance)
    return fmean(distances)


@pytest.mark.parametrize(("sampler", "cells", "trials"), [("tpe", 20, 16), ("gp", 3, 10)])
def test_a_sampler_comes_closer_to_the_best_rate_than_random_proposals(
    study_file: Edit, monkeypatch: pytest.MonkeyPatch, sampler: str, cells: int, trials: int
) -> None:
    study = declare(str(study_file(("trials = 2", f'trials = {trials}\nsampler = "{sampler}"'))), "cpu", [])
    distance = late_distances(study, cells)

    def random_sampler(seed: int, **settings: Any) -> optuna.samplers.BaseSampler:
        return optuna.samplers.RandomSampler(seed=seed)

    monkeypatch.setitem(tuning.SAMPLERS, sampler, random_sampler)
    assert distance < 0.75 * late_distances(study, cells)


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_sampler_proposes_the_same_again_and_something_else_in_each_cell(
    study_file: Edit, tmp_path: Path, sampler: str
) -> None:
    study = declare(str(study_file(("trials = 2", f'trials = 4\nsampler = "{sampler}"'))), "cpu", [])
    proposals = []
    for home in (tmp_path / "first", tmp_path / "second"):
        sweep(study, home)
        cells = cells_of(home, study)
        proposals.append([[run.settings[RATE] for run in cell.runs if run.phase == "tune"] for cell in cells])
    assert proposals[0] == proposals[1]
    assert all(rates[0] == study.middle[RATE] for rates in proposals[0])
    assert len({tuple(rates) for rates in proposals[0]}) == 4


def test_the_name_or_else_the_sampler_seed_decides_the_proposals_for_a_cell_of_one_label(study_file: Edit) -> None:
    study = declare(str(study_file(("trials = 2", "trials = 4"))), "cpu", [])
    seeded = declare(str(study_file(("trials = 2", f'trials = 4\nsampler_seed = "{study.name}"'))), "cpu", [])
    proposals = []
    for named in (study, study, replace(study, name="other"), replace(seeded, name="other")):
        optuna_study = tuning.tuning_of(named, study.cells[0], 1.0, InMemoryStorage())
        rates = []
        for _ in range(4):
            trial = optuna_study.ask()
            rates.append(trial.suggest_float(RATE, 0.001, 0.1, log=True))
            optuna_study.tell(trial, 0.5)
        proposals.append(rates)
    assert proposals[0] == proposals[1] == proposals[3]
    assert proposals[0][0] == proposals[2][0] == study.middle[RATE]
    assert not set(proposals[0][1:]) & set(proposals[2][1:])


def test_a_pruner_needs_seeds_to_tell_trials_apart(study_file: Edit) -> None:
    with pytest.raises(UserError, match=r'pruner = "wilcoxon" with seeds = 2.* at least 5 seeds'):
        declare(str(study_file(("trials = 2", 'trials = 2\nseeds = 2\npruner = "wilcoxon"'))), "cpu", [])


def test_seeds_added_after_a_verdict_are_refused_and_the_verdict_is_kept(study_file: Edit, tmp_path: Path) -> None:
    sweep(declare(str(study_file()), "cpu", []), tmp_path)
    verdicts = StudyFolder(tmp_path, "small", "cpu").path / "verdicts.json"
    before = verdicts.read_bytes()
    larger = declare(str(study_file(("seeds = 5", "seeds = 8"))), "cpu", [])
    with pytest.raises(UserError, match="seeds = 8: this study was judged at 5 seeds"):
        sweep(larger, tmp_path)
    assert verdicts.read_bytes() == before


def test_declared_looks_may_be_taken_one_after_the_other(study_file: Edit, tmp_path: Path) -> None:
    levels = {}
    for seeds in (8, 12):
        study = declare(str(study_file(("seeds = 5", f"seeds = {seeds}\nlooks = [8, 12]"))), "cpu", [])
        judgements = Sweep(study, tmp_path, lambda event: None).run(InProcess(tmp_path))
        levels[seeds] = max(judgement.level or 0.0 for judgement in judgements)
    assert levels == {8: 0.025, 12: 0.025}, "each look has half of the level"
    undeclared = declare(str(study_file(("seeds = 5", "seeds = 12"))), "cpu", [])
    with pytest.raises(UserError, match=r"judged at 8 seeds with looks = \[8, 12\]"):
        sweep(undeclared, tmp_path)
