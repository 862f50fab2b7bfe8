"""A figure with one pair of axes, and its conversion to SVG.

The same drawing gives the same bytes whatever matplotlib settings were in force before. Text stays text, in the page's
own font.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
from reports.drawing.svg import embeddable

WIDTH = 440
"""Width of a sheet in CSS pixels: legible on a phone without scrolling."""
NO_METADATA = {"Date": None, "Creator": None, "Type": None, "Format": None}


class Sheet:
    """A figure with one pair of axes, a legend above them, and a tooltip on every mark.

    Args:
        name: prefix of all ids in the SVG; unique within a page.
        height: in CSS pixels.
    """

    def __init__(self, name: str, height: int) -> None:
        self.name = name
        self.figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
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

    def _legend_fits(self, columns: int) -> bool:
        """Returns whether the legend is narrow enough; matplotlib fills its columns one after the other."""
        widths = [36 + 6.5 * len(str(handle.get_label())) for handle in self.legend_handles]
        return sum(float(column.max()) for column in np.array_split(widths, columns)) <= WIDTH - 50

    def svg(self, title: str, description: str) -> str:
        """Returns the finished figure as an `<svg>` element.

        Args:
            title: the accessible name.
            description: the figure's numbers in words.
        """
        rows = 0
        if self.legend_handles:
            most = len(self.legend_handles)
            columns = next(count for count in range(most, 0, -1) if count == 1 or self._legend_fits(count))
            rows = -(-most // columns)
            self.axes.legend(handles=self.legend_handles, loc="lower left", bbox_to_anchor=(0, 1.03), ncols=columns)
        if self.heading:
            self.axes.set_title(self.heading, pad=14 + 18 * rows)
        content = StringIO()
        self.figure.savefig(content, format="svg", transparent=True, metadata=NO_METADATA)
        return embeddable(content.getvalue(), self.name, title, description, self.tooltips)


@contextmanager
def open_sheet(name: str, height: int) -> Iterator[Sheet]:
    """Yields an empty sheet, and restores matplotlib's settings afterwards."""
    style = {**sns.axes_style("ticks"), **MATPLOTLIB_STYLE, "svg.hashsalt": name}
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # settings of the user or of another figure must not change the bytes
        matplotlib.rcParams.update(style)
        warnings.filterwarnings("ignore", "Glyph")  # the font only measures text here; it may lack glyphs
        yield Sheet(name, height)
