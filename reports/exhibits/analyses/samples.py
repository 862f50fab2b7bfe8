"""Figure of `samples`: tokens in reading order, shaded by the head that proposed each, or by a head's loss on each."""

import re

from matplotlib.patches import Rectangle

from lab.analysis.analysis import Row
from reports.drawing.palette import MUTED, SERIES, TEXT
from reports.drawing.sheet import open_sheet
from reports.exhibits.exhibit import AnalysisExhibit

TOKENS_PER_ROW = 8
LETTERS_MAXIMUM = 8
"""Letters of a token that fit into its cell."""
ROW_HEIGHT = 24
"""In CSS pixels."""


class SamplesFigure(AnalysisExhibit):
    """Shows the first sample of each part: one panel of drafts, and one for each head whose losses are stored."""

    section = "samples"

    def figures(self) -> list[str]:
        rows = [row for row in self.source if row["sample"] == 0]
        losses = dict.fromkeys(name for row in rows for name in row if re.fullmatch(r"loss_\d+", name))
        panels = [("draft", "head", "Drafts: the head that proposed a token")]
        panels += [("loss", name, f"Loss of head {name.removeprefix('loss_')}, nats") for name in losses]
        drawn = []
        for part, key, heading in panels:
            tokens = [row for row in rows if row["part"] == part]
            if tokens:
                drawn.append(_panel(tokens, key, heading))
        return drawn

    def caption(self) -> str:
        return "The number behind a token names the head that proposed it; tokens from head 1 have no number."


def _panel(rows: list[Row], key: str, heading: str) -> str:
    lines = -(-len(rows) // TOKENS_PER_ROW)
    top = max((row[key] or 0 for row in rows), default=0) or 1
    with open_sheet(f"samples-{key.replace('_', '-')}", 40 + ROW_HEIGHT * lines) as sheet:
        axes = sheet.axes
        for place, row in enumerate(rows):
            line, column = divmod(place, TOKENS_PER_ROW)
            known = row[key] is not None
            shade = 0.45 * row[key] / top if known else 0.0
            box = Rectangle((column, line), 1, 1, facecolor=SERIES[0], alpha=shade, edgecolor="none")
            axes.add_patch(box)
            sheet.add_tooltip(box, f"{_text(row, key)}: {row[key]:zg}" if known else _text(row, key))
            colour = TEXT if known else MUTED
            axes.text(column + 0.5, line + 0.5, _text(row, key), ha="center", va="center", size=9, color=colour)
        axes.set(xlim=(0, TOKENS_PER_ROW), ylim=(lines, 0), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        sheet.heading = heading
        return sheet.svg(heading, " ".join(_text(row, key) for row in rows))


def _text(row: Row, key: str) -> str:
    """Returns a token as its cell shows it, followed by the head that proposed it unless that is head 1."""
    text = row["text"].strip(" ").replace("\n", "↵")[:LETTERS_MAXIMUM] or "␣"
    return f"{text} ({row['head']})" if key == "head" and row["head"] > 1 else text
