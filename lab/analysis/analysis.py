"""The contract of an analysis: a stored run at a checkpoint -> what was measured, tidy, with its error."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from generators.foundation.settings import Tree
from lab.run.stored_run import StoredRun

Row = dict[str, Any]


@dataclass(frozen=True)
class Analysis:
    """What one analysis found in one checkpoint of a run.

    rows: the tidy frame, a measurement a row; values are numbers or text, estimates have `low` and `high` beside them
    (95% unless the column says otherwise) where they have an error. measures: single numbers by name, which studies
    can use as metrics. lines: the answer in prose, a sentence a line.
    """

    kind: str
    rows: list[Row]
    measures: Mapping[str, float]
    lines: list[str]
    units: Mapping[str, str] = field(default_factory=dict)
    """Column or measure (`useful_*`: those that begin so) -> its unit, where it has one."""

    def tree(self) -> Tree:
        """As JSON types, the same columns in every row: None where a row has nothing there."""
        columns = dict.fromkeys(key for row in self.rows for key in row)
        return {
            "analysis": self.kind,
            "measures": dict(self.measures),
            "units": dict(self.units),
            "rows": [{column: row.get(column) for column in columns} for row in self.rows],
            "lines": self.lines,
        }


Analyse = Callable[[StoredRun], Analysis]
Draw = Callable[[Sequence[Row]], str]
"""Rows -> an SVG."""
