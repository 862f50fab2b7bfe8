"""The gain of each layer at each lag, as a figure."""

from collections.abc import Sequence

import seaborn as sns
from matplotlib.figure import Figure

from lab.analysis.analysis import Row
from lab.analysis.figures.drawing import styled, svg_of

MARKERS = ("o", "s", "^", "D")
DASHES = ("-", "--", ":", "-.")
TITLE = "What a linear probe reads of later tokens, layer by layer"


def draw(rows: Sequence[Row]) -> str:
    """An SVG of the rows of `lab.analysis.lookahead`: gain in nats over the places of the network, a line a lag."""
    gains = [row for row in rows if row["quantity"] == "gain"]
    places = list(dict.fromkeys(row["place"] for row in gains))
    lags = sorted({row["lag"] for row in gains})
    with styled("lookahead", "ticks"):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for index, (lag, colour) in enumerate(zip(lags, sns.color_palette("colorblind", len(lags)), strict=True)):
            line = [row for row in gains if row["lag"] == lag]
            x = [places.index(row["place"]) + 0.06 * (index - (len(lags) - 1) / 2) for row in line]
            value = [row["value"] for row in line]
            error = [[row["value"] - row["low"] for row in line], [row["high"] - row["value"] for row in line]]
            axes.errorbar(
                x, value, error, color=colour, marker=MARKERS[index], linestyle=DASHES[index], label=f"{lag} ahead"
            )
        axes.axhline(0, color="0.6", linewidth=1, zorder=0)
        axes.set_xticks(range(len(places)), places)
        axes.set_ylabel("gain over the current token, nats")
        axes.legend(title="token", frameon=False)
        sns.despine(ax=axes)
        return svg_of(figure, TITLE, described(gains))


def described(gains: Sequence[Row]) -> str:
    """The figure in words."""
    values = "; ".join(f"{row['place']}, {row['lag']} ahead: {row['value']:.3f}" for row in gains)
    return f"Gain in nats over the current token, with 95% intervals over test samples. {values}."
