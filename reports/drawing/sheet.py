"""A figure with one pair of axes, and its conversion to SVG.

The same drawing gives the same bytes whatever matplotlib settings were in force before. On a page, text stays text, in
the page's own font. While `reports.drawing.paper` collects panels, a sheet is a panel of a paper's figure: it has that
panel's width and font, and breaks lines instead of cutting texts short.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.drawing.palette import MATPLOTLIB_STYLE
from reports.drawing.paper import LETTER_WIDTH, OPEN_PAPER, PAPER_STYLE, OpenPaper, PaperPanel, light_colours
from reports.drawing.svg import embeddable
from reports.frames.text import balanced, shortened

WIDTH = 440
"""Width of a page's sheet in CSS pixels: legible on a phone without scrolling."""
PAGE_LETTER_WIDTH = 6.5
"""Mean width of a letter of a page's font in CSS pixels."""
NO_METADATA = {"Date": None, "Creator": None, "Type": None, "Format": None}


class Sheet:
    """A figure with one pair of axes, a legend above them, and a tooltip on every mark.

    Args:
        name: prefix of all ids in the SVG; unique within a page.
        height: in CSS pixels.
        paper: the panels that it is to be one of; None for a sheet of a page.
    """

    def __init__(self, name: str, height: int, paper: OpenPaper | None = None) -> None:
        self.name = name
        self.height = height
        self.paper = paper
        self.width = WIDTH if paper is None else paper.width
        self.figure = Figure(figsize=(self.width / 72, height / 72), layout="constrained")
        self.axes: Axes = self.figure.subplots()
        sns.despine(ax=self.axes, left=True)
        self.legend_handles: list[Line2D] = []
        self.tooltips: list[str] = []
        self.heading = ""

    def add_tooltip(self, artist: Artist, text: str) -> None:
        """Shows a text when the pointer rests on an artist."""
        artist.set_gid(f"mark-{len(self.tooltips)}")
        self.tooltips.append(text)

    def mark(self, x: float, y: float, marker: str, tooltip: str, **style: Any) -> None:
        """Draws one mark with its tooltip."""
        (artist,) = self.axes.plot([x], [y], marker, **style)
        self.add_tooltip(artist, tooltip)

    def add_legend(self, label: str, **style: Any) -> None:
        """Adds an entry to the legend unless it already has an entry with that label."""
        if label not in [handle.get_label() for handle in self.legend_handles]:
            self.legend_handles.append(Line2D([], [], label=label, **style))

    def resize(self, height: int) -> None:
        """Gives the sheet another height in CSS pixels."""
        self.height = height
        self.figure.set_size_inches(self.width / 72, height / 72)

    def lines(self, text: str, letters: int) -> list[str]:
        """Breaks a text into lines: on a page into one, cut short if need be; in a paper into as many as it takes.

        Args:
            text: the text.
            letters: number of letters that fit on a line of a page's sheet.
        """
        if self.paper is None:
            return [shortened(text, letters)]
        return balanced(text, int(letters * self.width / WIDTH)) or [""]

    def _legend_fits(self, columns: int) -> bool:
        """Returns whether the legend is narrow enough; matplotlib fills its columns one after the other."""
        letter = PAGE_LETTER_WIDTH if self.paper is None else LETTER_WIDTH
        lines = (str(handle.get_label()).splitlines() or [""] for handle in self.legend_handles)
        widths = [36 + letter * max(map(len, label)) for label in lines]
        return sum(float(column.max()) for column in np.array_split(widths, columns)) <= self.width - 50

    def svg(self, title: str, description: str) -> str:
        """Returns the finished figure as an `<svg>` element, or an empty text if it is a panel of a paper's figure.

        Args:
            title: the accessible name.
            description: the figure's numbers in words.
        """
        if self.paper is not None:
            self._break_lines()
        rows = 0
        if self.legend_handles:
            most = len(self.legend_handles)
            columns = next(count for count in range(most, 0, -1) if count == 1 or self._legend_fits(count))
            rows = -(-most // columns)
            self.axes.legend(handles=self.legend_handles, loc="lower left", bbox_to_anchor=(0, 1.03), ncols=columns)
        if self.heading:
            self.axes.set_title(self.heading, pad=14 + 18 * rows)
        if self.paper is not None:
            panel = PaperPanel(self.name, self.figure, title, description, self.tooltips, self.width, self.height)
            self.paper.panels.append(panel)
            return ""
        content = StringIO()
        self.figure.savefig(content, format="svg", transparent=True, metadata=NO_METADATA)
        return embeddable(content.getvalue(), self.name, title, description, self.tooltips)

    def _break_lines(self) -> None:
        """Breaks the names of the axes, the heading and the entries of the legend into lines that fit."""
        across, along = (int((length - 70) / LETTER_WIDTH) for length in (self.width, self.height))
        self.axes.set_xlabel("\n".join(balanced(self.axes.get_xlabel(), across)))
        self.axes.set_ylabel("\n".join(balanced(self.axes.get_ylabel(), along)))
        self.heading = "\n".join(balanced(self.heading, across))
        for handle in self.legend_handles:
            handle.set_label("\n".join(balanced(str(handle.get_label()), across)))


@contextmanager
def open_sheet(name: str, height: int) -> Iterator[Sheet]:
    """Yields an empty sheet, and restores matplotlib's settings afterwards."""
    paper = OPEN_PAPER.get()
    with drawing_style(name, on_paper=paper is not None):
        yield Sheet(name, height, paper)


@contextmanager
def drawing_style(name: str, *, on_paper: bool) -> Iterator[None]:
    """Gives matplotlib the settings of a figure, and restores its own afterwards.

    Args:
        name: the figure's name, which decides the ids in its SVG.
        on_paper: whether the figure is for a paper.
    """
    style = {**sns.axes_style("ticks"), **MATPLOTLIB_STYLE, "svg.hashsalt": name}
    style |= PAPER_STYLE if on_paper else {}
    with matplotlib.rc_context(), warnings.catch_warnings(), light_colours() if on_paper else nullcontext():
        matplotlib.rcdefaults()  # settings of the user or of another figure must not change the bytes
        matplotlib.rcParams.update(style)
        if not on_paper:
            warnings.filterwarnings("ignore", "Glyph")  # the font only measures text here; it may lack glyphs
        yield
