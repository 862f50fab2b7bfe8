"""The effect of each claim: every seed, the effect on the means with its interval, and the margin."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from generators.foundation.settings import Tree
from reports.drawing.marks import draw_margin, draw_negligible
from reports.drawing.palette import MUTED, PAPER, TEXT
from reports.drawing.sheet import Sheet, open_sheet
from reports.drawing.tables import Column, Table, Value, columns_of, number, word
from reports.exhibits.exhibit import StudyExhibit
from reports.frames.summaries import differences
from reports.frames.wording import effect_name, measure_name
from studies.declared.measures import Measure, measure_of
from studies.judging.judgement import Judgement, standing
from studies.reading.labels import Labels
from studies.reading.results import rows_of

LETTERS = 48
"""Letters of bold type that fit on a line of a page's sheet."""
ROW_HEIGHT, LINE_HEIGHT = 96, 14
"""Heights, in CSS pixels, of a claim whose text has two lines, and of each further line."""
SAME = 0.02
"""Dots closer than this share of the axis are moved apart, so that each is seen."""


class Contrasts(StudyExhibit):
    """Draws one panel for each measure, since each has its own unit, and one row for each claim."""

    section = "contrasts"
    folds_long_tables = False

    def figures(self) -> list[str]:
        by_measure: dict[Measure, list[Judgement]] = {}
        for judgement in self.judgements:
            measure = measure_of(self.study.declaration, judgement.claim)
            by_measure.setdefault(measure, []).append(judgement)
        frame = differences(self.results, self.judgements)
        return [_panel(index, frame, self.labels, *group) for index, group in enumerate(by_measure.items())]

    def caption(self) -> str:
        return (
            "The figure shows the effect of each claim: treatment minus control, the difference of two such gains, the "
            "slope over the levels of a factor, or the best of the claimed levels minus the best of the others. "
            "Effects are sign-flipped so that positive always means better. Each measure has its own axis. Each dot is "
            "a seed that has run in all arms of the claim; the diamond is the effect on the means. Its bar is the "
            f"interval that inverts the exact permutation test ({self.study.declaration.test} form) at the level at "
            "which the claim was judged (corrected by Holm's method over the study's claims), so interval and verdict "
            f"always agree.{self._share_note()} "
            "A claim of equivalence is supported if the whole interval lies within the shaded margin."
            f"{self._negligible_note()}"
        )

    def _share_note(self) -> str:
        measures = [measure_of(self.study.declaration, claim) for claim in self.study.declaration.claims]
        shares = any(measure.is_share for measure in measures)
        return " The effect of a claim about shares has an exact unconditional test of its own." if shares else ""

    def _negligible_note(self) -> str:
        if all(claim.negligible is None for claim in self.study.declaration.claims):
            return ""
        return (
            " Any other claim that is neither supported nor contradicted is negligible if its interval lies within the "
            "shaded range of effects that are too small to matter; the interval of such a claim is at the level of the "
            "look divided by the number of all claims (Bonferroni)."
        )

    def table(self) -> Table:
        """Returns the effects seed by seed, with the runs of two arms."""
        form = [Column("claim", "name"), *columns_of("number", ("seed", "treatment", "control", "effect"))]
        form += columns_of("code", ("treatment run", "control run"))
        table = Table("Effects seed by seed, with the measured values of two arms", form)
        for row in rows_of(differences(self.results, self.judgements)):
            values = [number(row[key], ".4g") for key in ("treatment", "control")]
            runs = [Value(row["treatment_run"]), Value(row["control_run"])]
            effect = number(row["difference"], "+.4g")
            table.rows.append([word(self.labels.claim(row["claim"])), number(row["seed"], "d"), *values, effect, *runs])
        return table

    def summary(self) -> Table:
        """Returns one row for each claim."""
        titles = ("effect", "low", "high", "confidence %", "margin", "p", "corrected p")
        form = [Column("claim", "name")]
        form += columns_of("word", ("verdict", "kind", "effect on", "treatment", "control"))
        table = Table("Contrasts by claim", form + columns_of("number", titles))
        for judgement in self.judgements:
            contrast, claim = judgement.contrast, judgement.claim
            ends = (contrast.difference, contrast.low, contrast.high) if contrast else (None, None, None)
            measure = effect_name(measure_of(self.study.declaration, claim), self.labels)
            names = (self.labels.claim(claim.name), standing(judgement), claim.kind, measure)
            confidence = number(None if judgement.level is None else 100 * (1 - judgement.level), ".4g")
            tests = [number(value, ".3g") for value in (claim.margin, judgement.p, judgement.p_corrected)]
            row = [*map(word, (*names, *map(self.labels.arm, (judgement.treatment, judgement.control))))]
            table.rows.append([*row, *(number(end, "+.4g") for end in ends), confidence, *tests])
        return table


