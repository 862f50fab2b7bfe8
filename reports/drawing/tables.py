"""A table as a page shows it: typed columns, and values with a text to read and an order to sort by."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from reports.frames.numbers import MISSING, formatted


@dataclass(frozen=True)
class Value:
    """One cell of a table.

    Attributes:
        text: what is read.
        order: what the column is sorted by; None sorts by the text.
        link: the address it leads to, or empty.
        verdict: the verdict that it shows as a badge, or empty; a link shows the badge's mark before its text.
        heat: how strongly the cell is shaded, from -1 to 1; None for no shade.
    """

    text: str
    order: float | str | None = None
    link: str = ""
    verdict: str = ""
    heat: float | None = None

    @property
    def shade(self) -> str:
        """The class of its shade in the style of pages, in five steps each way; empty for no shade."""
        if self.heat is None:
            return ""
        step = round(5 * max(-1.0, min(1.0, self.heat)))
        return f"heat {'gain' if step > 0 else 'loss' if step < 0 else 'even'}-{abs(step)}"


MISSING_VALUE = Value(MISSING)
"""Shown if there is nothing."""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: its heading.
        kind: `number` is aligned right, and so is `interval`, a number with its interval, which wraps; `word`, `name`
            and `text` are aligned left, and the last two wrap; `code` is an identity; `many` is a list, by which the
            table cannot be sorted; `square` is a square of a heat map, whose column is as narrow as its words allow.
    """

    title: str
    kind: str = "number"


@dataclass(frozen=True)
class Table:
    """A table with its caption; a row of one value heads the rows below it."""

    caption: str
    columns: list[Column]
    rows: list[list[Value]] = field(default_factory=list)

    @property
    def is_pinned(self) -> bool:
        """True for a heat map, whose first column stays in view while the squares are scrolled."""
        return any(column.kind == "square" for column in self.columns)


def columns_of(kind: str, titles: Iterable[str]) -> list[Column]:
    """Returns columns of one kind."""
    return [Column(title, kind) for title in titles]


def number(value: object, form: str = ".3f") -> Value:
    """Returns a number in a format, or a dash if there is none."""
    if value is None or not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
        return MISSING_VALUE
    return Value(formatted(float(value), form), float(value))


def word(value: object) -> Value:
    """Returns a text; a factor level that is a number sorts as one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Value(str(value), float(value))
    return Value(str(value))
