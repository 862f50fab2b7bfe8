"""The reference of all metrics: those of runs, and the measures of the analyses."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree, suggestion
from lab.analysis.analysis import declared_measure
from lab.analysis.table import ANALYSES, metric_word
from lab.metrics import METRICS, metric_named
from studies.declared.measures import Measure, definition_of


@dataclass(frozen=True)
class MetricRow:
    """A metric as the reference shows it.

    Attributes:
        better: `more` or `less`.
        bounds: the smallest and the largest value; None if it has none, or if they are not declared.
    """

    name: str
    definition: str
    unit: str
    better: str
    bounds: tuple[float, float] | None

    @property
    def facts(self) -> str:
        """Unit, bounds and direction on one line."""
        span = f"{self.bounds[0]:zg} to {self.bounds[1]:zg}" if self.bounds else ""
        return ", ".join(part for part in (self.unit, span, f"{self.better} is better") if part)

    def tree(self) -> Tree:
        """Returns everything but the name."""
        return {"definition": self.definition, "unit": self.unit, "better": self.better, "bounds": self.bounds}


def metric_rows() -> list[MetricRow]:
    """Returns the metrics of runs."""
    return [MetricRow(metric.name, metric.definition, metric.unit, metric.better, metric.bounds) for metric in METRICS]


def analysis_rows(*, installed: bool = True) -> Iterator[MetricRow]:
    """Yields the measures of analyses under the names that a claim uses; `*` stands for several endings.

    Args:
        installed: includes the analyses of other installed packages.
    """
    for name, analysis in ANALYSES.classes().items():
        if installed or name in ANALYSES.rows:
            for measure, info in analysis.measures.items():
                metric = f"analysis/{metric_word(name)}/{measure}"
                yield MetricRow(metric, capitalised(info.meaning), info.unit, info.better, None)


def capitalised(meaning: str) -> str:
    """Returns the meaning of a measure as a sentence."""
    return f"{meaning[:1].upper()}{meaning[1:]}." if meaning else "The package of the analysis does not define it."


def row_of(measure: Measure) -> MetricRow:
    """Returns the definition of a measure of a study under its own name; an unknown metric counts as a score."""
    if measure.analysis is not None:
        info = declared_measure(ANALYSES.find(measure.analysis, measure.metric), measure.analysis_measure)
        return MetricRow(measure.metric, capitalised(info.meaning), info.unit, info.better, None)
    metric = definition_of(measure.metric)
    return MetricRow(measure.metric, metric.definition, metric.unit, metric.better, metric.bounds)


def rows_named(name: str | None) -> list[MetricRow]:
    """Returns all metrics, or the one of that name.

    Raises:
        UserError: there is no such metric.
    """
    rows = [*metric_rows(), *analysis_rows()]
    if name is None:
        return rows
    metric = metric_named(name)
    chosen = [row for row in rows if row.name == (metric.name if metric else name) or fnmatchcase(name, row.name)]
    if not chosen:
        alike = [row.name for row in rows if row.name.startswith("analysis/") == name.startswith("analysis/")]
        raise UserError(f"lab settings metrics {name}: there is no such metric; {suggestion(name, alike)}")
    return chosen[:1]
