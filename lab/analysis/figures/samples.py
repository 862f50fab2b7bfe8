"""The figure of samples: tokens in rows as they are read, shaded by what a head lost or marked by who proposed them."""

import re
from collections.abc import Sequence
from html import escape
from io import StringIO

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.analysis.analysis import Row

COLUMNS = 16
"""Tokens of a line."""
LETTERS = 8
"""Of a token that fit in its cell."""
TITLE = "Samples: heads that proposed each token, and losses of heads at each"


def draw(rows: Sequence[Row]) -> str:
    """SVG of the first sample of each part: decoded tokens shaded by the head that proposed them, with its number; then
    a panel for each head whose losses are known, shaded by them."""
    some = [row for row in rows if row["sample"] == 0]
    panels = [("Drafts: the head that proposed a token, 0 for the prompt", "head", "draft")]
    names = dict.fromkeys(name for row in some for name in row if re.fullmatch(r"loss_\d+", name))
    panels += [(f"Loss of head {name.removeprefix('loss_')} (nats)", name, "loss") for name in names]
    chosen = [(title, name, mine) for title, name, part in panels if (mine := [r for r in some if r["part"] == part])]
    heights = [1 + -(-len(mine) // COLUMNS) for _, _, mine in chosen]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "samples", "text.parse_math": False})
        figure = Figure(figsize=(11, 0.42 * sum(heights)), layout="constrained")
        axes = figure.subplots(len(chosen), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (title, name, mine) in zip(axes, chosen, strict=True):
            _panel(axis, title, name, mine)
        content = StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    told = "; ".join(f"{title}: {' '.join(_word(row, name) for row in mine)}" for title, name, mine in chosen)
    head, tail = content.getvalue()[content.getvalue().index("<svg") :].split(">", 1)
    return f'{head} role="img"><title>{escape(TITLE)}</title><desc>{escape(told)}</desc>{tail}'


def _panel(axes: Axes, title: str, name: str, rows: list[Row]) -> None:
    size = (-(-len(rows) // COLUMNS), COLUMNS)
    values, words = np.full(size, np.nan), np.full(size, "", dtype=object)
    for at, row in enumerate(rows):
        place = divmod(at, COLUMNS)
        values[place] = np.nan if row[name] is None else row[name]
        words[place] = _word(row, name)
    bar = name != "head"
    sns.heatmap(values, annot=words, fmt="", cmap="Blues", vmin=0, cbar=bar, ax=axes, annot_kws={"size": 8})
    for place in zip(*np.nonzero(np.isnan(values) & (words != "")), strict=True):  # which a heat map leaves blank
        axes.text(place[1] + 0.5, place[0] + 0.5, words[place], ha="center", va="center", size=8, color="#777777")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, loc="left", fontsize=10)


def _word(row: Row, name: str) -> str:
    """A token as its cell shows it; behind one that another head than the first proposed stands that head's number."""
    text = row["text"].strip(" ").replace("\n", "↵")[:LETTERS] or "␣"
    return f"{text} ({row['head']})" if name == "head" and row["head"] > 1 else text
