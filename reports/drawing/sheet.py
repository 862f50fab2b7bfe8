"""A sheet to draw on, and how it becomes SVG: the same bytes every time, at home in a light page and in a dark one.

Colours are drawn as stand-ins and replaced by CSS variables with a fallback, so one figure serves both themes and
still stands alone. Text stays text, in the page's own font.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

TEXT, MUTED, GRID, SHADE, PAPER = "#0a0a01", "#0a0a02", "#0a0a03", "#0a0a04", "#0a0a05"
SERIES = ("#0a0a11", "#0a0a12", "#0a0a13", "#0a0a14", "#0a0a15", "#0a0a16")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.5, 1.4, 1.5)), (0, (3, 1.2)), (0, (8, 2)))
VERDICT_COLOURS = {"supported": "#0a0a21", "contradicted": "#0a0a22", "inconclusive": "#0a0a23"}
# The series are told apart by the colour-blind too, and have a contrast of at least 3 on white.
COLOURS = {
    TEXT: "currentColor",
    MUTED: "var(--muted, #5a626d)",
    GRID: "var(--grid, #e3e6ea)",
    SHADE: "var(--shade, #dfe7ee)",
    PAPER: "var(--paper, #ffffff)",
    VERDICT_COLOURS["supported"]: "var(--supported, #00684a)",
    VERDICT_COLOURS["contradicted"]: "var(--contradicted, #a8321c)",
    VERDICT_COLOURS["inconclusive"]: "var(--inconclusive, #54606e)",
    **{
        stand_in: f"var(--series-{index}, {colour})"
        for index, (stand_in, colour) in enumerate(
            zip(SERIES, ("#0069b4", "#c8500a", "#008060", "#a8408c", "#7a6a00", "#565c66"), strict=True), start=1
        )
    },
}
WIDTH = 440
"""Of a sheet, in CSS pixels: legible on a phone without scrolling."""
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 12,
    "axes.labelsize": 12,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 1,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "legend.borderaxespad": 0,
    "legend.borderpad": 0,
    "legend.handlelength": 1.8,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.2,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "grid.color": GRID,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
}


class Sheet:
    """One figure with one pair of axes."""

    def __init__(self, name: str, height: int) -> None:
        self.name = name
        self.figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        self.axes: Axes = self.figure.subplots()
        sns.despine(ax=self.axes, left=True)
        self.handles: list[Line2D] = []
        self.tips: list[str] = []
        self.heading = ""

    def tip(self, artist: Artist, text: str) -> None:
        """What is read when the pointer rests on a mark."""
        artist.set_gid(f"mark-{len(self.tips)}")
        self.tips.append(text)

    def mark(self, x: float, y: float, marker: str, tip: str, **style: Any) -> None:
        """One mark, and what is read on it."""
        (drawn,) = self.axes.plot([x], [y], marker, **style)
        self.tip(drawn, tip)

    def key(self, label: str, **style: Any) -> None:
        """One entry of the legend, however often it is named."""
        if label not in [handle.get_label() for handle in self.handles]:
            self.handles.append(Line2D([], [], label=label, **style))

    def _fits(self, columns: int) -> bool:
        """Whether the legend is narrow enough in so many columns; matplotlib fills them one after the other."""
        widths = [36 + 6.5 * len(str(handle.get_label())) for handle in self.handles]
        return sum(float(column.max()) for column in np.array_split(widths, columns)) <= WIDTH - 50

    def svg(self, title: str, description: str) -> str:
        """The finished figure, with its title and what it shows in words."""
        rows = 0
        if self.handles:
            columns = next(count for count in range(len(self.handles), 0, -1) if count == 1 or self._fits(count))
            rows = -(-len(self.handles) // columns)
            self.axes.legend(handles=self.handles, loc="lower left", bbox_to_anchor=(0, 1.03), ncols=columns)
        if self.heading:
            self.axes.set_title(self.heading, pad=14 + 18 * rows)
        content = StringIO()
        nothing = {"Date": None, "Creator": None, "Type": None, "Format": None}
        self.figure.savefig(content, format="svg", transparent=True, metadata=nothing)
        return finished(content.getvalue(), self.name, title, description, self.tips)


@contextmanager
def sheet(name: str, height: int) -> Iterator[Sheet]:
    """A sheet to draw on; matplotlib's settings are as before when it is left."""
    style = {**sns.axes_style("ticks"), **STYLE, "svg.hashsalt": name}
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # what the user or another figure has set must not change the bytes
        matplotlib.rcParams.update(style)
        warnings.filterwarnings("ignore", "Glyph")  # widths of letters the measuring font lacks are guessed
        yield Sheet(name, height)


def finished(svg: str, name: str, title: str, description: str, tips: Sequence[str]) -> str:
    """Matplotlib's SVG made fit to stand in a page: no prologue, no page-wide style, names of its own, colours that
    follow the page."""
    body = svg[svg.index("<svg") :]
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], name), body)
    for index, tip in enumerate(tips):
        opening = f'<g id="{name}-mark-{index}">'
        body = body.replace(opening, f"{opening}<title>{escape(tip)}</title>", 1)
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box is not None
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box[1]}" '
        f'role="img" aria-labelledby="{name}-title {name}-description" '
        f'style="font-family: inherit; fill: currentColor; stroke-linejoin: round; stroke-linecap: butt">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-description">{escape(description)}</desc>'
        + re.sub(r"\s*\n\s*", "\n", body).strip()
        + "\n"
    )


def _tag(tag: str, name: str) -> str:
    """One tag, with its names made the figure's own and its colours the page's."""
    tag = re.sub(r' id="', f' id="{name}-', tag)
    tag = tag.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    tag = re.sub(r" font-family: [^;\"]*;", "", tag)
    tag = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", tag)
    return re.sub(r"#0a0a[0-9a-f]{2}", lambda stand_in: COLOURS[stand_in[0]], tag)
