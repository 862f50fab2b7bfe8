"""Figure of `induction-heads`: what each attention head does, and when the skill formed."""

from matplotlib.patches import Rectangle

from lab.analysis.analysis import Row
from reports.drawing.marks import share_limits, show_rows
from reports.drawing.palette import MARKERS, MUTED, PAPER, SERIES, TEXT
from reports.drawing.sheet import Sheet, open_sheet
from reports.exhibits.exhibit import AnalysisExhibit

MEASURES = {
    "prefix_matching": "prefix matching, random tokens",
    "task_attention": "prefix matching, the task",
    "task_previous_token": "previous token, the task",
    "accuracy_loss": "accuracy lost without it",
}
"""Measure -> its name in the legend."""
HEADS_MAXIMUM = 12
"""The figure shows the heads with the highest prefix matching."""
TITLE = "Scores of each attention head"


class InductionHeadsFigure(AnalysisExhibit):
    """Draws scores by attention head and, if the run's log has it, validation accuracy by step."""

    section = "induction-heads"

    def figures(self) -> list[str]:
        matching = [row for row in self.source if row["measure"] == "prefix_matching"]
        best = sorted(matching, key=lambda row: -row["value"])[:HEADS_MAXIMUM]
        curve = [(row["step"], row["value"]) for row in self.source if row["measure"] == "validation_accuracy"]
        formed = next((row for row in self.source if row["measure"] == "formation_step"), None)
        scores = "; ".join(f"{_name(_head(row))}: {row['value']:z.3f}, {row['chance']:z.3f} by chance" for row in best)
        formation = f" The skill formed by step {formed['value']}." if formed else ""
        with open_sheet("induction-heads", 130 + 42 * len(best)) as sheet:
            self._draw_heads(sheet, sorted(map(_head, best)))
            sheet.heading = TITLE
            drawn = [sheet.svg(TITLE, f"Prefix matching on random tokens: {scores}.{formation}")]
        if curve:
            drawn.append(_draw_formation(curve, formed))
        return drawn

    def caption(self) -> str:
        return (
            "Bars are 95% intervals; a tick is the score of uniform attention. Within the shaded steps, accuracy rose "
            "past the midpoint between the best shortcut's accuracy and the final one."
        )

    def _draw_heads(self, sheet: Sheet, heads: list[tuple[int, int]]) -> None:
        axes = sheet.axes
        for index, (measure, name) in enumerate(MEASURES.items()):
            colour, marker, offset = SERIES[index], MARKERS[index], 0.18 * index - 0.27
            for row in (row for row in self.source if row["measure"] == measure and _head(row) in heads):
                y = heads.index(_head(row)) + offset
                low, high = (row["value"] if row.get(end) is None else row[end] for end in ("low", "high"))
                axes.plot([low, high], [y, y], color=colour, lw=1.8, solid_capstyle="butt")
                text = f"{_name(_head(row))}, {name}: {row['value']:z.3f}"
                sheet.mark(row["value"], y, marker, text, color=colour, ms=7, mec=PAPER, mew=0.8, zorder=4)
                sheet.add_legend(name, color=colour, marker=marker, ms=7, lw=1.8, mec=PAPER)
                if row.get("chance") is not None:
                    axes.plot([row["chance"]], [y], "|", color=TEXT, ms=9, mew=1.4, zorder=5)
        sheet.add_legend("chance: uniform attention", color=TEXT, marker="|", ms=9, mew=1.4, ls="none")
        show_rows(sheet, [_name(head) for head in heads])
        axes.set(xlabel="share", xlim=share_limits(sheet))


def _draw_formation(curve: list[tuple[int, float]], formed: Row | None) -> str:
    with open_sheet("induction-heads-formation", 260) as sheet:
        steps, accuracies = zip(*curve, strict=True)
        (line,) = sheet.axes.plot(steps, accuracies, color=SERIES[0], marker="o", ms=5, lw=2.2)
        sheet.add_tooltip(line, f"validation accuracy, {accuracies[-1]:z.3f} at the end")
        sheet.axes.set(xlabel="optimiser steps", ylabel="validation accuracy", ylim=(-0.04, 1.04))
        description = f"Validation accuracy by step, {accuracies[-1]:z.3f} at the end"
        if formed:
            start, end = formed["after_step"], formed["value"]
            box = Rectangle((start, -0.04), end - start, 1.08, facecolor=MUTED, alpha=0.25, edgecolor="none", zorder=0)
            sheet.axes.add_patch(box)
            sheet.add_legend("accuracy passed half-way", color=MUTED, alpha=0.25, lw=9, solid_capstyle="butt")
            description += f"; it passed half-way between steps {start} and {end}"
        return sheet.svg("When the skill formed", f"{description}.")


def _head(row: Row) -> tuple[int, int]:
    return row["layer"], row["attention_head"]


def _name(head: tuple[int, int]) -> str:
    return f"layer {head[0]}, head {head[1]}"
