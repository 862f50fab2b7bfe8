"""What all figures of analyses share: a style that no setting of the user's changes, and how they become SVG."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.figure import Figure

INK = "#1f3a5f"
NOTHING = {"Date": None, "Creator": None, "Type": None, "Format": None}
"""Of what matplotlib would write into the file by itself: the same rows give the same bytes."""


@contextmanager
def styled(name: str, style: str = "whitegrid", settings: Any = None) -> Iterator[None]:
    """Draw and save inside it.

    Args:
        name: the analysis; ids inside the SVG are made from it.
        style: seaborn's.
        settings: of matplotlib, by name, where the figure has its own.
    """
    own: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 11, "axes.titlelocation": "left"}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**sns.axes_style(style), **own, **(settings or {})})
        yield


def svg_of(figure: Figure, title: str, description: str) -> str:
    """A figure as an SVG element with its title and what it shows in words."""
    content = StringIO()
    figure.savefig(content, format="svg", metadata=NOTHING)
    svg = content.getvalue()
    words = f' role="img"><title>{escape(title)}</title><desc>{escape(description)}</desc>'
    return re.sub(">", lambda _: words, svg[svg.index("<svg") :], count=1)
