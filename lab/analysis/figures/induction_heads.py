"""The figure of `induction-heads`: what each attention head does, and when the skill formed."""

from collections.abc import Sequence

import seaborn as sns
from matplotlib.figure import Figure

from lab.analysis.analysis import Row
from lab.analysis.figures.drawing import styled, svg_of

# measure -> (name, marker, height off the head's line)
SHOWN = {
    "prefix_matching": ("prefix matching, random tokens", "o", -0.27),
    "task_attention": ("prefix matching, the task", "s", -0.09),
    "task_previous_token": ("previous token, the task", "^", 0.09),
    "accuracy_loss": ("accuracy lost without it", "D", 0.27),
}
HEADS = 12
"""Heads drawn: those that match prefixes best."""
TITLE = "Attention heads on the way to the next token"
STYLE = {"font.size": 10, "legend.frameon": False, "axes.titlesize": 11, "axes.titlelocation": "center"}


def draw(rows: Sequence[Row]) -> str:
    """An SVG of the rows of an `Analysis`: scores by head with 95% intervals and chance, and below, where the log has
    it, validation accuracy by step with the interval in which the skill formed."""
    matching = [row for row in rows if row["measure"] == "prefix_matching"]
    kept = sorted(matching, key=lambda row: -row["value"])[:HEADS]
    heads = sorted((row["layer"], row["attention_head"]) for row in kept)
    curve = [(row["step"], row["value"]) for row in rows if row["measure"] == "validation_accuracy"]
    formed = next((row for row in rows if row["measure"] == "formation_step"), None)
    with styled("induction-heads", "ticks", STYLE):
        tall = 1.2 + 0.55 * len(heads)
        figure = Figure(figsize=(6.4, tall + (2.9 if curve else 0.7)), layout="constrained")
        axes = figure.subplots(2 if curve else 1, height_ratios=(tall, 2.2) if curve else None, squeeze=False)[:, 0]
        for (measure, (name, marker, off)), colour in zip(SHOWN.items(), sns.color_palette("colorblind"), strict=False):
            here = [row for row in rows if row["measure"] == measure and (row["layer"], row["attention_head"]) in heads]
            at = [heads.index((row["layer"], row["attention_head"])) + off for row in here]
            low_high = [(row.get("low", row["value"]), row.get("high", row["value"])) for row in here]
            axes[0].hlines(at, *zip(*low_high, strict=True), color=colour) if here else None
            axes[0].plot([row["value"] for row in here], at, marker, color=colour, label=name if here else None)
            chance = [(row["chance"], y) for row, y in zip(here, at, strict=True) if "chance" in row]
            axes[0].plot(*zip(*chance, strict=True), "|", color="black", markersize=9) if chance else None
        axes[0].plot([], [], "|", color="black", markersize=9, label="chance: uniform attention")
        axes[0].set_yticks(range(len(heads)), [f"layer {layer}, head {head}" for layer, head in heads])
        axes[0].set(xlabel="share", title=TITLE, xlim=(min(-0.03, axes[0].get_xlim()[0]), 1.03))
        axes[0].invert_yaxis()
        figure.legend(loc="outside upper left", ncols=2)
        if curve:
            axes[1].plot(*zip(*curve, strict=True), "-o", color="black", markersize=4)
            axes[1].set(xlabel="optimiser steps", ylabel="validation accuracy", ylim=(-0.03, 1.03))
            if formed:
                axes[1].axvspan(formed["after_step"], formed["value"], facecolor="none", edgecolor="grey", hatch="///")
                axes[1].set_title("Hatched: where accuracy passed half-way from blind to final")
        sns.despine(figure)
        said = "; ".join(
            f"layer {row['layer']}, head {row['attention_head']}: {row['value']:.3f}, {row['chance']:.3f} by chance"
            for row in kept
        )
        when = f" The skill formed by step {formed['value']}." if formed else ""
        return svg_of(figure, TITLE, f"Prefix matching on random tokens: {said}.{when}")
