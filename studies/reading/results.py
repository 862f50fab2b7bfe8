"""Stored runs of a study as tidy frames. Only reads: it neither writes nor trains.

    runs     one row per run of the study's ledger
    curves   one row per run, step, split and metric

Columns of `runs`:
    cell, factor/<key>          position in the grid
    phase, seed, trial          `tune` or `confirm`; tuning runs of a cell are trials 0, 1, ...; others -1
    setting/<key>               value chosen by tuning, or that of an untuned run
    run, status, failure        identity; complete, diverged, failed or unfinished; reason why it has no score
    score                       the study's metric: on validation for `tune`, on its test split for `confirm`
    measure/<name>              the other measures that claims use
    steps, best_step            optimiser steps
    <checkpoint>/<split>/<m>    every metric of the last and the best checkpoint
    parameters/<part>           number of parameters
    code                        digest of the code that made it, as the ledger has it; missing where it is unknown
    digest/<what>               of the initial weights and of the first batch; missing in runs of earlier versions
    train_seconds, evaluate_seconds
    environment/<key>           versions and machine

Columns of `curves`: run, cell, phase, seed, status, step, seconds (of training up to that step), split, metric, value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.run.store import METRICS, TIMING, RunFolder
from studies.declared.measures import Measure, main_measure
from studies.declared.study import Cell, Study
from studies.judging.from_ledger import is_superseded
from studies.judging.study_code import StudyCode
from studies.ledger.declared_study import ledger_of
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord, LedgerRecord, RunRecord
from studies.reading.portable import run_command

RUN_COLUMNS = ["cell", "phase", "seed", "trial", "run", "status", "failure", "score", "steps", "best_step"]
CURVE_COLUMNS = ["run", "cell", "phase", "seed", "status", "step", "seconds", "split", "metric", "value"]
COMPLETE, UNFINISHED, FAILED = "complete", "unfinished", "failed"


@dataclass(frozen=True)
class Results:
    """A study and its stored runs.

    Attributes:
        home: the lab's home they were read from.
        study: the declared study.
        ledger: the ledger as last written.
        runs: see the module.
        curves: see the module.
        superseded: number of runs that were trained again by different code after the ledger took their scores.
        judged: True if the study ended with verdicts, so that no further run is to come.
    """

    home: Path
    study: Study
    ledger: LedgerRecord
    runs: pd.DataFrame
    curves: pd.DataFrame
    superseded: int = 0
    judged: bool = False

    @cached_property
    def _cells(self) -> dict[str, Cell]:
        return {cell.label: cell for cell in self.study.cells}

    @property
    def cells(self) -> list[CellRecord]:
        """The cells of the study, with their runs, as recorded."""
        return self.ledger.cells

    @cached_property
    def code(self) -> StudyCode:
        """The code that made the runs."""
        return StudyCode(self.ledger, run_command(self.study, self.home))

    def cell(self, label: str) -> Cell:
        """Returns the cell of a label."""
        return self._cells[label]

    @property
    def ended(self) -> int:
        """Number of runs that have a score or a failure."""
        return int((self.runs["status"] != UNFINISHED).sum())

    @property
    def planned(self) -> int:
        """Number of runs of the study, without those that turned out not to be needed."""
        return self.study.runs - self.ledger.saved

    @property
    def seeds(self) -> int:
        """The largest number of confirming seeds that a cell has run so far."""
        confirmed = self.runs[self.runs["phase"] == "confirm"]
        return int(confirmed["seed"].max()) + 1 - self.study.declaration.first_seed if len(confirmed) else 0

    @property
    def finished(self) -> bool:
        """True if no further run is to come."""
        return self.judged or self.ended == self.planned

    @property
    def untuned(self) -> list[str]:
        """Labels of the cells whose confirming runs never start, because none of their trials has a score."""
        return [
            cell.label for cell in self.cells if self.judged and not any(run.score is not None for run in cell.runs)
        ]

    @property
    def complete(self) -> int:
        """Number of runs that have a score."""
        return int((self.runs["status"] == COMPLETE).sum())

    @property
    def failed(self) -> pd.DataFrame:
        """The runs that ended without a score."""
        return self.runs[~self.runs["status"].isin([COMPLETE, UNFINISHED])]

    def phase(self, phase: str) -> pd.DataFrame:
        """Returns the complete runs of a phase."""
        return self.runs[(self.runs["phase"] == phase) & (self.runs["status"] == COMPLETE)]

    def column(self, metric: str, split: str | None = None) -> str:
        """Returns the name of a metric's column at the study's checkpoint, by default on the study's split."""
        declaration = self.study.declaration
        return f"{declaration.checkpoint}/{split or declaration.split}/{metric}"

    def column_of(self, measure: Measure) -> str:
        """Returns the column of a claim's measure in confirming runs."""
        return "score" if measure == main_measure(self.study.declaration) else f"measure/{measure.name}"

    def scored(self, measure: Measure) -> pd.DataFrame:
        """Returns the complete confirming runs that have a measure."""
        runs, column = self.phase("confirm"), self.column_of(measure)
        return runs[runs[column].notna()] if column in runs else runs[:0]


