"""Draws learning curves on validation: thin lines are seeds, thick lines are cell means."""

from math import isfinite
from typing import ClassVar, Literal

import pandas as pd
from matplotlib.ticker import MaxNLocator

from generators.foundation.settings import Tree
from reports.drawing.layout import CellMark, cell_marks, panel_height, panels
from reports.drawing.marks import draw_shortcut, fit_score_axis
from reports.drawing.palette import PAPER
from reports.drawing.sheet import Sheet, open_sheet
from reports.drawing.tables import Table, Value, columns_of, number
from reports.exhibits.cells import factor_columns, factor_values
from reports.exhibits.exhibit import StudyExhibit
from reports.frames.numbers import plural
from reports.frames.summaries import mean_curves, seed_curves, shortcut_on
from studies.declared.measures import main_measure
from studies.reading.judged import JudgedStudy
from studies.reading.results import rows_of


class CurveExhibit(StudyExhibit):
    """Draws validation score against a column of `curves`, one panel for each level of the first factor.

    Attributes:
        against: the column on the x axis. The mean of a step is drawn at the mean of that column over its runs.
        unit: its name on the axis.
    """

    section = "learning"
    against: ClassVar[Literal["step", "seconds"]]
    unit: ClassVar[str]

    def __init__(self, source: JudgedStudy) -> None:
        super().__init__(source)
        self.curves = seed_curves(self.results)

    def figures(self) -> list[str]:
        svgs = []
        for index, (name, members) in enumerate(panels(cell_marks(self.study), by_x=True).items()):
            if self.curves["cell"].isin([mark.cell.label for mark in members]).any():
                with open_sheet(f"{self.against}-{index}", panel_height(members)) as sheet:
                    svgs.append(self._panel(sheet, name, members))
        return svgs

    def placeholder(self) -> str:
        return "No confirming run has ended yet." if self.curves.empty else ""

    @property
    def has_early_ends(self) -> bool:
        """True if a run ended before another run of its cell."""
        last = self.curves.groupby(["cell", "run"])["step"].max()
        return bool((last < last.groupby("cell").transform("max")).any())

    def _panel(self, sheet: Sheet, name: str, members: list[CellMark]) -> str:
        declaration, axes, descriptions = self.study.declaration, sheet.axes, []
        labels = [mark.cell.label for mark in members]
        reach = float(self.curves[self.curves["cell"].isin(labels)][self.against].max())
        for mark in members:
            runs = self.curves[self.curves["cell"] == mark.cell.label]
            if not runs.empty:
                descriptions.append(self._draw_cell(sheet, mark, runs))
        shortcut = shortcut_on(self.results, "validation", labels)
        if shortcut is not None:
            draw_shortcut(sheet, self.labels.metric(str(declaration.shortcut)), [(0, reach, shortcut)])
        metric = self.labels.metric(declaration.metric)
        axes.set(xlabel=self.unit, ylabel=f"{metric} on validation", xlim=(0, reach * 1.02))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 4, 5, 10], integer=self.against == "step"))
        sheet.heading = name
        values = [*self.curves["value"], *([] if shortcut is None else [shortcut])]
        fit_score_axis(sheet, values, main_measure(declaration))
        title = f"{metric} on validation against {self.unit}, {name}".rstrip(", ")
        return sheet.svg(title, "; ".join(descriptions))

    def _draw_cell(self, sheet: Sheet, mark: CellMark, runs: pd.DataFrame) -> str:
        """Draws the curves of a cell; returns the final value of their mean in words."""
        style: Tree = {"color": mark.colour, "ls": mark.dash}
        for seed, run in runs.groupby("seed", sort=True):
            (line,) = sheet.axes.plot(run[self.against], run["value"], **style, lw=0.9, alpha=0.45, zorder=2)
            sheet.add_tooltip(line, f"{mark.cell.label}, seed {seed}")
        style |= {"lw": 2.6, "marker": mark.marker, "ms": 5, "mec": PAPER, "mew": 0.6}
        mean = mean_curves(runs)
        (line,) = sheet.axes.plot(mean[self.against], mean["mean"], **style, zorder=4)
        sheet.add_tooltip(line, f"{mark.cell.label}, mean of {plural(runs['seed'].nunique(), 'seed')}")
        sheet.add_legend(mark.hue_label, **style)
        score, seconds = mean["mean"].iloc[-1], mean["seconds"].iloc[-1]
        after = f", after {seconds:z.1f} s of training" if isfinite(seconds) else ""
        return f"{mark.cell.label}: mean {score:z.3f} at the end{after}"

    def curve_table(self, caption: str, column: str, mean: str, form: str) -> Table:
        """Returns a column of `curves` by cell and step: its mean, and its value for each seed.

        Args:
            caption: of the table.
            column: the column of `curves`.
            mean: the column of its mean in `mean_curves`.
            form: format of its values.
        """
        seeds = sorted(self.curves["seed"].unique())
        titles = ["step", f"mean {column}", *(f"seed {seed}" for seed in seeds)]
        table = Table(caption, [*factor_columns(self.results), *columns_of("number", titles)])
        values = {(run["cell"], run["step"], run["seed"]): run[column] for run in rows_of(self.curves)}
        means = {str(cell): rows_of(group) for cell, group in mean_curves(self.curves).groupby("cell", sort=False)}
        for cell in self.study.cells:
            for row in means.get(cell.label, []):
                numbers: list[Value] = [number(row["step"], "d"), number(row[mean], form)]
                numbers += [number(values.get((cell.label, row["step"], seed)), form) for seed in seeds]
                table.rows.append([*factor_values(self.results, cell.label), *numbers])
        return table
