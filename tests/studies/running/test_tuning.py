"""Trials of several seeds, pruning, and seeds that are added to a study that was judged."""

import json
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.declared.loading import load
from studies.declared.study import TUNING_SEED
from studies.ledger.folder import StudyFolder
from studies.running.executors.executor import Outcome, RunRequest
from studies.running.executors.here import InProcess
from studies.running.sweep import RunEvent, Sweep
from tests.studies.conftest import Edit, cells_of

RATE = "training.learning_rate"


@pytest.fixture(autouse=True)
def scored_by_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of training: the nearer a rate is to 0.02, the better, by more than seeds differ."""

    def stub(request: RunRequest, home: Path) -> Outcome:
        tree = request.tree
        rate, seed = tree["training"]["learning_rate"], tree["seed"]
        score = {"accuracy": 1 - abs(rate - 0.02) * 10 + 0.001 * (seed * 7 % 5)}
        return Outcome({"status": "complete", "scores": {"best": {"validation": score, "test": score}}})

    monkeypatch.setattr("studies.running.executors.here.attempt", stub)


def test_a_trial_is_judged_by_the_mean_over_its_seeds(study_file: Edit, tmp_path: Path) -> None:
    study = load(str(study_file(("trials = 2", "trials = 2\nseeds = 3"))), "cpu", [])
    events: list[RunEvent] = []
    Sweep(study, tmp_path, events.append).run(InProcess(tmp_path))
    assert len(events) == study.runs == 4 * (2 * 3 + 5)
    for cell in cells_of(tmp_path, study):
        tuned = [entry for entry in cell.runs if entry.phase == "tune"]
        assert [entry.seed - TUNING_SEED for entry in tuned] == [0, 1, 2, 0, 1, 2]
        means = [sum(entry.score for entry in tuned[some : some + 3]) / 3 for some in (0, 3)]
        assert cell.winner == tuned[0 if means[0] > means[1] else 3].settings


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_trial_that_loses_to_the_best_is_pruned_and_never_wins(study_file: Edit, tmp_path: Path) -> None:
    study = load(str(study_file(("trials = 2", 'trials = 6\nseeds = 8\npruner = "wilcoxon"'))), "cpu", [])
    events: list[RunEvent] = []
    Sweep(study, tmp_path, events.append).run(InProcess(tmp_path))
    assert len(events) < study.runs
    assert events[-1].done == events[-1].total == len(events), "what pruning saved is not waited for"
    for cell in cells_of(tmp_path, study):
        runs: dict[float, int] = {}
        for entry in cell.runs:
            if entry.phase == "tune":
                runs[entry.settings[RATE]] = runs.get(entry.settings[RATE], 0) + 1
        assert len(runs) == 6, "every cell has the same number of trials"
        assert min(runs.values()) < 8
        whole = [rate for rate, count in runs.items() if count == 8]
        assert cell.winner[RATE] == min(whole, key=lambda rate: abs(rate - 0.02))


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_each_sampler_proposes_the_same_again_and_closes_in(study_file: Edit, tmp_path: Path, sampler: str) -> None:
    study = load(str(study_file(("trials = 2", f'trials = 7\nsampler = "{sampler}"'))), "cpu", [])
    proposed = []
    for home in (tmp_path / "one", tmp_path / "two"):
        Sweep(study, home, lambda event: None).run(InProcess(home))
        cells = cells_of(home, study)
        proposed.append([e.settings[RATE] for c in cells for e in c.runs if e.phase == "tune"])
    assert proposed[0] == proposed[1]
    assert len(set(proposed[0])) > 4 * 5, "cells are tuned each by itself"
    for cell in cells:
        first, *others = (e.settings[RATE] for e in cell.runs if e.phase == "tune")
        assert abs(cell.winner[RATE] - 0.02) < min(abs(first - 0.02), *(abs(one - 0.02) for one in others)) + 1e-12


def test_a_pruner_needs_seeds_to_tell_trials_apart(study_file: Edit) -> None:
    with pytest.raises(UserError, match=r'pruner = "wilcoxon" with seeds = 2.* at least 5 seeds'):
        load(str(study_file(("trials = 2", 'trials = 2\nseeds = 2\npruner = "wilcoxon"'))), "cpu", [])


def test_seeds_added_after_a_verdict_are_refused_and_nothing_is_lost(study_file: Edit, tmp_path: Path) -> None:
    first = load(str(study_file(("seeds = 5", "seeds = 5"))), "cpu", [])
    Sweep(first, tmp_path, lambda event: None).run(InProcess(tmp_path))
    verdicts = StudyFolder(tmp_path, first.name, "cpu").path / "verdicts.json"
    before = verdicts.read_bytes()
    more = load(str(study_file(("seeds = 5", "seeds = 8"))), "cpu", [])
    with pytest.raises(UserError, match="seeds = 8: this study was judged at 5 seeds, which spent its level"):
        Sweep(more, tmp_path, lambda event: None).run(InProcess(tmp_path))
    assert verdicts.read_bytes() == before


def test_declared_looks_may_be_taken_one_after_the_other(study_file: Edit, tmp_path: Path) -> None:
    level = {}
    for seeds in (8, 12):
        study = load(str(study_file(("seeds = 5", f"seeds = {seeds}\nlooks = [8, 12]"))), "cpu", [])
        Sweep(study, tmp_path, lambda event: None).run(InProcess(tmp_path))
        stored = json.loads((StudyFolder(tmp_path, study.name, "cpu").path / "verdicts.json").read_bytes())
        level[seeds] = max(one["interval_level"] for one in stored["verdicts"])
    assert level == {8: 0.025, 12: 0.025}, "each look has half of the level"
    undeclared = load(str(study_file(("seeds = 5", "seeds = 12"))), "cpu", [])
    with pytest.raises(UserError, match=r"judged at 8 seeds with looks = \[8, 12\]"):
        Sweep(undeclared, tmp_path, lambda event: None).run(InProcess(tmp_path))
