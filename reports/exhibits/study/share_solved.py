"""The share of runs that have solved their task by each step: a survival curve, turned upside down."""

from collections.abc import Sequence

import numpy as np

from generators.foundation.settings import Tree
from reports.drawing.layout import CellMark, cell_marks, panel_height, panels
from reports.drawing.palette import PAPER
from reports.drawing.sheet import Sheet, open_sheet
from reports.drawing.tables import MISSING_VALUE, Table, Value, columns_of, number, word
from reports.exhibits.cells import factor_columns, factor_values
from reports.exhibits.exhibit import StudyExhibit
from reports.exhibits.measure_exhibit import drawn_note
from reports.frames.numbers import plural
from reports.frames.solving import SolvingRun, solving_runs
from studies.reading.judged import JudgedStudy
from studies.statistics.exact import share_interval

OFFSET = 0.012
"""The distance between the curves of two cells, so that equal ones are both seen."""
MARK_DISTANCE = 0.022
"""The distance between the marks of runs that did not solve the task, as a share of the steps."""


class ShareSolved(StudyExhibit):
    """Draws one curve for each cell, with a mark for each run."""

    section = "learning"

    @classmethod
    def instances(cls, source: JudgedStudy) -> "Sequence[ShareSolved]":
        """Returns the exhibit if the study says what counts as solved."""
        return [] if source.study.declaration.threshold is None else [cls(source)]

    def __init__(self, source: JudgedStudy) -> None:
        super().__init__(source)
        self.by_cell: dict[str, list[SolvingRun]] = {}
        for run in solving_runs(self.results):
            self.by_cell.setdefault(run.cell, []).append(run)

    def title(self) -> str:
        return "Share of runs that solved the task"

    def placeholder(self) -> str:
        return "" if self.by_cell else "No confirming run has ended yet."

    def caption(self) -> str:
        threshold = self.study.declaration.threshold
        assert threshold is not None
        return (
            f"A run has solved its task when {threshold.metric} on validation is at least {self._least()} in "
            f"{threshold.evaluations} evaluations in a row. Each mark on a curve is a run, at the step where it solved "
            "its task; each hollow mark at the end is a run that did not. Curves are moved apart a little where they "
            f"would hide each other.{drawn_note(self.results)}"
        )

    def _least(self) -> str:
        """Returns the thresholds of the cells, from the lowest to the highest."""
        thresholds = [self.study.threshold_of(cell) for cell in self.study.cells]
        levels = sorted({threshold.at for threshold in thresholds if threshold})
        text = " or ".join(f"{level:zg}" for level in levels)
        return text + (", whichever its cell has," if len(levels) > 1 else "")

    def figures(self) -> list[str]:
        svgs = []
        for index, (name, members) in enumerate(panels(cell_marks(self.study), by_x=True).items()):
            drawn = [mark for mark in members if mark.cell.label in self.by_cell]
            if drawn:
                with open_sheet(f"solved-{index}", panel_height(members)) as sheet:
                    svgs.append(self._panel(sheet, name, drawn))
        return svgs

    def summary(self) -> Table:
        """Returns, for each cell, the share of runs that solved the task, and when they did."""
        confidence = f"{100 * (1 - self.study.declaration.level):zg}% interval of the share"
        titles = ["runs", "solved", "share", confidence, "median step", "mean steps, restricted", "censored"]
        table = Table(
            "Runs that solved the task, by cell", [*factor_columns(self.results), *columns_of("number", titles)]
        )
        for cell in self.study.cells:
            runs = self.by_cell.get(cell.label, [])
            if not runs:
                continue
            solved = [run.step for run in runs if run.step is not None]
            low, high = share_interval(
                np.array([run.step is not None for run in runs], float), self.study.declaration.level
            )
            half = sorted(run.step or np.inf for run in runs)[(len(runs) - 1) // 2]
            restricted = np.mean([run.steps_to_solve for run in runs])
            values = [number(len(runs), "d"), number(len(solved), "d"), number(len(solved) / len(runs))]
            values += [Value(f"{low:z.3f} to {high:z.3f}", low)]
            values += [number(half, ".0f") if np.isfinite(half) else MISSING_VALUE, number(restricted, ".0f")]
            table.rows.append([*factor_values(self.results, cell.label), *values, number(len(runs) - len(solved), "d")])
        return table

    def table(self) -> Table:
        """Returns the step at which every run solved the task."""
        form = [*factor_columns(self.results), *columns_of("number", ("seed", "solved at step", "last step"))]
        table = Table("The step at which each run solved the task", [*form, *columns_of("code", ("run",))])
        for runs in self.by_cell.values():
            for run in runs:
                step = word("not solved") if run.step is None else number(run.step, "d")
                values = [number(run.seed, "d"), step, number(run.last_step, "d"), Value(run.run)]
                table.rows.append([*factor_values(self.results, run.cell), *values])
        return table

    def _panel(self, sheet: Sheet, name: str, members: list[CellMark]) -> str:
        runs = [run for mark in members for run in self.by_cell[mark.cell.label]]
        reach = max(run.last_step if run.step is None else run.step for run in runs)
        descriptions = [
            _draw_cell(sheet, mark, self.by_cell[mark.cell.label], reach, OFFSET * index)
            for index, mark in enumerate(members)
        ]
        sheet.axes.set(xlabel="optimiser steps", ylabel="share of runs that solved the task")
        most = max(sum(run.step is None for run in self.by_cell[mark.cell.label]) for mark in members)
        sheet.axes.set(
            xlim=(0, reach * (1.04 + MARK_DISTANCE * max(0, most - 1))), ylim=(-0.04, 1.04 + OFFSET * len(members))
        )
        sheet.axes.set_yticks(np.linspace(0, 1, 6))
        sheet.heading = name
        return sheet.svg(f"Share of runs that solved the task, by step, {name}".rstrip(", "), "; ".join(descriptions))


def _draw_cell(sheet: Sheet, mark: CellMark, runs: list[SolvingRun], reach: int, offset: float) -> str:
    """Draws the curve of a cell; returns it in words."""
    solved = sorted((run.step, run.seed) for run in runs if run.step is not None)
    steps = [0, *(step for step, _ in solved), reach]
    shares = [*np.arange(len(solved) + 1) / len(runs), len(solved) / len(runs)]
    style: Tree = {"color": mark.colour, "ls": mark.dash, "lw": 2.4}
    (line,) = sheet.axes.plot(steps, np.array(shares) + offset, drawstyle="steps-post", **style, zorder=3)
    text = f"{mark.cell.label}: {len(solved)} of {plural(len(runs), 'run')} solved the task"
    sheet.add_tooltip(line, text)
    sheet.add_legend(mark.hue_label, **style, marker=mark.marker, ms=6, mec=PAPER)
    for count, (step, seed) in enumerate(solved, 1):
        height, tooltip = count / len(runs) + offset, f"{mark.cell.label}, seed {seed}: solved at step {step}"
        sheet.mark(step, height, mark.marker, tooltip, color=mark.colour, ms=7, mec=PAPER, mew=0.8, zorder=4)
    unsolved = [run for run in runs if run.step is None]
    for number_drawn, run in enumerate(unsolved):
        tooltip = f"{mark.cell.label}, seed {run.seed}: not solved in {run.last_step} steps"
        style = {"mfc": PAPER, "mec": mark.colour, "mew": 1.2, "ms": 7, "zorder": 5, "clip_on": False}
        x = reach * (1.02 + MARK_DISTANCE * number_drawn)
        sheet.mark(x, len(solved) / len(runs) + offset, mark.marker, tooltip, color=mark.colour, **style)
    return text
