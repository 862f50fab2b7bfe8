"""Claims of many studies on one scale: a table of them, and a figure in which each is a row.

Effects of different measures have different units. Drawn, each is divided by the standard deviation of its own effect
from seed to seed, so that 1 is what one seed differs from another. What decides stays as it was: where an interval
lies beside zero, or beside the claim's margin, which is divided likewise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan

import numpy as np
from matplotlib.patches import Rectangle

from generators.foundation.settings import Tree
from reports.drawing.sheet import MUTED, PAPER, SHADE, TEXT, VERDICT_COLOURS, Sheet, sheet
from reports.exhibits.tables import Column, Table
from reports.frames import formatting as words
from reports.frames.formatting import MISSING, Value, number, word
from studies.declared.measures import measure_of
from studies.declared.study import Study
from studies.judging.judgement import Judgement
from studies.statistics.exact import Contrast

LETTERS = 58
"""That fit on a sheet."""
ROW = 46
"""Height of a claim, in CSS pixels."""
TICKS = (1, 3, 10, 30, 100, 300, 1000)
SHAPES = {"supported": "^", "contradicted": "v", "inconclusive": "o"}


@dataclass(frozen=True)
class Line:
    """A claim on the scoreboard. number: its row. minutes: of one core, for all runs of its study. link: to the
    study's own page. label: what the study is called, if not by its name."""

    number: int
    study: Study
    judgement: Judgement
    minutes: float
    link: str
    label: str = ""

    @property
    def deviation(self) -> float:
        """Standard deviation of the effect over seeds; nan where it is not known or nothing varied."""
        effects = list(self.judgement.by_seed.values())
        spread = float(np.std(effects, ddof=1)) if len(effects) > 1 else nan
        return spread if spread > 0 else nan

    @property
    def name(self) -> str:
        return f"{self.label or self.study.name}: {words.spoken(self.judgement.claim.name)}"

    @property
    def measure(self) -> str:
        """What the effect is of, as people say it."""
        return words.measured(measure_of(self.study.declaration, self.judgement.claim))


def claims(lines: Sequence[Line]) -> Table:
    """Claim, the paper's figure, ours, verdict."""
    form = [
        Column("#"),
        Column("verdict", "word"),
        Column("study", "word"),
        Column("claim", "text"),
        Column("the paper's figure", "name"),
        Column("measured"),
        Column("of", "name"),
        Column("interval"),
        Column("seeds"),
        Column("core minutes"),
    ]
    table = Table("Every claim, what the paper found, and what was measured here", form)
    for line in lines:
        one, found = line.judgement, line.judgement.contrast
        there, planned = len(one.by_seed), line.study.seeds
        seeds = Value(str(there) if there == planned else f"{there} of {planned}", there)
        table.rows.append(
            [
                number(line.number, "d"),
                words.stands(one),
                Value(line.study.name, link=line.link),
                word(one.claim.text),
                word(one.claim.paper),
                measured(found)[0],
                word(words.called(measure_of(line.study.declaration, one.claim))),
                measured(found)[1],
                seeds,
                number(line.minutes, ",.0f" if line.minutes >= 10 else ".1f"),
            ]
        )
    return table


def measured(found: Contrast | None) -> tuple[Value, Value]:
    """The effect and its interval, as the table shows them."""
    if found is None:
        return Value(MISSING), Value(MISSING)
    effect = words.signed(found.difference, found.low, found.high)
    return Value(effect, found.difference), Value(words.span(found), float(np.nan_to_num(found.low)))


def effects(lines: Sequence[Line]) -> Table:
    """The data behind the figure."""
    titles = ["effect", "low", "high", "confidence %", "margin", "standard deviation over seeds"]
    form = [Column("#"), Column("claim", "name"), Column("kind", "word"), Column("effect on", "word")]
    form += [Column(title) for title in titles] + [Column("seeds"), Column("corrected p")]
    table = Table("Every effect in its own unit, and the standard deviation it is drawn in", form)
    for line in lines:
        one, found = line.judgement, line.judgement.contrast
        ends = (found.difference, found.low, found.high) if found else (None, None, None)
        said = [word(line.name), word(one.claim.effect_name), word(line.measure)]
        numbers = [number(end, "+.4g") for end in ends]
        numbers += [
            number(None if one.level is None else 100 * (1 - one.level), ".4g"),
            number(one.claim.margin, ".4g"),
        ]
        numbers += [number(line.deviation, ".3g"), number(len(one.by_seed), "d"), number(one.p_corrected, ".3g")]
        table.rows.append([number(line.number, "d"), *said, *numbers])
    return table


