"""Every tuning trial: its setting, its validation score, and which trial was chosen for each cell."""

from collections.abc import Sequence

import pandas as pd

from generators.foundation.settings import Tree
from reports.drawing.layout import CellMark, cell_marks, panel_height, panels
from reports.drawing.marks import draw_failure, fit_score_axis
from reports.drawing.palette import MUTED, PAPER
from reports.drawing.sheet import Sheet, open_sheet
from reports.drawing.tables import Column, Table, Value, columns_of, number, word
from reports.exhibits.cells import factor_columns, factor_values
from reports.exhibits.exhibit import StudyExhibit
from reports.exhibits.measure_exhibit import drawn_note
from reports.frames.numbers import plural
from reports.frames.summaries import trials
from studies.declared.levels import short
from studies.declared.measures import main_measure
from studies.declared.ranges import Range
from studies.reading.judged import JudgedStudy
from studies.reading.results import COMPLETE, rows_of


class TuningTrials(StudyExhibit):
    """Draws one panel for each tuned setting and level of the first factor."""

    section = "method"

    @classmethod
    def instances(cls, source: JudgedStudy) -> "Sequence[TuningTrials]":
        """Returns the exhibit if the study tunes anything."""
        return [cls(source)] if source.study.trials else []

    def figures(self) -> list[str]:
        frame = trials(self.results)
        svgs: list[str] = []
        for key, span in self.study.declaration.tuning.search.items():
            for name, members in panels(cell_marks(self.study), by_x=True).items():
                if frame["cell"].isin([mark.cell.label for mark in members]).any():
                    with open_sheet(f"tuning-{len(svgs)}", panel_height(members)) as sheet:
                        svgs.append(self._panel(sheet, name, members, frame, key, span))
        return svgs

    def caption(self) -> str:
        return (
            "Each mark is a trial; the horizontal axis is the searched range, the same for every cell. The chosen "
            f"trial has a ring.{drawn_note(self.results)}"
        )

    def table(self) -> Table:
        """Returns every trial with its run."""
        keys = list(self.study.declaration.tuning.search)
        titles = ["trial", *map(short, keys), "validation score"]
        form = [*factor_columns(self.results), *columns_of("number", titles)]
        table = Table("All tuning trials", [*form, Column("outcome", "word"), Column("run", "code")])
        for run in rows_of(trials(self.results)):
            settings = [number(run[f"setting/{key}"], ".4g") for key in keys]
            numbers = [number(run["trial"], "d"), *settings, number(run["score"], ".4f")]
            outcome = word("chosen" if run["winner"] else run["status"])
            table.rows.append([*factor_values(self.results, run["cell"]), *numbers, outcome, Value(run["run"])])
        return table

    def _panel(
        self, sheet: Sheet, name: str, members: list[CellMark], frame: pd.DataFrame, key: str, span: Range
    ) -> str:
        axes, descriptions, metric = sheet.axes, [], self.labels.metric(self.study.declaration.metric)
        for mark in members:
            runs = rows_of(frame[frame["cell"] == mark.cell.label])
            for run in runs:
                _draw_trial(sheet, mark, run, run[f"setting/{key}"])
            count = plural(len(runs), "trial")
            style: Tree = {"color": mark.colour, "marker": mark.marker, "ms": 7, "ls": "none", "mec": PAPER}
            sheet.add_legend(f"{mark.hue_label}: {count}", **style)
            descriptions.append(f"{mark.cell.label}: {count}")
        sheet.add_legend("chosen", mfc="none", mec=MUTED, marker="o", ms=12, mew=1.6, ls="none")
        ticks = [span.low, span.middle, span.high]
        if span.log:
            axes.set_xscale("log")
            axes.set_xlim(span.low * (span.low / span.high) ** 0.06, span.high * (span.high / span.low) ** 0.06)
        else:
            axes.set_xlim(span.low - 0.06 * (span.high - span.low), span.high + 0.06 * (span.high - span.low))
        axes.set_xticks(ticks, [f"{tick:z.3g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set(xlabel=short(key), ylabel=f"{metric} on validation")
        sheet.heading = name
        fit_score_axis(sheet, frame["score"].dropna(), main_measure(self.study.declaration))
        return sheet.svg(f"Tuning of {short(key)}, {name}".rstrip(", "), "; ".join(descriptions))


def _draw_trial(sheet: Sheet, mark: CellMark, run: Tree, setting: float) -> None:
    text = f"{mark.cell.label}, trial {run['trial']}"
    if run["status"] != COMPLETE:
        draw_failure(sheet, setting, mark.colour, f"{text}: failed at {setting:z.3g}, no score")
        return
    style: Tree = {"color": mark.colour, "ms": 7, "mec": PAPER, "mew": 0.8, "zorder": 3}
    sheet.mark(setting, run["score"], mark.marker, f"{text}: {run['score']:z.3f} at {setting:z.3g}", **style)
    if run["winner"]:
        ring: Tree = {"mfc": "none", "mec": mark.colour, "ms": 14, "mew": 1.6, "zorder": 2}
        sheet.mark(setting, run["score"], "o", f"{mark.cell.label}: chosen", **ring)
