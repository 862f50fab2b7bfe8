"""The effects of many claims on one scale: one row for each claim.

Effects on different measures have different units. The figure divides each by the standard deviation of that effect
over seeds, so that 1 is one standard deviation over seeds. Verdicts are unaffected: they depend on which side
of zero the interval lies, or of the claim's margin, which is divided likewise.
"""

from collections.abc import Sequence
from math import inf, isfinite

import numpy as np

from generators.foundation.settings import Tree
from reports.drawing.marks import draw_margin, draw_negligible
from reports.drawing.palette import PAPER, TEXT, VERDICT_COLOURS, VERDICT_MARKERS
from reports.drawing.sheet import Sheet, open_sheet
from reports.drawing.tables import MISSING_VALUE, Column, Table, Value, columns_of, number, word
from reports.frames.claim_lines import ClaimLine
from reports.frames.numbers import minus_sign, signed
from reports.frames.text import shortened
from reports.frames.wording import span
from studies.statistics.exact import Contrast

LETTERS = 58
"""Letters that fit on a sheet."""
ROW_HEIGHT = 46
"""In CSS pixels."""
TICKS = (1, 3, 10, 30, 100, 300, 1000)


def effect_values(contrast: Contrast | None) -> tuple[Value, Value]:
    """Returns an effect and its interval as a table shows them."""
    if contrast is None:
        return MISSING_VALUE, MISSING_VALUE
    effect = signed(contrast.difference, contrast.low, contrast.high)
    return Value(effect, contrast.difference), Value(span(contrast), float(np.nan_to_num(contrast.low)))


def effects_table(lines: Sequence[ClaimLine]) -> Table:
    """Returns the data behind the figure."""
    titles = (
        "effect",
        "low",
        "high",
        "confidence %",
        "margin",
        "standard deviation over seeds",
        "seeds",
        "corrected p",
    )
    form = [Column("#"), Column("claim", "name"), *columns_of("word", ("kind", "effect on"))]
    form += columns_of("number", titles)
    table = Table("Every effect in its own unit, and the standard deviation that divides it", form)
    for line in lines:
        judgement, contrast = line.judgement, line.judgement.contrast
        ends = (contrast.difference, contrast.low, contrast.high) if contrast else (None, None, None)
        confidence = None if judgement.level is None else 100 * (1 - judgement.level)
        table.rows.append(
            [
                number(line.number, "d"),
                *map(word, (line.name, judgement.claim.effect_name, line.measure)),
                *(number(end, "+.4g") for end in ends),
                number(confidence, ".4g"),
                number(judgement.claim.margin, ".4g"),
                number(line.deviation, ".3g"),
                number(len(judgement.by_seed), "d"),
                number(judgement.p_corrected, ".3g"),
            ]
        )
    return table


def effects_figure(lines: Sequence[ClaimLine], name: str) -> str:
    """Returns a figure whose rows have the number, interval and verdict of one claim each.

    Args:
        lines: the claims.
        name: the figure's name, unique within a page.
    """
    reach = _reach(lines)
    with open_sheet(name, 96 + ROW_HEIGHT * len(lines)) as sheet:
        axes = sheet.axes
        for verdict, marker in VERDICT_MARKERS.items():
            colour = VERDICT_COLOURS[verdict]
            style: Tree = {"ms": 8, "lw": 2.4, "mec": colour, "mfc": _fill(verdict), "mew": 1.6}
            sheet.add_legend(verdict, color=colour, marker=marker, **style)
        axes.set_xscale("asinh", linear_width=1.0)
        axes.set(yticks=[], ylim=(len(lines) - 0.5, -0.6), xlim=(-reach, reach))
        ticks = [tick for tick in TICKS if tick <= reach]
        axes.set_xticks([*(-tick for tick in reversed(ticks)), 0, *ticks], minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter(lambda value, _: minus_sign(f"{value:zg}"))
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", visible=True)
        axes.axvline(0, color=TEXT, lw=1, zorder=1)
        axes.set_xlabel("effect, in standard deviations over seeds")
        descriptions = [_draw_line(sheet, row, line, reach) for row, line in enumerate(lines)]
        return sheet.svg("Every claim: its effect, interval and verdict", "; ".join(descriptions))


def _fill(verdict: str) -> str:
    return PAPER if verdict == "inconclusive" else VERDICT_COLOURS[verdict]


def _reach(lines: Sequence[ClaimLine]) -> float:
    """Returns half the width of the axis: enough for intervals and margins, at least 3."""
    ends = [3.0]
    for line in lines:
        contrast = line.judgement.contrast
        effect = (contrast.low, contrast.high, contrast.difference) if contrast else ()
        bound = line.judgement.claim.margin or line.judgement.claim.negligible or 0.0
        ends += [end / line.deviation for end in (*effect, bound)]
    return 1.3 * max(abs(end) for end in ends if isfinite(end))


def _draw_line(sheet: Sheet, row: int, line: ClaimLine, reach: float) -> str:
    """Draws name, margin, interval and effect of a claim; returns them in words."""
    axes, judgement, contrast, unit = sheet.axes, line.judgement, line.judgement.contrast, line.deviation
    style: Tree = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    style["bbox"] = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
    name = f"{line.number}  {line.name}" + ("" if contrast else ": not tested")
    axes.annotate(shortened(name, LETTERS), (0, row - 0.26), (0, 0), **style, color=TEXT)
    if contrast is None:
        return f"{line.number} {line.name}: not tested, {judgement.reason}"
    effect = signed(contrast.difference, contrast.low, contrast.high)
    text = f"{line.number} {line.name}: {effect}, interval {span(contrast)}, {judgement.verdict}"
    if not isfinite(unit):  # all seeds had the same effect: there is no unit, only a side
        unit = abs(contrast.difference) / reach or 1.0
    margin = (judgement.claim.margin or 0.0) / unit
    if margin:
        both_sides = judgement.claim.margin_on_both_sides
        draw_margin(sheet, margin, row - 0.02, row + 0.38, both_sides=both_sides, width=1.2)
    if judgement.claim.negligible:
        draw_negligible(sheet, judgement.claim.negligible / unit, row - 0.02, row + 0.38)
    colour = VERDICT_COLOURS[judgement.verdict]
    low, high = max(contrast.low / unit, -reach), min(contrast.high / unit, reach)
    axes.plot([low, high], [row + 0.18] * 2, color=colour, lw=2.4, zorder=3, solid_capstyle="butt")
    for end, marker, edge in ((contrast.low, "<", -reach), (contrast.high, ">", reach)):
        if end in (inf, -inf):
            axes.plot([edge], [row + 0.18], marker, color=colour, ms=7, clip_on=False, zorder=4)
    mark: Tree = {"color": colour, "ms": 9, "mfc": _fill(judgement.verdict), "mec": colour, "mew": 1.8, "zorder": 5}
    position = float(np.clip(contrast.difference / unit, -reach, reach))
    sheet.mark(position, row + 0.18, VERDICT_MARKERS[judgement.verdict], text, **mark)
    return text
