"""The figures of a study, one function a figure. Each returns SVG text, byte-identical for the same results.

Figures with panels return one SVG a panel, so that a narrow page can stack them.
"""

import re
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from generators.foundation.settings import Tree
from reports.drawing.layout import Layout, Place, cross, fit_scores, panels, places, shortcut_line, slanted
from reports.drawing.sheet import MUTED, PAPER, SHADE, TEXT, Sheet, sheet
from reports.frames.formatting import called, measured, plain, plural, shortened, spoken
from reports.frames.results import COMPLETE, UNFINISHED, Results, rows_of
from reports.frames.summaries import CellScore, differences, mean_curves, scores, seed_curves, shortcut_on, trials
from studies.declared.levels import short
from studies.declared.measures import Measure, main_measure, measure_of
from studies.declared.ranges import Range
from studies.judging.judgement import Judgement

LINE = 48
"""Letters of bold type that fit on a sheet."""
SLOT = 0.76
"""Share of the distance between two x levels that the marks of one may fill."""


def score_by_size(results: Results, measure: Measure | None = None) -> list[str]:
    """A measure, by default the study's, against the first factor: every seed a mark, the mean of a cell with its
    interval, the shortcut a line."""
    main = main_measure(results.study.declaration)
    measure = measure or main
    table, drawn = scores(results, measure), []
    stem = "scores" if measure == main else re.sub("[^a-z0-9]+", "-", measure.name)
    for index, (name, members) in enumerate(panels(places(results.study), by_x=False).items()):
        with sheet(f"{stem}-{index}", 330) as page:
            drawn.append(_score_panel(results, page, name, members, measure, table))
    return drawn


def _score_panel(
    results: Results, page: Sheet, name: str, members: list[Place], measure: Measure, table: dict[str, CellScore]
) -> str:
    study, axes, column = results.study, page.axes, results.column_of(measure)
    runs = results.runs[results.runs["phase"] == "confirm"]
    form = Layout.of(study)
    beside = form.hue != form.x
    hues = max(place.hue for place in members) + 1 if beside else 1
    width = SLOT / hues
    told, spans = [], []
    for place in members:
        row = table[place.cell.label]
        middle = place.x + (place.hue - (hues - 1) / 2) * width if beside else place.x
        if beside:
            page.key(place.hue_label, color=place.colour, marker=place.marker, ms=8, lw=2, mec=PAPER)
        for run in rows_of(runs[runs["cell"] == row.cell]):
            _seed_mark(
                page, place, run, run.get(column), middle + width * (0.5 * (run["seed"] + 0.5) / study.seeds - 0.42)
            )
        if row.seeds:
            _mean_mark(page, place, row, middle + width * 0.26)
            told.append(_said(row))
            if column == "score":
                spans.append((middle - width / 2, middle + width / 2, row.shortcut))
    shortcut_line(page, str(study.declaration.shortcut), spans)
    levels = form.levels[form.x]
    axes.set_xticks(range(len(levels)), [str(level) for level in levels], **slanted(levels))
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.set(xlabel=short(form.x), ylabel=called(measure))
    page.heading = name
    fit_scores(page, [*results.scored(measure)[column], *(score for _, _, score in spans)], measure.metric)
    title = f"{called(measure)} by {short(form.x)} {name}".strip()
    return page.svg(title, "; ".join(told) or "no run has a score yet")


def _seed_mark(page: Sheet, place: Place, run: Tree, value: float | None, x: float) -> None:
    said = f"{place.cell.label}, seed {run['seed']}"
    if run["status"] == COMPLETE and value is not None and np.isfinite(value):
        said += f": {plain(value)}"
        page.mark(x, value, place.marker, said, color=place.colour, ms=5, alpha=0.65, mew=0, zorder=3)
    elif run["status"] not in (COMPLETE, UNFINISHED):
        cross(page, x, place.colour, f"{said}: failed, no score")


def _mean_mark(page: Sheet, place: Place, row: CellScore, x: float) -> None:
    page.axes.plot([x, x], [row.low, row.high], color=place.colour, lw=2.2, zorder=3, solid_capstyle="butt")
    page.mark(x, row.mean, place.marker, _said(row), color=place.colour, ms=9, mec=PAPER, mew=1.2, zorder=4)


def _said(row: CellScore) -> str:
    mean = f"{row.cell}: mean {plain(row.mean, row.low, row.high)}"
    return f"{mean}, interval {plain(row.low)} to {plain(row.high)}, {plural(row.seeds, 'seed')}"


def height(members: list[Place]) -> int:
    """Of a panel with a legend of its members: one of more than four takes more rows."""
    return 290 + 18 * max(0, len(members) - 4)


