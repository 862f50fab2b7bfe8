"""The figure of `step`: what a step takes of memory and time, beside the next-token model's."""

from collections.abc import Sequence

import seaborn as sns
from matplotlib.figure import Figure

from lab.analysis.analysis import Row
from lab.analysis.figures.drawing import INK, styled, svg_of

TITLE = "What a training step takes, to that of n = 1"


def draw(rows: Sequence[Row]) -> str:
    """An SVG of the rows of `lab.analysis.step`: a bar for the memory of each loss and one for time, as ratios."""
    ratios = [row for row in rows if row["quantity"] == "ratio"]
    names = [f"{row['part']}, {row['loss']} loss" for row in ratios]
    place = range(len(ratios))
    with styled("step"):
        figure = Figure(figsize=(5.6, 0.8 + 0.5 * len(ratios)), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(place, [row["value"] for row in ratios], height=0.55, color=INK)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.axvline(1, color="black", linewidth=1)
        axes.margins(x=0.12)
        axes.grid(visible=False, axis="y")
        axes.set_yticks(place, names)
        axes.set(xlabel="times what n = 1 takes", title=TITLE, ylim=(len(ratios) - 0.5, -0.5))
        sns.despine(ax=axes, left=True)
        told = (f"{name} {row['value']:.3f}" for name, row in zip(names, ratios, strict=True))
        return svg_of(figure, TITLE, "; ".join(told) + ".")
