"""The interface of an analysis: it measures one checkpoint of a stored run and reports numbers with their error.

An analysis is one class in one file. It reaches the command line, the studies and the pages through its row in
`lab.analysis.table`, or through an entry point in the group `mtp_lab.analyses` of another package.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import ClassVar, Literal

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree, suggestion
from lab.analysis.findings import Findings, Row
from lab.run.stored_run import StoredRun

__all__ = ["Analysis", "AnalysisResult", "Findings", "MeasureInfo", "Row"]


@dataclass(frozen=True)
class MeasureInfo:
    """Describes a measure: which direction is better, its unit ("" for a plain number), and what it measures."""

    better: Literal["more", "less"]
    unit: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class AnalysisResult:
    """The result of one analysis of one checkpoint.

    Attributes:
        analysis: the name of the analysis.
        rows: a tidy table, one measurement per row. Values are numbers or text. If the error of an estimate is known,
            the columns `low` and `high` hold the ends of its interval, at 95% unless a column says otherwise.
        measures: single numbers by name, which the claims of a study can use as metrics.
        lines: the result in words, one sentence per line.
        units: the unit of a column or measure, if it has one.
    """

    analysis: str
    rows: list[Row]
    measures: Mapping[str, float]
    lines: list[str]
    units: Mapping[str, str] = field(default_factory=dict)

    def tree(self) -> Tree:
        """Returns the result as JSON types. All rows get the same columns, None if a row has no value."""
        columns = dict.fromkeys(key for row in self.rows for key in row)
        return {
            "analysis": self.analysis,
            "measures": dict(self.measures),
            "units": dict(self.units),
            "rows": [{column: row.get(column) for column in columns} for row in self.rows],
            "lines": self.lines,
        }


class Analysis(ABC):
    """Measures one checkpoint of a stored run."""

    name: ClassVar[str]
    """The name on the command line; in a metric, "-" becomes "_" (`analysis/choice_points/recall`)."""
    summary: ClassVar[str]
    """The question it answers, on one line."""
    measures: ClassVar[Mapping[str, MeasureInfo]]
    """Measure -> its direction and unit. A name may be a pattern (`useful_*`); the first that matches counts."""
    column_units: ClassVar[Mapping[str, str]] = {}
    """Column of the rows -> its unit, if it has one."""

    @abstractmethod
    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Measures the checkpoint. The same run and checkpoint give the same numbers, except wall time.

        Raises:
            UserError: the run lacks something that the analysis needs.
        """

    @classmethod
    def measure_info(cls, measure: str, source: str = "") -> MeasureInfo:
        """Returns the direction and unit of a measure.

        Args:
            source: the file and setting that ask, named in the error.

        Raises:
            UserError: the analysis has no such measure.
        """
        return declared_measure(cls, measure, source)

    def result(self, findings: Findings) -> AnalysisResult:
        """Turns findings into a result, with the units of all columns and measures that have one."""
        units = {measure: self.measure_info(measure).unit for measure in findings.measures}
        units = {**self.column_units, **{measure: unit for measure, unit in units.items() if unit}}
        return AnalysisResult(self.name, findings.rows, findings.measures, findings.lines, units)


def declared_measure(kind: type[Analysis], measure: str, source: str = "") -> MeasureInfo:
    """Returns what an analysis declares about a measure, as `Analysis.measure_info` does, but runs no code of the
    analysis.
    """
    for pattern, info in kind.measures.items():
        if fnmatchcase(measure, pattern):
            return info
    near = suggestion(measure, list(kind.measures))
    where = f"{source}: " if source else ""
    raise UserError(f"{where}analysis {kind.name} has no measure {measure!r}; {near}")
