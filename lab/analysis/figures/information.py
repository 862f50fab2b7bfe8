"""The five terms of two tokens as the source has them, as the model has them, and as the model tells the source's."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from lab.analysis.analysis import Row
from lab.analysis.estimators.entropies import TERMS
from lab.analysis.figures.drawing import styled, svg_of

SIZE = (6.1, 4.2)
"""Of the figure in inches."""
STYLES = {
    "closed form": ("k", "|", "source, closed form"),
    "source": ("#008060", "s", "source, at these contexts"),
    "model": ("#0069b4", "o", "model"),
    "relative": ("#a8408c", "D", "cross-entropy of model on source"),
    "estimate": ("#c8500a", "^", "source as told by the model"),
}
"""What a row is of -> colour, marker, name: told apart by the marker alone too."""
TITLE = "What the next two tokens tell of each other"


def draw(rows: Sequence[Row]) -> str:
    """SVG of an analysis' rows: nats from left to right, a term a line, 95% intervals."""
    found = {(row["of"], row["quantity"]): row for row in rows if row["where"] == "all"}
    shown = [of for of in STYLES if (of, TERMS[0]) in found]
    with styled("information", settings={"font.size": 10}):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        for place, of in enumerate(shown):
            colour, marker, name = STYLES[of]
            five = [found[of, term] for term in TERMS]
            heights = [term + (place - (len(shown) - 1) / 2) * 0.15 for term in range(len(TERMS))]
            spread = [(height, row) for height, row in zip(heights, five, strict=True) if row["low"] is not None]
            for height, row in spread:
                axes.plot((row["low"], row["high"]), (height, height), color=colour, linewidth=1.4)
            values = [row["value"] for row in five]
            axes.plot(values, heights, marker, color=colour, markersize=5 if marker != "|" else 9, label=name)
        axes.set_yticks(range(len(TERMS)), TERMS)
        axes.invert_yaxis()
        axes.set_xlabel("nats, with 95% intervals")
        axes.set_title(TITLE)
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9)
        return svg_of(figure, TITLE, _described(found, shown))


def _described(found: dict[tuple[str, str], Row], shown: Sequence[str]) -> str:
    """The figure in words."""
    said = (
        f"{STYLES[of][2]}: " + ", ".join(f"{term} {found[of, term]['value']:.3f}" for term in TERMS) for of in shown
    )
    return "Entropies and information in nats. " + "; ".join(said) + "."
