"""The figure of choice points: what each kind of target gives head 1, and how much later loss hangs on it."""

from collections.abc import Sequence

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.analysis.analysis import Row
from lab.analysis.figures.drawing import INK, styled, svg_of

TITLE = "Choice points: useful gradient and consequence by kind of token"


def draw(rows: Sequence[Row]) -> str:
    """An SVG with a panel for what of the useful gradient comes from each kind, where it was measured, and one for the
    mean consequence of each class; dots are estimates, lines 95% intervals, hollow dots what the theory says."""
    panels = [
        ("useful", "fall of head 1's loss by a step", "Use to head 1, nats per learning rate"),
        ("loss", "mean loss", "Loss of each head (nats); hollow: optimum"),
        ("found", "mean consequence", "Mean consequence of a token (nats)"),
    ]
    chosen = [(title, some) for part, what, title in panels if (some := _of(rows, part, what))]
    told = "; ".join(f"{title}: " + ", ".join(_told(row) for row in some) for title, some in chosen)
    with styled("choice-points"):
        heights = [1 + len(some) for _, some in chosen]
        figure = Figure(figsize=(6.4, 0.26 * sum(heights) + 0.7 * len(chosen)), layout="constrained")
        axes = figure.subplots(len(chosen), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (title, some) in zip(axes, chosen, strict=True):
            _dots(axis, title, some)
        return svg_of(figure, TITLE, told)


def _of(rows: Sequence[Row], part: str, quantity: str) -> list[Row]:
    """The rows of a panel, those of one class together."""
    some = [row for row in rows if (row["part"], row["quantity"]) == (part, quantity)]
    return sorted(some, key=lambda row: (str(row["class"]), row.get("head", 0)))


def _label(row: Row) -> str:
    return f"{row['class']}, head {row['head']}" if "head" in row else str(row["class"])


def _told(row: Row) -> str:
    return f"{_label(row)} {row['value']:.3g} ({row['low']:.3g} to {row['high']:.3g})"


def _dots(axes: Axes, title: str, rows: list[Row]) -> None:
    """Estimates with their intervals, one below the other."""
    place = range(len(rows))
    axes.hlines(place, [row["low"] for row in rows], [row["high"] for row in rows], color=INK)
    if any("reference" in row for row in rows):
        reference = [row.get("reference", float("nan")) for row in rows]
        axes.plot(reference, place, "o", markersize=8, markerfacecolor="none", color=INK)
    axes.plot([row["value"] for row in rows], place, "o", markersize=4, color=INK)
    axes.axvline(0, color="#777777", linewidth=1)
    axes.locator_params(axis="x", nbins=4)
    axes.ticklabel_format(axis="x", scilimits=(-2, 4))
    axes.set_yticks(place, [_label(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(title, fontsize=11)
    sns.despine(ax=axes, left=True)