def drawn(lines: Sequence[Line]) -> str:
    """The figure: a row a claim, its interval in standard deviations over seeds, the verdict by colour and shape."""
    reach = _reach(lines)
    with sheet("scoreboard", 96 + ROW * len(lines)) as page:
        axes, told = page.axes, []
        for verdict, marker in SHAPES.items():
            colour = VERDICT_COLOURS[verdict]
            page.key(verdict, color=colour, marker=marker, ms=8, lw=2.4, mec=colour, mfc=_fill(verdict), mew=1.6)
        axes.set_xscale("asinh", linear_width=1.0)
        axes.set(yticks=[], ylim=(len(lines) - 0.5, -0.6), xlim=(-reach, reach))
        ticks = [tick for tick in TICKS if tick <= reach]
        axes.set_xticks([*(-tick for tick in reversed(ticks)), 0, *ticks], minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter(lambda value, _: words.minus(f"{value:g}"))
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", visible=True)
        axes.axvline(0, color=TEXT, lw=1, zorder=1)
        axes.set_xlabel("effect, in standard deviations over seeds")
        told = [_row(page, row, line, reach) for row, line in enumerate(lines)]
        return page.svg("Every claim: its effect, interval and verdict", "; ".join(told))


def _fill(verdict: str) -> str:
    return PAPER if verdict == "inconclusive" else VERDICT_COLOURS[verdict]


def _reach(lines: Sequence[Line]) -> float:
    """Half the width of the axis: what intervals and margins need."""
    ends = [3.0]
    for line in lines:
        found = line.judgement.contrast
        ends += [found.low, found.high, found.difference] if found else []
        ends = [*ends[:-3], *(end / line.deviation for end in ends[-3:])] if found else ends
        ends.append((line.judgement.claim.margin or 0.0) / line.deviation)
    return 1.3 * max(abs(end) for end in ends if isfinite(end))


def _row(page: Sheet, row: int, line: Line, reach: float) -> str:
    """A claim: its name, margin, interval and effect; what they say in words."""
    axes, one, found, unit = page.axes, line.judgement, line.judgement.contrast, line.deviation
    style: Tree = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    style["bbox"] = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
    name = f"{line.number}  {line.name}" + ("" if found else ": not tested")
    axes.annotate(words.shortened(name, LETTERS), (0, row - 0.26), (0, 0), **style, color=TEXT)
    if found is None:
        return f"{line.number} {line.name}: not tested, {one.reason}"
    effect = words.signed(found.difference, found.low, found.high)
    said = f"{line.number} {line.name}: {effect}, interval {words.span(found)}, {one.verdict}"
    if not isfinite(unit):  # every seed had the same effect: there is no unit, only a side
        unit = abs(found.difference) / reach or 1.0
    margin = (one.claim.margin or 0.0) / unit
    if margin and one.claim.margin_on_both_sides:
        box = Rectangle((-margin, row - 0.02), 2 * margin, 0.4, facecolor=SHADE, edgecolor="none", zorder=0)
        axes.add_patch(box)
        page.key("margin of equivalence", color=SHADE, lw=9, solid_capstyle="butt")
    elif margin:
        axes.plot([margin, margin], [row - 0.02, row + 0.38], color=MUTED, lw=1.2, ls="--", zorder=1)
        page.key("margin to be above", color=MUTED, lw=1.2, ls="--")
    colour = VERDICT_COLOURS[one.verdict]
    low, high = max(found.low / unit, -reach), min(found.high / unit, reach)
    axes.plot([low, high], [row + 0.18] * 2, color=colour, lw=2.4, zorder=3, solid_capstyle="butt")
    for end, marker, edge in ((found.low, "<", -reach), (found.high, ">", reach)):
        if end in (inf, -inf):
            axes.plot([edge], [row + 0.18], marker, color=colour, ms=7, clip_on=False, zorder=4)
    shape, face = SHAPES[one.verdict], _fill(one.verdict)
    at = float(np.clip(found.difference / unit, -reach, reach))
    page.mark(at, row + 0.18, shape, said, color=colour, ms=9, mfc=face, mec=colour, mew=1.8, zorder=5)
    return said