def learning_curves(results: Results, against: Literal["step", "seconds"]) -> list[str]:
    """Validation score against steps, or against seconds of training: each seed thin, their mean thick, a panel a size.

    The mean at a step stands at the mean of its runs' seconds.
    """
    curves = seed_curves(results)
    drawn = []
    for index, (name, members) in enumerate(panels(places(results.study), by_x=True).items()):
        labels = [place.cell.label for place in members]
        if curves["cell"].isin(labels).any():
            with sheet(f"{against}-{index}", height(members)) as page:
                drawn.append(_curve_panel(results, page, name, members, curves, against))
    return drawn


def _curve_panel(
    results: Results, page: Sheet, name: str, members: list[Place], curves: pd.DataFrame, against: str
) -> str:
    declaration, axes, told = results.study.declaration, page.axes, []
    labels = [place.cell.label for place in members]
    reach = float(curves[curves["cell"].isin(labels)][against].max())
    for place in members:
        mine = curves[curves["cell"] == place.cell.label]
        if mine.empty:
            continue
        style: Tree = {"color": place.colour, "ls": place.dash}
        for seed, run in mine.groupby("seed", sort=True):
            (line,) = axes.plot(run[against], run["value"], **style, lw=0.9, alpha=0.45, zorder=2)
            page.tip(line, f"{place.cell.label}, seed {seed}")
        style |= {"lw": 2.6, "marker": place.marker, "ms": 5, "mec": PAPER, "mew": 0.6}
        mean = mean_curves(mine)
        (line,) = axes.plot(mean[against], mean["mean"], **style, zorder=4)
        page.tip(line, f"{place.cell.label}, mean of {plural(mine['seed'].nunique(), 'seed')}")
        page.key(place.hue_label, **style)
        score, seconds = mean["mean"].iloc[-1], mean["seconds"].iloc[-1]
        told.append(f"{place.cell.label}: mean {score:.3f} at the end, after {seconds:.1f} s of training")
    shortcut = shortcut_on(results, "validation", labels)
    if shortcut is not None:
        shortcut_line(page, str(declaration.shortcut), [(0, reach, shortcut)])
    unit = "optimiser steps" if against == "step" else "seconds of training"
    axes.set(xlabel=unit, ylabel=f"{declaration.metric} on validation", xlim=(0, reach * 1.02))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 4, 5, 10], integer=against == "step"))
    page.heading = name
    fit_scores(page, [*curves["value"], *([] if shortcut is None else [shortcut])], declaration.metric)
    return page.svg(f"{declaration.metric} on validation against {unit}, {name}".rstrip(", "), "; ".join(told))


def paired_differences(results: Results, judgements: list[Judgement]) -> list[str]:
    """The effect of each claim: every seed, that on the means with its interval, the margin; a panel a measure, since
    each has a unit of its own."""
    by_measure: dict[Measure, list[Judgement]] = {}
    for one in judgements:
        by_measure.setdefault(measure_of(results.study.declaration, one.claim), []).append(one)
    table = differences(results, judgements)
    return [_effects_panel(index, table, *item) for index, item in enumerate(by_measure.items())]


def _effects_panel(index: int, table: pd.DataFrame, measure: Measure, judgements: list[Judgement]) -> str:
    table = table[table["claim"].isin([one.claim.name for one in judgements])]
    reach = _reach(table, judgements)
    with sheet(f"differences-{index}", 84 + 96 * len(judgements)) as page:
        axes, told = page.axes, []
        page.key("one seed", color=MUTED, marker="o", ms=5, ls="none", mew=0, alpha=0.7)
        for row, one in enumerate(judgements):
            mine = table[table["claim"] == one.claim.name]
            for seed, difference in zip(mine["seed"], mine["difference"], strict=True):
                said = f"{one.claim.name}, seed {seed}: {difference:+.3f}"
                page.mark(difference, row + 0.14, "o", said, color=MUTED, ms=5, alpha=0.7, mew=0, zorder=3)
            told.append(_claim_row(page, one, row, reach))
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", visible=True)
        axes.set(yticks=[], ylim=(len(judgements) - 0.6, -0.75), xlim=(-reach, reach))
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]))
        axes.set_xlabel(f"effect on {measured(measure)}")
        return page.svg(f"The effect of each claim on {called(measure)}", "; ".join(told))


def said_of(one: Judgement) -> str:
    """The effect of a claim, as its row is titled."""
    return one.claim.effect_text(one.treatment, one.control)


def _reach(table: pd.DataFrame, judgements: list[Judgement]) -> float:
    """Half the width of the difference axis: what seeds, intervals and margins need, zero in the middle."""
    ends = [*table["difference"], *(one.claim.margin or 0.0 for one in judgements)]
    for one in judgements:
        ends += [one.contrast.low, one.contrast.high] if one.contrast else []
    ends = [end for end in ends if np.isfinite(end)]
    return 1.12 * max((abs(end) for end in ends), default=0.0) or 1.0


