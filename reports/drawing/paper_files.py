"""Writes the panels of a paper's figure as one PDF, SVG or PNG file, at their size in the paper."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

import numpy as np
from matplotlib.backends import backend_agg, backend_pdf
from matplotlib.image import imsave

from generators.foundation.outside import note_once
from reports.drawing.paper import BLACK, GAP, PAPER_STYLE, SCALE, PaperPanel
from reports.drawing.sheet import NO_METADATA, drawing_style
from reports.drawing.svg import embeddable

ENDINGS = (".pdf", ".svg", ".png")
PNG_DOTS_PER_INCH = 300
AGG: Any = backend_agg
PDF: Any = backend_pdf
"""Parts of matplotlib that have no types."""


@dataclass(frozen=True)
class Arrangement:
    """Panels in rows.

    Attributes:
        panels: the panels, row by row.
        places: left and top edge of each, in CSS pixels.
        width: of the whole figure, in CSS pixels.
        height: of the whole figure, in CSS pixels.
    """

    panels: Sequence[PaperPanel]
    places: Sequence[tuple[float, float]]
    width: float
    height: float

    @classmethod
    def of(cls, panels: Sequence[PaperPanel], columns: int) -> "Arrangement":
        """Arranges panels with so many side by side."""
        places, top = [], 0.0
        for start in range(0, len(panels), columns):
            row = panels[start : start + columns]
            places += [(index * (panel.width + GAP), top) for index, panel in enumerate(row)]
            top += max(panel.height for panel in row) + GAP
        width = columns * panels[0].width + (columns - 1) * GAP
        return cls(panels, places, width, top - GAP)


def file_of(arrangement: Arrangement, ending: str, subject: str) -> bytes:
    """Returns a figure as the content of a file. Letters that the font lacks are named on standard error.

    Args:
        arrangement: the panels.
        ending: one of ENDINGS.
        subject: where the figure comes from, kept in the file.
    """
    write = {".pdf": _pdf, ".svg": _svg, ".png": _png}[ending]
    with drawing_style("paper", on_paper=True), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = write(arrangement, subject)
    codes = (code for warning in caught for code in re.findall(r"^Glyph (\d+) ", str(warning.message)))
    if missing := sorted({chr(int(code)) for code in codes}):
        note_once(f"the figure lacks {' '.join(missing)}: its font, {PAPER_STYLE['font.family']}, has no such letter")
    return content


def _pdf(arrangement: Arrangement, subject: str) -> bytes:
    """Draws every panel on one page, scaled to its size in the paper."""
    content = BytesIO()
    titles = "; ".join(panel.title for panel in arrangement.panels)
    metadata = {"Title": titles, "Subject": subject, "Creator": "mtp-lab", "Producer": None, "CreationDate": None}
    file = PDF.PdfFile(content, metadata=metadata)
    file.newPage(arrangement.width * SCALE / 72, arrangement.height * SCALE / 72)
    for panel, (left, top) in zip(arrangement.panels, arrangement.places, strict=True):
        bottom = arrangement.height - top - panel.height
        panel.figure.set_dpi(72)
        file.width, file.height = panel.width / 72, panel.height / 72  # lines are cut there
        renderer = PDF.RendererPdf(file, PNG_DOTS_PER_INCH, panel.height / 72, panel.width / 72)
        file.output(PDF.Op.gsave)
        file.output(SCALE, 0, 0, SCALE, SCALE * left, SCALE * bottom, PDF.Op.concat_matrix)
        panel.figure.draw(renderer)
        renderer.finalize()
        file.output(PDF.Op.grestore)
    file.finalize()
    file.close()
    return content.getvalue()


def _svg(arrangement: Arrangement, subject: str) -> bytes:
    width, height = arrangement.width, arrangement.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * SCALE:zg}pt" height="{height * SCALE:zg}pt" '
        f'viewBox="0 0 {width:zg} {height:zg}" style="color: {BLACK}">\n<!-- {subject.replace("--", "- -")} -->\n'
    ]
    for panel, (left, top) in zip(arrangement.panels, arrangement.places, strict=True):
        content = StringIO()
        panel.figure.savefig(content, format="svg", transparent=True, metadata=NO_METADATA)
        element = embeddable(content.getvalue(), panel.name, panel.title, panel.description, panel.tooltips)
        place = f'<svg x="{left:zg}" y="{top:zg}" width="{panel.width:zg}" height="{panel.height:zg}"'
        parts.append(element.replace("<svg", place, 1))
    return "".join([*parts, "</svg>\n"]).encode()


def _png(arrangement: Arrangement, subject: str) -> bytes:
    dots = SCALE * PNG_DOTS_PER_INCH / 72
    height, width = (int(np.ceil(side * dots)) for side in (arrangement.height, arrangement.width))
    image_HxWx3 = np.full((height, width, 3), 255, np.uint8)
    for panel, (left, top) in zip(arrangement.panels, arrangement.places, strict=True):
        panel.figure.set_dpi(72 * dots)
        panel.figure.set_facecolor("white")
        canvas = AGG.FigureCanvasAgg(panel.figure)
        canvas.draw()
        drawn = np.asarray(canvas.buffer_rgba())[..., :3]
        row, column = int(top * dots), int(left * dots)
        image_HxWx3[row : row + drawn.shape[0], column : column + drawn.shape[1]] = drawn
    content = BytesIO()
    metadata: dict[str, Any] = {"Description": subject, "Software": None}
    imsave(content, image_HxWx3, format="png", dpi=PNG_DOTS_PER_INCH, metadata=metadata)
    return content.getvalue()
