"""The figure of one measure by cell: every seed, the mean with its interval, and the shortcut."""

import re

import numpy as np

from generators.foundation.settings import Tree
from reports.drawing.layout import CellMark, FactorLayout, cell_marks, drawn_cells, label_ticks, panels
from reports.drawing.marks import draw_failure, draw_shortcut, fit_score_axis
from reports.drawing.palette import PAPER
from reports.drawing.sheet import Sheet, open_sheet
from reports.drawing.tables import Column, Table, Value, columns_of, number, word
from reports.exhibits.cells import factor_columns, factor_values
from reports.exhibits.exhibit import StudyExhibit
from reports.frames.numbers import plural, unsigned
from reports.frames.summaries import CellScore, scores
from reports.frames.wording import measure_name
from studies.declared.measures import Measure
from studies.reading.judged import JudgedStudy
from studies.reading.results import COMPLETE, UNFINISHED, Results, rows_of

SLOT = 0.76
"""Share of the distance between two levels of the x axis that the marks of one level may fill."""


class MeasureExhibit(StudyExhibit):
    """Figure and seed table of a measure.

    Args:
        source: the study.
        measure: the measure of its confirming runs.
        stem: start of the names of its figures, unique within a page.
    """

    def __init__(self, source: JudgedStudy, measure: Measure, stem: str) -> None:
        super().__init__(source)
        self.measure = measure
        self.stem = re.sub("[^a-z0-9]+", "-", stem)
        self.layout = FactorLayout.of(self.study)
        self.cell_scores = scores(self.results, measure)

    def figures(self) -> list[str]:
        if not self.has_data():
            return []
        svgs = []
        for index, (name, members) in enumerate(panels(cell_marks(self.study), by_x=False).items()):
            with open_sheet(f"{self.stem}-{index}", 330) as sheet:
                svgs.append(self._panel(sheet, name, members))
        return svgs

    def key(self) -> str:
        """Returns the name of the measure, whatever label it has."""
        return self.measure.name

    def has_data(self) -> bool:
        """Returns whether there is anything to draw."""
        return len(self.results.scored(self.measure)) > 0

    def table(self) -> Table:
        """Returns the measure of every confirming run, with the run's identity."""
        column, title = self.results.column_of(self.measure), self.table_title()
        form = [*factor_columns(self.results), *columns_of("number", ("seed", title))]
        form += [Column("status", "word"), Column("run", "code")]
        table = Table(f"{title[0].upper()}{title[1:]} of every confirming run, with its identity", form)
        for run in rows_of(self.results.runs[self.results.runs["phase"] == "confirm"]):
            value = number(run["score"], ".4f") if column == "score" else number(run.get(column), ".4g")
            values = [number(run["seed"], "d"), value, word(run["status"]), Value(run["run"])]
            table.rows.append([*factor_values(self.results, run["cell"]), *values])
        return table

    def table_title(self) -> str:
        """Returns the name of the measure in the table."""
        return measure_name(self.measure, self.labels)

    def confidence(self) -> str:
        """Returns the confidence of the intervals, such as `95%`."""
        return f"{100 * (1 - self.study.declaration.level):zg}%"

    def _panel(self, sheet: Sheet, name: str, members: list[CellMark]) -> str:
        axes, layout, column = sheet.axes, self.layout, self.results.column_of(self.measure)
        runs = self.results.runs[self.results.runs["phase"] == "confirm"]
        dodged = layout.hue != layout.x
        hues = max(mark.hue for mark in members) + 1 if dodged else 1
        width = SLOT / hues
        descriptions, spans = [], []
        for mark in members:
            row = self.cell_scores[mark.cell.label]
            middle = mark.x + (mark.hue - (hues - 1) / 2) * width if dodged else mark.x
            if dodged:
                sheet.add_legend(mark.hue_label, color=mark.colour, marker=mark.marker, ms=8, lw=2, mec=PAPER)
            for run in rows_of(runs[runs["cell"] == row.cell]):
                place = run["seed"] - self.study.declaration.first_seed + 0.5
                x = middle + width * (0.5 * place / self.results.seeds - 0.42)
                _draw_seed(sheet, mark, run, run.get(column), x)
            if row.seeds:
                _draw_mean(sheet, mark, row, middle + width * 0.26, self.measure.bounds)
                descriptions.append(_mean_text(row))
                if column == "score":
                    spans.append((middle - width / 2, middle + width / 2, row.shortcut))
        draw_shortcut(sheet, self.labels.metric(str(self.study.declaration.shortcut)), spans)
        levels = layout.levels[layout.x]
        label, factor = measure_name(self.measure, self.labels), self.labels.factor(layout.x)
        label_ticks(sheet, [self.labels.level(layout.x, level) for level in levels])
        axes.set_xlim(-0.5, len(levels) - 0.5)
        axes.set(xlabel=factor, ylabel=label)
        sheet.heading = name
        ends = [end for mark in members for row in [self.cell_scores[mark.cell.label]] for end in (row.low, row.high)]
        values = [*self.results.scored(self.measure)[column], *(score for _, _, score in spans), *ends]
        fit_score_axis(sheet, values, self.measure)
        title = f"{label} by {factor} {name}".strip()
        return sheet.svg(title, "; ".join(descriptions) or "no run has a score yet")


def _draw_seed(sheet: Sheet, mark: CellMark, run: Tree, value: float | None, x: float) -> None:
    text = f"{mark.cell.label}, seed {run['seed']}"
    if run["status"] == COMPLETE and value is not None and np.isfinite(value):
        style: Tree = {"color": mark.colour, "ms": 5, "alpha": 0.65, "mew": 0, "zorder": 3}
        sheet.mark(x, value, mark.marker, f"{text}: {unsigned(value)}", **style)
    elif run["status"] not in (COMPLETE, UNFINISHED):
        draw_failure(sheet, x, mark.colour, f"{text}: failed, no score")


def _draw_mean(sheet: Sheet, mark: CellMark, row: CellScore, x: float, bounds: tuple[float, float] | None) -> None:
    """Draws the mean of a cell with its interval, as far as the measure can reach."""
    if np.isfinite(row.low):
        ends = np.clip([row.low, row.high], *(bounds or (None, None)))
        sheet.axes.plot([x, x], ends, color=mark.colour, lw=2.2, zorder=3, solid_capstyle="butt")
    style: Tree = {"color": mark.colour, "ms": 9, "mec": PAPER, "mew": 1.2, "zorder": 4}
    sheet.mark(x, row.mean, mark.marker, _mean_text(row), **style)


def _mean_text(row: CellScore) -> str:
    mean = f"{row.cell}: mean {unsigned(row.mean, row.low, row.high)}"
    interval = f", interval {unsigned(row.low)} to {unsigned(row.high)}" if np.isfinite(row.low) else ""
    return f"{mean}{interval}, {plural(row.seeds, 'seed')}"


def drawn_note(results: Results) -> str:
    """Returns a sentence on how many cells the figures leave out; empty if they show all."""
    cells, drawn = len(results.study.cells), len(drawn_cells(results.study))
    return (
        "" if cells == drawn else f" Of {cells} cells, figures show the {drawn} that claims compare; tables show all."
    )
