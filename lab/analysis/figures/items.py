"""The figure of `items`: what is generated right, and what is chosen right, beside chance."""

from collections.abc import Sequence

import seaborn as sns
from matplotlib.figure import Figure

from lab.analysis.analysis import Row
from lab.analysis.figures.drawing import INK, styled, svg_of

NAMES = {"exact_match": "exact match", "rouge_l": "ROUGE-L F1"}
TITLE = "The same items generated and chosen"


def draw(rows: Sequence[Row]) -> str:
    """An SVG of the rows of `lab.analysis.items`: dots are means with 95% intervals over items, the tick is chance."""
    names = [f"{row['part']}: {NAMES.get(row['quantity'], row['quantity'])}" for row in rows]
    place = range(len(rows))
    with styled("items"):
        figure = Figure(figsize=(5.6, 0.8 + 0.5 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.hlines(place, [row["low"] for row in rows], [row["high"] for row in rows], color=INK)
        axes.plot([row["value"] for row in rows], place, "o", markersize=5, color=INK, label="this run")
        chance = [(row["chance"], at) for at, row in enumerate(rows) if row.get("chance")]
        axes.plot(*zip(*chance, strict=True), "|", color="black", markersize=14, label="chance")
        axes.set_yticks(place, names)
        axes.set(xlabel="share of items, or F1", title=TITLE, xlim=(-0.03, 1.03), ylim=(len(rows) - 0.5, -0.5))
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9)
        sns.despine(ax=axes, left=True)
        told = (f"{name} {row['value']:.3f}" for name, row in zip(names, rows, strict=True))
        return svg_of(figure, TITLE, "; ".join(told) + f"; chance {chance[0][0]:.3f}.")
