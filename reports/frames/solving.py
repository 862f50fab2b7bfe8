"""When the confirming runs of a study solved their task."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from lab.run.store import RunFolder
from studies.declared.measures import declared_steps
from studies.reading.results import COMPLETE, Results


@dataclass(frozen=True)
class SolvingRun:
    """A run, and when it solved its task.

    Attributes:
        cell: label of its cell.
        run: its identity.
        step: the step at which it solved its task; None if it did not.
        last_step: its last step.
        steps_to_solve: the steps that it counts with: those until it solved its task, or all that it was to take.
    """

    cell: str
    seed: int
    run: str
    step: int | None
    last_step: int
    steps_to_solve: int


def solving_runs(results: Results) -> list[SolvingRun]:
    """Returns every complete confirming run that has a log, by cell and seed; [] if the study does not say what counts
    as solved."""
    threshold = results.study.declaration.threshold
    if threshold is None:
        return []
    curves = results.curves
    counts = (curves["phase"] == "confirm") & (curves["status"] == COMPLETE) & (curves["split"] == "validation")
    counts &= curves["metric"] == threshold.metric
    return list(_read(curves[counts].sort_values("step", kind="stable"), results, threshold.metric))


def _read(curves: pd.DataFrame, results: Results, metric: str) -> Iterator[SolvingRun]:
    for (cell, _, run), log in curves.groupby(["cell", "seed", "run"], sort=False):
        lines = [
            {"split": "validation", "step": step, metric: value}
            for step, value in zip(log["step"], log["value"], strict=True)
        ]
        number = int(log["seed"].iloc[0])
        folder = RunFolder(results.home, str(run))
        threshold = results.study.threshold_of(results.cell(str(cell)))
        assert threshold is not None
        solved_at = threshold.first_step(lines)
        steps = declared_steps(folder.result() or {}, folder) if solved_at is None else solved_at
        yield SolvingRun(str(cell), number, str(run), solved_at, int(log["step"].max()), steps)