def _panel(index: int, frame: pd.DataFrame, labels: Labels, measure: Measure, judgements: list[Judgement]) -> str:
    frame = frame[frame["claim"].isin([judgement.claim.name for judgement in judgements])]
    reach = _reach(frame, judgements)
    with open_sheet(f"differences-{index}", 84 + ROW_HEIGHT * len(judgements)) as sheet:
        axes, descriptions = sheet.axes, []
        texts = [_lines(sheet, judgement, labels) for judgement in judgements]
        row_height = ROW_HEIGHT + LINE_HEIGHT * (max(map(len, texts)) - 2)
        sheet.resize(84 + row_height * len(judgements))
        sheet.add_legend("one seed", color=MUTED, marker="o", ms=5, ls="none", mew=0, alpha=0.7)
        for row, (judgement, lines) in enumerate(zip(judgements, texts, strict=True)):
            seeds = frame[frame["claim"] == judgement.claim.name]
            places = _apart(list(seeds["difference"]), SAME * reach)
            for seed, difference, place in zip(seeds["seed"], seeds["difference"], places, strict=True):
                text = f"{judgement.claim.name}, seed {seed}: {difference:+z.3f}"
                height = row + (0.14 + place) * ROW_HEIGHT / row_height
                sheet.mark(difference, height, "o", text, color=MUTED, ms=5, alpha=0.7, mew=0, zorder=3)
            _write(sheet, lines, row, row_height)
            descriptions.append(_draw_claim(sheet, judgement, row, reach, ROW_HEIGHT / row_height))
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", visible=True)
        top = 0.75 * ROW_HEIGHT / row_height + (row_height - ROW_HEIGHT) / row_height
        axes.set(yticks=[], ylim=(len(judgements) - 1 + 0.4 * ROW_HEIGHT / row_height, -top), xlim=(-reach, reach))
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]))
        axes.set_xlabel(f"effect on {effect_name(measure, labels)}")
        return sheet.svg(f"The effect of each claim on {measure_name(measure, labels)}", "; ".join(descriptions))


def _apart(differences: Sequence[float], same: float) -> list[float]:
    """Returns how far each dot is moved from the line of its claim, in rows: 0 unless another dot is close."""
    groups: dict[int, list[int]] = {}
    for index, difference in enumerate(differences):
        groups.setdefault(round(difference / same), []).append(index)
    places = [0.0] * len(differences)
    for group in groups.values():
        step = min(0.05, 0.22 / len(group))
        for rank, index in enumerate(group):
            places[index] = step * (rank - (len(group) - 1) / 2)
    return places


def _reach(frame: pd.DataFrame, judgements: list[Judgement]) -> float:
    """Returns half the width of the x axis: enough for seeds, intervals and margins, with zero in the middle."""
    bounds = [judgement.claim.margin or judgement.claim.negligible or 0.0 for judgement in judgements]
    ends = [*frame["difference"], *bounds]
    for judgement in judgements:
        ends += [judgement.contrast.low, judgement.contrast.high] if judgement.contrast else []
    ends = [end for end in ends if np.isfinite(end)]
    return 1.12 * max((abs(end) for end in ends), default=0.0) or 1.0


def _lines(sheet: Sheet, judgement: Judgement, labels: Labels) -> list[tuple[str, Tree]]:
    """Returns the lines above the effect of a claim with their style: its name, and what is compared."""
    suffix = "" if judgement.contrast else ": not tested"
    names = sheet.lines(labels.claim(judgement.claim.name), LETTERS - len(suffix))
    names[-1] += suffix
    bold: Tree = {"weight": "bold"}
    muted: Tree = {"color": MUTED}
    effect_lines = sheet.lines(labels.in_text(judgement.effect_text), LETTERS + 8)
    return [*((line, bold) for line in names), *((line, muted) for line in effect_lines)]


def _write(sheet: Sheet, lines: list[tuple[str, Tree]], row: int, row_height: int) -> None:
    """Writes lines one below the other, the last of them right above the effect of a claim."""
    style: Tree = {"xycoords": sheet.axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    style["bbox"] = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
    for index, (line, look) in enumerate(lines):
        below = LINE_HEIGHT * (len(lines) - 2 - index)
        sheet.axes.annotate(line, (0, row - 0.58 * ROW_HEIGHT / row_height), (0, below), **style, **look)


def _draw_claim(sheet: Sheet, judgement: Judgement, row: int, reach: float, unit: float) -> str:
    """Draws the zero line, margin, effect and interval of a claim; returns them in words.

    Args:
        sheet: the figure.
        judgement: the claim.
        row: its row.
        reach: half the width of the axis.
        unit: the height of a row without further lines.
    """
    axes, contrast, claim = sheet.axes, judgement.contrast, judgement.claim
    low_edge, high_edge, place = row - 0.26 * unit, row + 0.3 * unit, row - 0.12 * unit
    axes.plot([0, 0], [low_edge, high_edge], color=TEXT, lw=1, zorder=1)
    if claim.margin is not None:
        draw_margin(sheet, claim.margin, low_edge, high_edge, both_sides=claim.margin_on_both_sides, width=1)
    if claim.negligible is not None:
        draw_negligible(sheet, claim.negligible, low_edge, high_edge)
    if contrast is None:
        return f"{claim.name}: not tested, {judgement.reason}"
    low, high = max(contrast.low, -reach), min(contrast.high, reach)
    axes.plot([low, high], [place, place], color=TEXT, lw=2.2, zorder=3, solid_capstyle="butt")
    for end, marker in ((contrast.low, "<"), (contrast.high, ">")):
        if not np.isfinite(end):
            axes.plot([np.clip(end, -reach, reach)], [place], marker, color=TEXT, ms=7, clip_on=False, zorder=4)
    span = f"interval {contrast.low:+z.3f} to {contrast.high:+z.3f}"
    text = f"{claim.name}: {contrast.difference:+z.3f}, {span}, {judgement.verdict}"
    sheet.mark(contrast.difference, place, "D", text, color=TEXT, ms=8, mec=PAPER, mew=1.2, zorder=4)
    sheet.add_legend("means and interval", color=TEXT, marker="D", ms=7, lw=2.2, mec=PAPER)
    return text
