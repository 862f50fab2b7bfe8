"""Optuna, a cell at a time: it proposes settings, prunes trials where that is declared, keeps them for its tools."""

import json
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection

from generators.foundation.randomness import word
from studies.declared.study import Cell, Study

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
SAMPLERS = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}
PRUNERS = {"none": optuna.pruners.NopPruner, "wilcoxon": optuna.pruners.WilcoxonPruner}


class Journal(JournalFileBackend):
    """Optuna's journal without its lock and its flush to the disk: one process writes it, and anew at every start."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self.path.open("ab") as file:
            file.write("".join(json.dumps(log) + "\n" for log in logs).encode())

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        super().__init__(str(path))
        self.path = path


def storage_at(path: Path) -> JournalStorage:
    """A journal at a path, begun anew."""
    return JournalStorage(Journal(path))


def tuning_of(study: Study, cell: Cell, sign: float, storage: JournalStorage) -> optuna.Study:
    """The optuna study of one cell. Its first trial is the middle of the ranges.

    Args:
        sign: 1 where more of the study's metric is better, -1 where less is.
    """
    tuning = study.declaration.tuning
    seed = int(word(f"{study.name} {cell.label}")) % 2**32
    found = optuna.create_study(
        storage=storage,
        sampler=SAMPLERS[tuning.sampler](seed=seed, n_startup_trials=3),
        pruner=PRUNERS[tuning.pruner](),
        study_name=cell.label,
        direction=StudyDirection.MAXIMIZE if sign > 0 else StudyDirection.MINIMIZE,
    )
    found.enqueue_trial(study.middle)
    return found
