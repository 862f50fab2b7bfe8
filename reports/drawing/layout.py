"""Where a cell stands in a figure, how it looks there, and what all figures share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from generators.foundation.settings import Tree
from lab.run.evaluation import SCORES
from reports.drawing.sheet import DASHES, MARKERS, MUTED, SERIES, TEXT, WIDTH, Sheet
from studies.declared.levels import Level, short
from studies.declared.study import Cell, Study

DRAWN_MAXIMUM = 60
"""Cells that figures show; of a study with more, those that claims are about."""
LETTER = 7.0
"""Width of a letter at an axis, in CSS pixels, the space between two names included."""


@dataclass(frozen=True)
class Place:
    """Where a cell is drawn. panel: the levels of the factors that have neither axis nor hue, or empty."""

    cell: Cell
    panel: str
    x: int
    hue: int
    hue_label: str

    @property
    def colour(self) -> str:
        return SERIES[self.hue % len(SERIES)]

    @property
    def marker(self) -> str:
        return MARKERS[(self.hue + self.hue // len(SERIES)) % len(MARKERS)]

    @property
    def dash(self) -> str | tuple[int, tuple[float, ...]]:
        return DASHES[(self.hue + self.hue // len(SERIES)) % len(DASHES)]


def drawn_cells(study: Study) -> list[Cell]:
    """The cells that figures show."""
    cells = study.cells
    if len(cells) <= DRAWN_MAXIMUM:
        return cells
    claimed = {label for claim in study.declaration.claims for label in claim.comparison(study).cells}
    return [cell for cell in cells if cell.label in claimed][:DRAWN_MAXIMUM]


@dataclass(frozen=True)
class Layout:
    """Which factor goes where: the first on the x axis, n (or the second) as the hue, the rest in panels. A factor by
    itself is both. levels: those of each factor that are drawn."""

    x: str
    hue: str
    levels: dict[str, list[Level]]

    @classmethod
    def of(cls, study: Study) -> "Layout":
        x, *rest = study.factors
        cells = [dict(cell.levels) for cell in drawn_cells(study)]
        levels = {
            key: [one for one in known if any(cell[key] == one for cell in cells)]
            for key, known in study.factors.items()
        }
        return cls(x, next((key for key in rest if short(key) == "n"), rest[0] if rest else x), levels)


def places(study: Study) -> list[Place]:
    """The cells that figures show, in order."""
    form = Layout.of(study)
    found = []
    for cell in drawn_cells(study):
        levels = dict(cell.levels)
        panel = Cell(tuple((key, level) for key, level in cell.levels if key not in (form.x, form.hue))).label
        x, hue = (form.levels[key].index(levels[key]) for key in (form.x, form.hue))
        label = str(levels[form.hue]) if form.hue == form.x else f"{short(form.hue)} = {levels[form.hue]}"
        found.append(Place(cell, panel, x, hue, label))
    return found


def panels(placed: Sequence[Place], *, by_x: bool) -> dict[str, list[Place]]:
    """Places by panel; with `by_x`, each level of the x axis has panels of its own, where another factor is compared
    inside them."""
    grouped: dict[str, list[Place]] = {}
    for place in placed:
        key, level = place.cell.levels[0]
        own = f"{short(key)}={level}" if by_x and len(place.cell.levels) > 1 else ""
        grouped.setdefault(" ".join(part for part in (own, place.panel) if part), []).append(place)
    return grouped


def slanted(levels: Sequence[Level]) -> Tree:
    """How the names of levels stand at the x axis: level if they fit side by side, else aslant."""
    fits = max(len(str(level)) for level in levels) * LETTER * len(levels) < WIDTH - 60
    return {} if fits else {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}


def fit_scores(page: Sheet, values: Iterable[float], metric: str) -> None:
    """The y axis: of a share the whole range, so that no small difference looks large; else what is needed."""
    finite = [value for value in values if np.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if metric in SCORES and low >= 0 and high <= 1:
        page.axes.set_ylim(-0.04, 1.04)
        page.axes.set_yticks(np.linspace(0, 1, 6))
    else:
        edge = 0.06 * (high - low or 1.0)
        page.axes.set_ylim(low - edge, high + edge)


def cross(page: Sheet, x: float, colour: str, tip: str) -> None:
    """A run without a score: a cross on the axis, off the scale, so that it is not taken for a zero."""
    transform = page.axes.get_xaxis_transform()
    page.mark(x, 0, "x", tip, color=colour, ms=7, mew=1.8, transform=transform, clip_on=False, zorder=5)
    page.key("failed, no score", color=MUTED, marker="x", ls="none", ms=7, mew=1.8)


def shortcut_line(page: Sheet, name: str, spans: Sequence[tuple[float, float, float]]) -> None:
    """The shortcut's score: one line if it is the same everywhere, else a piece for each (left, right, score)."""
    known = [span for span in spans if np.isfinite(span[2])]
    if not known:
        return
    scores = [score for _, _, score in known]
    style: Tree = {"color": TEXT, "lw": 1.3, "ls": (0, (1.5, 2)), "zorder": 2}
    if np.ptp(scores) < 5e-4:
        page.tip(page.axes.axhline(scores[0], **style), f"shortcut {name}: {scores[0]:.3f}")
        page.key(f"shortcut {name}: {scores[0]:.3f}", **style)
        return
    for left, right, score in known:
        page.tip(page.axes.plot([left, right], [score, score], **style)[0], f"shortcut {name}: {score:.3f}")
    page.key(f"shortcut {name}: {min(scores):.3f} to {max(scores):.3f}", **style)
