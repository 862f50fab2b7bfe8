"""The winner of a cell is the trial with the best mean over its seeds on validation, whatever the scores are.

The scores are random in cell, rate, seed and split, so rate and seed interact and validation says nothing about test.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from generators.foundation.settings import Tree
from studies.declared.loading import declare
from studies.declared.study import TUNING_SEED, Study
from studies.ledger.folder import JOURNAL, StudyFolder
from studies.ledger.records import CellRecord, RunRecord
from studies.running import tuning
from studies.running.cell_runs import RunEvent
from studies.running.sweep import Sweep
from tests.small_study import write_small_study
from tests.studies.running.scored_runs import ScoredRuns, Scores

RATE = "training.learning_rate"
BEST: dict[str, Callable[..., float]] = {"accuracy": max, "loss_1": min}
"""Metric -> the function that returns its better values."""
SPLITS = ("validation", "test")


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    """The small study for each metric, two of its cells alone."""
    folder = tmp_path_factory.mktemp("studies")
    one_width = [("[8, 16]", "[8]"), ('"model.width" = 16', '"model.width" = 8'), ('shortcut = "name_before"\n', "")]
    return {
        metric: declare(
            str(write_small_study(folder, ('metric = "accuracy"', f'metric = "{metric}"'), *one_width, name=metric)),
            "cpu",
            [],
        )
        for metric in BEST
    }


def with_tuning(study: Study, trials: int, seeds: int, pruner: str = "none") -> Study:
    """Returns the study with this many trials, and seeds of each."""
    budget = study.declaration.tuning.model_copy(update={"seeds": seeds, "pruner": pruner})
    declaration = study.declaration.model_copy(update={"tuning": budget})
    return replace(study, trials=trials, declaration=declaration)


def random_scores(source: int, failed_share: float = 0.0) -> Callable[[Tree], Scores | None]:
    """Returns scores without any pattern: each depends on width, n, rate, seed, split and metric."""

    def score(tree: Tree) -> Scores | None:
        rate = float(tree["training"]["learning_rate"])
        key = [source, tree["model"]["width"], tree["objective"]["n"], tree["seed"], *rate.hex().encode()]
        rng = np.random.default_rng(key)
        if rng.random() < failed_share:
            return None
        return {split: {metric: float(rng.random()) for metric in BEST} for split in SPLITS}

    return score


def sweep(study: Study, home: Path, score: Callable[[Tree], Scores | None]) -> list[RunEvent]:
    """Runs a study and returns the runs in the order in which they ended."""
    events: list[RunEvent] = []
    Sweep(study, home, events.append).run(ScoredRuns(home, score))
    return events


def trials_of(cell: CellRecord) -> dict[float, list[RunRecord]]:
    """Returns rate -> the tuning runs with that rate."""
    trials: dict[float, list[RunRecord]] = {}
    for run in cell.runs:
        if run.phase == "tune":
            trials.setdefault(run.settings[RATE], []).append(run)
    return trials


def means_of(cell: CellRecord, seeds: int) -> dict[float, float]:
    """Returns rate -> mean score of the trials in which every seed has a score."""
    scores = {rate: [run.score for run in runs if run.score is not None] for rate, runs in trials_of(cell).items()}
    return {rate: fmean(values) for rate, values in scores.items() if len(values) == seeds}


class RandomPruner(optuna.pruners.BasePruner):
    """Prunes trials after the first without regard to their scores."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        return trial.number > 0 and bool(self.rng.random() < 0.2)


class SecondTrialPruner(optuna.pruners.BasePruner):
    """Prunes the second trial after its first seed."""

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        return trial.number == 1


