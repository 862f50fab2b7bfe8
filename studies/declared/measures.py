"""Measures: the numbers that runs are compared by, such as a score or a loss on a held-out split, or seconds.

A measure is called by its metric and the split it is read on: `accuracy on test`, `loss_1 on test/m=5`, `seconds`.
Tuning reads the study's own measure on validation; confirming runs are read where the study, or a claim, says.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from generators.foundation.settings import Tree
from lab.analysis.analysis import declared_measure
from lab.analysis.measure_store import measures_of
from lab.analysis.table import ANALYSES, analysis_name
from lab.run.evaluation import SCORES
from lab.run.store import TIMING, RunFolder
from studies.declared.claims.claim import Claim
from studies.declared.study_file import StudyDeclaration

ANALYSIS = "analysis/[a-z0-9_]+/[a-z0-9_]+"


@dataclass(frozen=True)
class Measure:
    """A metric and the split on which it is read; the split is None for a metric that has none."""

    metric: str
    split: str | None

    @property
    def name(self) -> str:
        """The metric and its split, as `accuracy on test`."""
        return f"{self.metric} on {self.split}" if self.split else self.metric

    @property
    def better(self) -> Literal["more", "less"]:
        """The direction that is better: the family says it, or the analysis whose measure it is."""
        if self.analysis:
            kind = ANALYSES.find(self.analysis, f"metric = {self.metric!r}")
            return declared_measure(kind, self.analysis_measure).better
        return family_of(self.metric).better

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        return 1.0 if self.better == "more" else -1.0

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The smallest and the largest value it can take, None if there is no such bound."""
        return family_of(self.metric).bounds

    @property
    def analysis(self) -> str | None:
        """The analysis whose measure it is, None for other metrics."""
        return analysis_name(self.metric.split("/")[1]) if re.fullmatch(ANALYSIS, self.metric) else None

    @property
    def analysis_measure(self) -> str:
        """The name of the measure within its analysis."""
        return self.metric.rpartition("/")[2]

    def on(self, split: str) -> "Measure":
        """Returns the same metric on another split."""
        return measure(self.metric, split)

    def read(self, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
        """Returns the value of the measure in a complete run, or None if the run does not have it."""
        return family_of(self.metric).read(self, result, folder, checkpoint)


def read_score(measure: Measure, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
    """Reads a metric of `lab.run.evaluation` from the result."""
    value: float | None = result["scores"][checkpoint].get(measure.split, {}).get(measure.metric)
    return value


def read_training_seconds(measure: Measure, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
    """Sums the wall time of the run's training steps, without evaluation; None if its log is gone."""
    lines = folder.lines(TIMING)
    return float(sum(line["train_seconds"] for line in lines)) if lines else None


def read_analysis(measure: Measure, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
    """Reads a measure that a worker's analysis of the checkpoint stored: `analysis/induction_heads/copying`."""
    assert measure.analysis is not None
    measures = measures_of(folder.path.parent.parent, folder.identity, checkpoint, measure.analysis)
    return measures.get(measure.analysis_measure)


@dataclass(frozen=True)
class MetricFamily:
    """Metrics of one nature.

    names: a pattern that their names match. of_split: whether they are read on a split. better: the direction; measures
    of analyses have one each. bounds: the smallest and the largest value, if there are such.
    """

    names: str
    of_split: bool
    read: Callable[[Measure, Tree, RunFolder, str], float | None]
    better: Literal["more", "less"] = "more"
    bounds: tuple[float, float] | None = None


SCORE_FAMILY = MetricFamily("|".join((*SCORES, "shortcut/.+")), True, read_score, bounds=(0.0, 1.0))
FAMILIES = (
    MetricFamily("above_shortcuts", True, read_score, bounds=(-1.0, 1.0)),
    SCORE_FAMILY,
    MetricFamily("loss_.+", True, read_score, better="less"),
    MetricFamily("seconds", False, read_training_seconds, better="less"),
    MetricFamily(ANALYSIS, False, read_analysis),
)


def family_of(metric: str) -> MetricFamily:
    """Returns the family of a metric; an unknown metric is treated as a score, and will be missing."""
    return next((family for family in FAMILIES if re.fullmatch(family.names, metric)), SCORE_FAMILY)


def measure(metric: str, split: str) -> Measure:
    """Returns a metric on a split, or on no split if its family has none."""
    return Measure(metric, split if family_of(metric).of_split else None)


def main_measure(declaration: StudyDeclaration) -> Measure:
    """Returns the study's own measure."""
    return measure(declaration.metric, declaration.split)


def measure_of(declaration: StudyDeclaration, claim: Claim) -> Measure:
    """Returns the measure that a claim is about."""
    return measure(claim.metric or declaration.metric, claim.split or declaration.split)