def read_results(home: Path, study: Study) -> Results:
    """Reads all stored results of a study.

    Raises:
        UserError: a file is damaged.
    """
    ledger = ledger_of(home, study)
    fixed = {} if study.trials else {cell.label: study.settings_of(cell) for cell in study.cells}
    superseded = 0
    rows: list[Tree] = []
    points: list[Tree] = []
    for cell in ledger.cells:
        trials = 0
        for run in cell.runs:
            tuned, folder = run.phase == "tune", RunFolder(home, run.identity)
            row, curve = _read_run(cell, run, folder, trials if tuned else -1)
            row |= {f"setting/{key}": value for key, value in fixed.get(cell.label, {}).items()}
            superseded += run.score is not None and is_superseded(run, folder)
            trials += tuned
            rows.append(row)
            shared = {name: row[name] for name in CURVE_COLUMNS if name in row}
            points += [shared | point for point in curve]
    columns = [*RUN_COLUMNS, *(f"factor/{key}" for key in study.factors), "train_seconds", "evaluate_seconds"]
    for row in sorted(rows, key=len, reverse=True):  # the fullest row has its parts in their proper order
        columns += [name for name in row if name not in columns]
    runs = pd.DataFrame(rows, columns=columns)
    judged = StudyFolder(home, study.name, study.scale).has_verdicts
    return Results(home, study, ledger, runs, pd.DataFrame(points, columns=CURVE_COLUMNS), superseded, judged)


def _read_run(cell: CellRecord, run: RunRecord, folder: RunFolder, trial: int) -> tuple[Tree, list[Tree]]:
    """Returns the row of a run, and the points of its curves.

    For a failed run, returns whatever can be read: a damaged file may be the reason for the failure.

    Raises:
        UserError: a file of a run that has a score, or has not ended, is damaged.
    """
    try:
        timing = folder.lines(TIMING)
        result = (folder.result() if run.ended else None) or {}
        row = _run_row(cell, run, result, timing, trial)
        row |= {f"environment/{key}": value for key, value in folder.environment().items()}
        return row, list(_curve_points(folder, timing))
    except UserError:
        if run.failure is None:
            raise
    except (AttributeError, KeyError, TypeError):
        if run.failure is None:
            raise UserError(
                f"{folder.path}: a file in it does not have the form that the lab writes; delete the folder and run "
                "the study again, which trains the run anew"
            ) from None
    return _run_row(cell, run, {}, [], trial), []


def _run_row(cell: CellRecord, run: RunRecord, result: Tree, timing: list[Tree], trial: int) -> Tree:
    """Returns one row of `runs`. As for verdicts, the ledger decides whether a run has a score."""
    if not run.ended:
        status = UNFINISHED
    elif run.score is not None:
        status = COMPLETE
    else:  # a complete run has no score if it lacks the study's metric
        status = result["status"] if result and result["status"] != COMPLETE else FAILED
    row: Tree = {"cell": cell.label, **{f"factor/{key}": level for key, level in cell.levels.items()}}
    row |= {"phase": run.phase, "seed": run.seed, "run": run.identity, "score": run.score, "failure": run.failure}
    row |= {"trial": trial, "status": status, "steps": result.get("steps"), "best_step": result.get("best_step")}
    row["code"] = run.code
    row |= {f"measure/{name}": value for name, value in run.measures.items()}
    row |= {f"setting/{key}": value for key, value in run.settings.items()}
    for checkpoint, splits in result.get("scores", {}).items():
        for split, metrics in splits.items():
            row |= {f"{checkpoint}/{split}/{name}": value for name, value in metrics.items()}
    row |= {f"parameters/{part}": count for part, count in result.get("parameters", {}).items()}
    row |= {f"digest/{name}": digest for name, digest in result.get("seed_digests", {}).items()}
    for name in ("train_seconds", "evaluate_seconds"):
        row[name] = sum(line[name] for line in timing) if timing else float("nan")
    return row


def rows_of(frame: pd.DataFrame) -> list[Tree]:
    """Returns the rows of a frame as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def columns_under(frame: pd.DataFrame, prefix: str) -> dict[str, str]:
    """Returns name -> column for the columns `prefix/<name>` of a frame."""
    names = [str(column) for column in frame.columns]
    return {name.removeprefix(f"{prefix}/"): name for name in names if name.startswith(f"{prefix}/")}


def _curve_points(folder: RunFolder, timing: list[Tree]) -> Iterator[Tree]:
    """Yields the logged measurements of a run, with the training seconds spent up to each step."""
    seconds: dict[int, float] = {}
    spent = 0.0
    for line in timing:
        spent += line["train_seconds"]
        seconds[line["step"]] = spent
    for line in folder.lines(METRICS):
        for metric, value in line.items():
            if metric not in ("step", "split"):
                at_step = seconds.get(line["step"], float("nan"))
                yield {
                    "step": line["step"],
                    "seconds": at_step,
                    "split": line["split"],
                    "metric": metric,
                    "value": value,
                }
