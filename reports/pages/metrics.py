"""The definitions of metrics on a study's page, to which its scores link, so that it explains itself offline."""

import re
from dataclasses import dataclass

from lab.metrics import metric_named
from studies.declared.measures import Measure, main_measure, measure_of
from studies.declared.reference.metric_rows import MetricRow, metric_rows, row_of
from studies.declared.study_file import StudyDeclaration


@dataclass(frozen=True)
class MetricDefinition:
    """A metric as the page defines it.

    Attributes:
        anchor: the id of its paragraph.
    """

    anchor: str
    row: MetricRow


def anchor_of(measure: Measure) -> str:
    """Returns the id of the paragraph that defines a measure."""
    metric = metric_named(measure.metric)
    return anchor_named(metric.name if metric else measure.metric)


def anchor_named(name: str) -> str:
    """Returns the id of the paragraph about a metric of that name in the reference."""
    return "metric-" + re.sub("[^a-z0-9]+", "-", name.lower())


def metric_definitions(declaration: StudyDeclaration) -> list[MetricDefinition]:
    """Returns the metrics of all runs, and after them the measures of analyses that the claims are about."""
    measures = [main_measure(declaration), *(measure_of(declaration, claim) for claim in declaration.claims)]
    further = dict.fromkeys(measure for measure in measures if metric_named(measure.metric) is None)
    rows = [(anchor_named(row.name), row) for row in metric_rows()]
    rows += [(anchor_of(measure), row_of(measure)) for measure in further]
    return [MetricDefinition(anchor, row) for anchor, row in rows]
