"""Panels for a paper: what an exhibit draws on sheets, arranged at a physical width and written with its fonts.

Between `collect_panels` and the end of its `draw`, every sheet is a panel for a paper instead of a figure of a page. It
is drawn in the same units, CSS pixels with text of 12 pixels, on a width at which that text is FONT_POINTS high in the
paper; so lines and marks keep their proportion to the text.

The same drawing gives the same bytes: no file has a date, and the font is the one that matplotlib ships.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from matplotlib.colors import get_named_colors_mapping
from matplotlib.figure import Figure

from reports.drawing.palette import CSS_COLOURS, FONT_SIZE

FONT_POINTS = 7.5
"""Height of the text in the paper."""
SCALE = FONT_POINTS / FONT_SIZE
"""Points in the paper for one CSS pixel of a sheet."""
PANEL_MINIMUM = 300
"""Panels stand side by side if each gets at least this width, in CSS pixels."""
GAP = 20
"""Space between two panels, in CSS pixels."""
LETTER_WIDTH = 7.4
"""Mean width of a letter of the embedded font in CSS pixels."""
BLACK = "#1b1f24"
PAPER_STYLE = {"svg.fonttype": "path", "pdf.fonttype": 42, "font.family": "DejaVu Sans"}


@dataclass(frozen=True)
class PaperPanel:
    """A finished panel.

    Attributes:
        name: prefix of its ids, unique within its exhibit.
        title: what it shows.
        description: its numbers in words.
        tooltips: text of each mark.
        width: in CSS pixels.
        height: in CSS pixels.
    """

    name: str
    figure: Figure
    title: str
    description: str
    tooltips: Sequence[str]
    width: float
    height: float


@dataclass
class OpenPaper:
    """The panels that are being drawn, each of which has this width in CSS pixels."""

    width: float
    panels: list[PaperPanel] = field(default_factory=list)


OPEN_PAPER: ContextVar[OpenPaper | None] = ContextVar("open_paper", default=None)
"""Where sheets go; None while pages are drawn."""


def collect_panels(draw: Callable[[], object], inches: float) -> tuple[list[PaperPanel], int]:
    """Draws panels for a paper.

    Args:
        draw: a function that draws on sheets; it is called twice if panels stand side by side.
        inches: the width of the whole figure.

    Returns:
        the panels, and the number that stand side by side.
    """
    width = inches * 72 / SCALE
    panels = _panels_of(draw, width)
    columns = max(1, min(len(panels), int((width + GAP) // (PANEL_MINIMUM + GAP))))
    if columns > 1:
        panels = _panels_of(draw, (width - GAP * (columns - 1)) / columns)
    return panels, columns


def _panels_of(draw: Callable[[], object], width: float) -> list[PaperPanel]:
    paper = OpenPaper(width)
    token = OPEN_PAPER.set(paper)
    try:
        draw()
    finally:
        OPEN_PAPER.reset(token)
    return paper.panels


@contextmanager
def light_colours() -> Iterator[None]:
    """Lets matplotlib draw each stand-in colour of the palette in the colour that it has on a light page."""
    names = get_named_colors_mapping()
    light = {stand_in: re.findall(r"#[0-9a-f]{6}", css) or [BLACK] for stand_in, css in CSS_COLOURS.items()}
    for stand_in, (colour,) in light.items():
        names[stand_in] = colour
    try:
        yield
    finally:
        for stand_in in light:
            del names[stand_in]
