"""Marks that several figures share: failed runs, shortcut lines, intervals, and the y axis of a score."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.patches import Rectangle

from generators.foundation.settings import Tree
from reports.drawing.palette import MUTED, PAPER, SERIES, SHADE, TEXT
from reports.drawing.sheet import Sheet
from studies.declared.measures import Measure


def fit_score_axis(sheet: Sheet, values: Iterable[float], measure: Measure) -> None:
    """Sets the range of the y axis.

    A bounded measure gets its whole range, so that a small difference does not look large; any other gets the range of
    the values.
    """
    finite = [value for value in values if np.isfinite(value)]
    if measure.bounds is not None:
        low, high = measure.bounds
        edge = 0.04 * (high - low)
        sheet.axes.set_yticks(np.linspace(low, high, 6))
    else:
        low, high = min(finite, default=0.0), max(finite, default=1.0)
        edge = 0.06 * (high - low or 1.0)
    sheet.axes.set_ylim(low - edge, high + edge)


def draw_failure(sheet: Sheet, x: float, colour: str, tooltip: str) -> None:
    """Draws a failed run as a cross on the x axis, outside the scale, so that it is not mistaken for a zero."""
    transform = sheet.axes.get_xaxis_transform()
    sheet.mark(x, 0, "x", tooltip, color=colour, ms=7, mew=1.8, transform=transform, clip_on=False, zorder=5)
    sheet.add_legend("failed, no score", color=MUTED, marker="x", ls="none", ms=7, mew=1.8)


def draw_shortcut(sheet: Sheet, name: str, spans: Sequence[tuple[float, float, float]]) -> None:
    """Draws a shortcut's score as one line if it is the same everywhere, otherwise as one piece for each span.

    Args:
        sheet: the figure.
        name: the shortcut.
        spans: left end, right end and score of each piece; pieces with a nan score are left out.
    """
    known = [span for span in spans if np.isfinite(span[2])]
    if not known:
        return
    scores = [score for _, _, score in known]
    style: Tree = {"color": TEXT, "lw": 1.3, "ls": (0, (1.5, 2)), "zorder": 2}
    if np.ptp(scores) < 5e-4:
        sheet.add_tooltip(sheet.axes.axhline(scores[0], **style), f"shortcut {name}: {scores[0]:z.3f}")
        sheet.add_legend(f"shortcut {name}: {scores[0]:z.3f}", **style)
        return
    for left, right, score in known:
        (line,) = sheet.axes.plot([left, right], [score, score], **style)
        sheet.add_tooltip(line, f"shortcut {name}: {score:z.3f}")
    sheet.add_legend(f"shortcut {name}: {min(scores):z.3f} to {max(scores):z.3f}", **style)


def draw_margin(sheet: Sheet, margin: float, low: float, high: float, *, both_sides: bool, width: float) -> None:
    """Draws the margin of a claim between two heights.

    Args:
        sheet: the figure.
        margin: in units of the x axis.
        low: lower end on the y axis.
        high: upper end on the y axis.
        both_sides: whether the effect has to stay within the margin on both sides (a shaded box), rather than exceed
            it (a dashed line).
        width: line width of the dashed line.
    """
    if both_sides:
        _shade(sheet, margin, low, high, "margin of equivalence")
    else:
        sheet.axes.plot([margin, margin], [low, high], color=MUTED, lw=width, ls="--", zorder=1)
        sheet.add_legend("margin to exceed", color=MUTED, lw=width, ls="--")


def draw_negligible(sheet: Sheet, bound: float, low: float, high: float) -> None:
    """Shades the effects that are too small to matter, from minus to plus a bound, between two heights."""
    _shade(sheet, bound, low, high, "negligible effects")


def _shade(sheet: Sheet, bound: float, low: float, high: float, legend: str) -> None:
    box = Rectangle((-bound, low), 2 * bound, high - low, facecolor=SHADE, edgecolor="none", zorder=0)
    sheet.axes.add_patch(box)
    sheet.add_legend(legend, color=SHADE, lw=9, solid_capstyle="butt")


@dataclass(frozen=True)
class EstimateRow:
    """One line of a figure of estimates.

    Attributes:
        label: what is estimated.
        value: the estimate.
        low: lower end of its interval.
        high: upper end of its interval.
        reference: a value to compare it with, such as chance or what the theory predicts; None if there is none.
    """

    label: str
    value: float
    low: float
    high: float
    reference: float | None = None

    @property
    def text(self) -> str:
        return f"{self.label} {self.value:z.3f}"


def draw_estimates(sheet: Sheet, estimates: Sequence[EstimateRow], *, reference: str, marker: str) -> None:
    """Draws labelled estimates one below the other, each with its interval and its reference.

    Args:
        sheet: the figure.
        estimates: from top to bottom.
        reference: name of the reference values in the legend.
        marker: marker of the reference values.
    """
    axes = sheet.axes
    for row, estimate in enumerate(estimates):
        axes.plot([estimate.low, estimate.high], [row, row], color=SERIES[0], lw=2.2, solid_capstyle="butt", zorder=3)
        if estimate.reference is not None:
            style: Tree = {"color": TEXT, "mfc": "none", "ms": 11, "mew": 1.4}
            sheet.mark(
                estimate.reference, row, marker, f"{estimate.label}: {estimate.reference:z.3g}", **style, zorder=2
            )
            sheet.add_legend(reference, marker=marker, ls="none", **style)
        text = f"{estimate.label}: {estimate.value:z.3g} ({estimate.low:z.3g} to {estimate.high:z.3g})"
        sheet.mark(estimate.value, row, "o", text, color=SERIES[0], ms=7, mec=PAPER, mew=1, zorder=4)
    sheet.add_legend("this run, 95% interval", color=SERIES[0], marker="o", ms=7, lw=2.2, mec=PAPER)
    show_rows(sheet, [estimate.label for estimate in estimates])


def share_limits(sheet: Sheet) -> tuple[float, float]:
    """Returns the limits of an x axis from 0 to 1, extended if a drawn interval extends further."""
    low, high = sheet.axes.get_xlim()
    return min(-0.03, low), max(1.03, high)


def show_rows(sheet: Sheet, labels: Sequence[str]) -> None:
    """Labels the y axis with rows from top to bottom, and lets the grid follow the x axis."""
    sheet.axes.set_yticks(range(len(labels)), labels)
    sheet.axes.set_ylim(len(labels) - 0.5, -0.5)
    sheet.axes.grid(axis="y", visible=False)
    sheet.axes.grid(axis="x", visible=True)
