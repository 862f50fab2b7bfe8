"""Optuna as a study uses it, one cell at a time: it proposes settings, prunes trials, and keeps them for its tools."""

import json
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection

from generators.foundation.randomness import hash_name
from studies.declared.study import Cell, Study

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
SAMPLERS = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}
PRUNERS = {"none": optuna.pruners.NopPruner, "wilcoxon": optuna.pruners.WilcoxonPruner}


class Journal(JournalFileBackend):
    """Optuna's journal without locking or flushing: only one process writes it, from scratch at every start."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        super().__init__(str(path))
        self.path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self.path.open("ab") as file:
            file.write("".join(json.dumps(log) + "\n" for log in logs).encode())


def new_journal(path: Path) -> JournalStorage:
    """Returns an empty journal at a path; an existing one is deleted."""
    return JournalStorage(Journal(path))


def tuning_of(study: Study, cell: Cell, sign: float, storage: BaseStorage) -> optuna.Study:
    """Returns the optuna study of one cell, whose first trial is the middle of the ranges.

    Args:
        sign: 1 if more of the study's metric is better, -1 if less is better.
    """
    tuning = study.declaration.tuning
    seed = int(hash_name(f"{tuning.sampler_seed or study.name} {cell.label}")) % 2**32
    optuna_study = optuna.create_study(
        storage=storage,
        sampler=SAMPLERS[tuning.sampler](seed=seed, n_startup_trials=3),
        pruner=PRUNERS[tuning.pruner](),
        study_name=cell.label,
        direction=StudyDirection.MAXIMIZE if sign > 0 else StudyDirection.MINIMIZE,
    )
    optuna_study.enqueue_trial(study.middle)
    return optuna_study
