"""Assigns the cells of a study to panels, positions on the x axis, and colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from generators.foundation.settings import Tree
from reports.drawing.palette import DASHES, MARKERS, SERIES
from reports.drawing.sheet import Sheet
from reports.frames.text import balanced
from studies.declared.claims.guarded import attempted, comparison_of
from studies.declared.levels import Level, short
from studies.declared.study import Cell, Study
from studies.reading.labels import Labels

CELLS_MAXIMUM = 60
"""Figures of a study with more cells show only those that claims compare."""
LETTER_WIDTH = 7.0
"""Width of a letter of a tick label in CSS pixels, including the space between two labels."""


@dataclass(frozen=True)
class CellMark:
    """The position and the look of one cell.

    Attributes:
        cell: the cell.
        panel: the levels of the factors that have neither axis nor hue; empty if every factor has one.
        first: the level of the first factor; empty if the study has one factor.
        x: index of its level on the x axis.
        hue: index of its level among the hues.
        hue_label: that level in the legend.
    """

    cell: Cell
    panel: str
    first: str
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
    """Returns the cells that figures show: all of them, or those that claims compare if there are too many."""
    cells = study.cells
    if len(cells) <= CELLS_MAXIMUM:
        return cells
    claimed: set[str] = set()
    for claim in study.declaration.claims:
        comparison = attempted(claim, partial(comparison_of, claim, study))
        claimed |= set() if isinstance(comparison, str) else set(comparison.cells)
    return [cell for cell in cells if cell.label in claimed][:CELLS_MAXIMUM]


@dataclass(frozen=True)
class FactorLayout:
    """The place of each factor in a figure.

    The first factor has the x axis; `n`, or else the second factor, has the hue; the others get panels. A study's only
    factor has both.

    Attributes:
        x: key of the factor on the x axis.
        hue: key of the factor that colours tell apart.
        levels: the drawn levels of every factor.
    """

    x: str
    hue: str
    levels: dict[str, list[Level]]

    @classmethod
    def of(cls, study: Study) -> "FactorLayout":
        """Returns the layout of a study's figures."""
        x, *others = study.factors
        cells = [dict(cell.levels) for cell in drawn_cells(study)]
        levels = {
            key: [level for level in declared if any(cell[key] == level for cell in cells)]
            for key, declared in study.factors.items()
        }
        hue = next((key for key in others if short(key) == "n"), others[0] if others else x)
        return cls(x, hue, levels)


def cell_marks(study: Study) -> list[CellMark]:
    """Returns position and look of every drawn cell, in the order of the grid."""
    layout, labels = FactorLayout.of(study), Labels(study)
    marks = []
    for cell in drawn_cells(study):
        levels = dict(cell.levels)
        panel = Cell(tuple((key, level) for key, level in cell.levels if key not in (layout.x, layout.hue)))
        x, hue = (layout.levels[key].index(levels[key]) for key in (layout.x, layout.hue))
        level = levels[layout.hue]
        named = labels.level if layout.hue == layout.x else partial(labels.assignment, equals=" = ")
        first = labels.assignment(*cell.levels[0]) if len(cell.levels) > 1 else ""
        marks.append(CellMark(cell, labels.cell(panel), first, x, hue, named(layout.hue, level)))
    return marks


def panels(marks: Sequence[CellMark], *, by_x: bool) -> dict[str, list[CellMark]]:
    """Groups cells by panel.

    Args:
        marks: the cells.
        by_x: whether each level of the x axis gets its own panel, for figures whose x axis shows something else. A
            study's only factor stays in one panel.
    """
    grouped: dict[str, list[CellMark]] = {}
    for mark in marks:
        grouped.setdefault(" ".join(filter(None, (mark.first if by_x else "", mark.panel))), []).append(mark)
    return grouped


def label_ticks(sheet: Sheet, names: Sequence[str]) -> None:
    """Labels the ticks 0, 1, ... of the x axis: horizontally if the names fit side by side, otherwise slanted.

    In a paper a name may take several lines.
    """
    letter, space = LETTER_WIDTH, sheet.width - 60
    if sheet.paper is not None:
        names = ["\n".join(balanced(name, int(space / len(names) / letter))) for name in names]
    longest = max(len(line) for name in names for line in name.splitlines() or [""])
    fits = longest * letter * len(names) < space
    style: Tree = {} if fits else {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    sheet.axes.set_xticks(range(len(names)), names, **style)


def panel_height(marks: Sequence[CellMark]) -> int:
    """Returns the height of a panel in CSS pixels; a legend of more than four entries takes more rows."""
    return 290 + 18 * max(0, len(marks) - 4)
