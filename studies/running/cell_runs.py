"""The cells and the runs of a study while it runs."""

from dataclasses import dataclass, field

import optuna
from optuna.trial import Trial

from studies.declared.study import Cell
from studies.ledger.records import CellRecord, RunRecord


@dataclass
class CellState:
    """A cell while its study runs.

    Attributes:
        scored: score and settings of each trial that ended with a score.
    """

    cell: Cell
    tuning: optuna.Study
    record: CellRecord
    scored: list[tuple[float, dict[str, float]]] = field(default_factory=list)


@dataclass(frozen=True)
class CellRun:
    """A run of a cell; `trial` is the optuna trial of a tuning run."""

    state: CellState
    run: RunRecord
    trial: Trial | None

    def __str__(self) -> str:
        return f"{self.state.cell.label}, {self.run.phase} seed {self.run.seed}"


@dataclass(frozen=True)
class RunEvent:
    """A run that ended, the `done`-th of `total`; `trained` is False if it was taken from the store."""

    cell: str
    run: RunRecord
    done: int
    total: int
    trained: bool