@contextmanager
def pruned_by(pruner: type[optuna.pruners.BasePruner]) -> Iterator[None]:
    """Replaces the wilcoxon pruner."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(tuning.PRUNERS, "wilcoxon", pruner)
        yield


@pytest.mark.parametrize("metric", BEST)
@pytest.mark.parametrize(("seeds", "failed_share"), [(1, 0.0), (1, 0.3), (2, 0.0), (2, 0.2), (3, 0.0), (3, 0.1)])
@pytest.mark.parametrize("source", range(2))
def test_the_winner_has_the_best_mean_over_all_seeds_of_validation(
    studies: dict[str, Study], tmp_path: Path, metric: str, source: int, seeds: int, failed_share: float
) -> None:
    study = with_tuning(studies[metric], trials=4, seeds=seeds, pruner="wilcoxon")
    score = random_scores(source, failed_share)
    with pruned_by(RandomPruner):
        sweep(study, tmp_path, score)
    cells = StudyFolder(tmp_path, study.name, study.scale).read_cells()
    for cell, declared in zip(cells, study.cells, strict=True):
        means = means_of(cell, seeds)
        winner = BEST[metric](means, key=lambda rate: means[rate]) if means else None
        assert cell.winner == (None if winner is None else {RATE: winner})
        confirmed = [run for run in cell.runs if run.phase == "confirm"]
        assert [run.seed for run in confirmed] == list(range(study.seeds if means else 0))
        for run in cell.runs:
            scores = score(study.spec(declared, run.settings, run.seed).tree())
            assert run.score == (scores and scores[SPLITS[run.phase == "confirm"]][metric])


@pytest.mark.parametrize("metric", BEST)
def test_a_pruned_trial_does_not_win_though_its_partial_mean_is_best(
    studies: dict[str, Study], tmp_path: Path, metric: str
) -> None:
    """Trials after the first score best in their first seed and worst in the other, which the second never reaches."""
    study = with_tuning(studies[metric], trials=3, seeds=2, pruner="wilcoxon")
    middle, worst = study.middle[RATE], 1.0 - BEST[metric](0.0, 1.0)

    def score(tree: Tree) -> Scores:
        first_seed = tree["seed"] == TUNING_SEED
        value = 0.5 if tree["training"]["learning_rate"] == middle else BEST[metric](0.1, 0.8) if first_seed else worst
        return {split: {metric: value} for split in SPLITS}

    with pruned_by(SecondTrialPruner):
        sweep(study, tmp_path, score)
    for cell in StudyFolder(tmp_path, study.name, study.scale).read_cells():
        assert [len(runs) for runs in trials_of(cell).values()] == [2, 1, 2]
        assert cell.winner == {RATE: middle}


@pytest.mark.parametrize("metric", BEST)
def test_optuna_optimises_towards_the_better_side_of_the_metric(
    studies: dict[str, Study], tmp_path: Path, metric: str
) -> None:
    """Otherwise its pruner would end the better trials, and its sampler look for the worse."""
    study = with_tuning(studies[metric], trials=4, seeds=2)
    sweep(study, tmp_path, random_scores(1))
    storage = JournalStorage(JournalFileBackend(str(StudyFolder(tmp_path, study.name, "cpu").path / JOURNAL)))
    for cell in StudyFolder(tmp_path, study.name, study.scale).read_cells():
        best = optuna.load_study(study_name=cell.label, storage=storage).best_trial
        assert best.params == cell.winner
        assert best.value == BEST[metric](means_of(cell, 2).values())


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("metric", BEST)
def test_the_signed_rank_pruner_ends_trials_that_are_worse_and_no_better_one(
    studies: dict[str, Study], tmp_path: Path, metric: str
) -> None:
    """The middle rate, tried first, is the best in every seed."""
    study = with_tuning(studies[metric], trials=6, seeds=8, pruner="wilcoxon")
    middle = study.middle[RATE]

    def score(tree: Tree) -> Scores:
        distance = abs(np.log10(tree["training"]["learning_rate"] / middle))
        value = 0.3 * distance + 0.01 * (tree["seed"] * 7 % 5)
        return {split: {metric: 0.9 - value if metric == "accuracy" else value} for split in SPLITS}

    sweep(study, tmp_path, score)
    for cell in StudyFolder(tmp_path, study.name, study.scale).read_cells():
        counts = {rate: len(runs) for rate, runs in trials_of(cell).items()}
        assert cell.winner == {RATE: middle}
        assert counts.pop(middle) == 8
        assert max(counts.values()) < 8