def _claim_row(page: Sheet, one: Judgement, row: int, reach: float) -> str:
    """Name, zero, margin, difference of means and interval of a claim; what they say in words."""
    axes, found = page.axes, one.contrast
    axes.plot([0, 0], [row - 0.26, row + 0.3], color=TEXT, lw=1, zorder=1)
    name = shortened(spoken(one.claim.name), LINE) + ("" if found else ": not tested")
    style: Tree = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    style["bbox"] = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
    axes.annotate(name, (0, row - 0.58), (0, 0), **style, weight="bold")
    axes.annotate(shortened(said_of(one), LINE + 8), (0, row - 0.58), (0, -14), **style, color=MUTED)
    margin = one.claim.margin
    if margin is not None and one.claim.margin_on_both_sides:
        axes.add_patch(Rectangle((-margin, row - 0.26), 2 * margin, 0.56, facecolor=SHADE, edgecolor="none", zorder=0))
        page.key("margin of equivalence", color=SHADE, lw=9, solid_capstyle="butt")
    elif margin is not None:
        axes.plot([margin, margin], [row - 0.26, row + 0.3], color=MUTED, lw=1, ls="--", zorder=1)
        page.key("margin to be above", color=MUTED, lw=1, ls="--")
    if found is None:
        return f"{one.claim.name}: not tested, {one.reason}"
    low, high = max(found.low, -reach), min(found.high, reach)
    axes.plot([low, high], [row - 0.12, row - 0.12], color=TEXT, lw=2.2, zorder=3, solid_capstyle="butt")
    for end, marker in ((found.low, "<"), (found.high, ">")):
        if not np.isfinite(end):
            axes.plot([np.clip(end, -reach, reach)], [row - 0.12], marker, color=TEXT, ms=7, clip_on=False, zorder=4)
    said = f"{one.claim.name}: {found.difference:+.3f}, interval {found.low:+.3f} to {found.high:+.3f}, {one.verdict}"
    page.mark(found.difference, row - 0.12, "D", said, color=TEXT, ms=8, mec=PAPER, mew=1.2, zorder=4)
    page.key("means and interval", color=TEXT, marker="D", ms=7, lw=2.2, mec=PAPER)
    return said


def tuning_trials(results: Results) -> list[str]:
    """Each cell's trials: setting against validation score, the winner ringed; a panel a size and setting."""
    table = trials(results)
    drawn: list[str] = []
    for key, span in results.study.declaration.tuning.search.items():
        for name, members in panels(places(results.study), by_x=True).items():
            if table["cell"].isin([place.cell.label for place in members]).any():
                with sheet(f"tuning-{len(drawn)}", height(members)) as page:
                    drawn.append(_tuning_panel(results, page, name, members, table, key, span))
    return drawn


def _tuning_panel(
    results: Results, page: Sheet, name: str, members: list[Place], table: pd.DataFrame, key: str, span: Range
) -> str:
    axes, told = page.axes, []
    for place in members:
        mine = rows_of(table[table["cell"] == place.cell.label])
        for trial in mine:
            setting, said = trial[f"setting/{key}"], f"{place.cell.label}, trial {trial['trial']}"
            if trial["status"] != COMPLETE:
                cross(page, setting, place.colour, f"{said}: failed at {setting:.3g}, no score")
                continue
            said += f": {trial['score']:.3f} at {setting:.3g}"
            page.mark(
                setting, trial["score"], place.marker, said, color=place.colour, ms=7, mec=PAPER, mew=0.8, zorder=3
            )
            if trial["winner"]:
                ring: Tree = {"mfc": "none", "mec": place.colour, "ms": 14, "mew": 1.6}
                page.mark(setting, trial["score"], "o", f"{place.cell.label}: chosen", **ring, zorder=2)
        label = f"{place.hue_label}: {plural(len(mine), 'trial')}"
        page.key(label, color=place.colour, marker=place.marker, ms=7, ls="none", mec=PAPER)
        told.append(f"{place.cell.label}: {plural(len(mine), 'trial')}")
    page.key("chosen", mfc="none", mec=MUTED, marker="o", ms=12, mew=1.6, ls="none")
    ticks = [span.low, span.middle, span.high]
    if span.log:
        axes.set_xscale("log")
        axes.set_xlim(span.low * (span.low / span.high) ** 0.06, span.high * (span.high / span.low) ** 0.06)
    else:
        axes.set_xlim(span.low - 0.06 * (span.high - span.low), span.high + 0.06 * (span.high - span.low))
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set(xlabel=short(key), ylabel=f"{results.study.declaration.metric} on validation")
    page.heading = name
    fit_scores(page, table["score"].dropna(), results.study.declaration.metric)
    return page.svg(f"Tuning of {short(key)}, {name}".rstrip(", "), "; ".join(told))
