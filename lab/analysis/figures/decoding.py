"""The figure of `decoding`: tokens a forward pass by the length of the draft."""

from collections.abc import Sequence

import seaborn as sns
from matplotlib.figure import Figure

from lab.analysis.analysis import Row
from lab.analysis.figures.drawing import INK, styled, svg_of

TITLE = "Tokens a forward pass by tokens drafted"


def draw(rows: Sequence[Row]) -> str:
    """An SVG of the rows of `lab.analysis.decoding`: dots are the run's, with 95% intervals over prompts; hollow
    squares the paper's, where it has as many heads; the lines are what no accepted proposal gives, and all of them."""
    drafted = [row for row in rows if row["quantity"] == "tokens a forward"]
    paper = [row for row in drafted if row.get("paper")]
    with styled("decoding", "ticks"):
        figure = Figure(figsize=(5.2, 3.9), layout="constrained")
        axes = figure.subplots()
        k = [row["draft"] for row in drafted]
        most = [1, max(2, *k)]
        axes.plot(most, most, color="0.6", linestyle="--", linewidth=1, label="all accepted")
        axes.plot(most, [1, 1], color="0.6", linestyle=":", linewidth=1, label="none accepted")
        value = [row["value"] for row in drafted]
        error = [[row["value"] - (row.get("low") or row["value"]) for row in drafted],
                 [(row.get("high") or row["value"]) - row["value"] for row in drafted]]  # fmt: skip
        axes.errorbar(k, value, error, color=INK, marker="o", markersize=5, label="this run")
        if paper:
            axes.plot([row["draft"] for row in paper], [row["paper"] for row in paper], "s", color=INK,
                      markerfacecolor="none", markersize=7, label="paper, 7B")  # fmt: skip
        axes.set(xlabel="tokens drafted, k", ylabel="tokens a forward pass", title=TITLE)
        axes.set_xticks(range(1, most[1] + 1))
        figure.legend(loc="outside lower left", ncols=4, frameon=False, fontsize=9)
        sns.despine(ax=axes)
        return svg_of(figure, TITLE, "; ".join(map(_told, drafted)) + ".")


def _told(row: Row) -> str:
    return f"k = {row['draft']}: {row['value']:.3f}" + (f", paper {row['paper']}" if row.get("paper") else "")
