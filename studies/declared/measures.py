"""Measures: the numbers that runs are compared by, such as a score or a loss on a held-out split, or seconds.

A measure is called by its metric and the split it is read on: `accuracy on test`, `loss_1 on test/m=5`, `seconds`.
Tuning reads the study's own measure on validation; confirming runs are read on the split that the study, or a claim,
names.

Three measures say whether and when a run solved its task, that is, when the study's metric on validation reached
`solved_at` in two evaluations in a row:

    solved            1 if the run solved its task, else 0; the mean of an arm is the share of its runs that did
    steps_to_solve    the optimiser steps it took, and all steps that the run was to take if it did not: a difference
                      between arms is one of restricted mean times (Royston & Parmar 2013, doi
                      10.1186/1471-2288-13-152)
    budget_to_solve   the same as a share of those steps. All steps of a run take equally many operations, so arms that
                      were given equal operations, but different steps, are compared by the operations they took

A study may set `solved_at` for some cells alone; each of its runs then holds its threshold, as `stop_when_solved`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from generators.foundation.settings import Tree
from lab.analysis.analysis import declared_measure
from lab.analysis.measure_store import measures_of
from lab.analysis.table import ANALYSES, analysis_name
from lab.metrics import METRICS, Metric, metric_named
from lab.run.evaluation import SCORES, SHORTCUT_SCORES
from lab.run.solving import Solved
from lab.run.store import METRICS as METRICS_LOG
from lab.run.store import SPEC, TIMING, RunFolder
from studies.declared.claims.claim import Claim
from studies.declared.claims.comparison import Comparison
from studies.declared.study_file import StudyDeclaration
from studies.statistics.forms.form import Form
from studies.statistics.forms.shares import SHARES

ANALYSIS = "analysis/[a-z0-9_]+/[a-z0-9_]+"
SOLVED, STEPS_TO_SOLVE, BUDGET_TO_SOLVE = "solved", "steps_to_solve", "budget_to_solve"
SOLVING = (SOLVED, STEPS_TO_SOLVE, BUDGET_TO_SOLVE)
"""The measures that need a threshold."""


@dataclass(frozen=True)
class Measure:
    """A metric and the split on which it is read.

    Attributes:
        split: None for a metric that has none.
        threshold: what counts as solved, for a metric that depends on it.
    """

    metric: str
    split: str | None
    threshold: Solved | None = None

    @property
    def name(self) -> str:
        """The metric and its split, as `accuracy on test`."""
        return f"{self.metric} on {self.split}" if self.split else self.metric

    @property
    def better(self) -> Literal["more", "less"]:
        """The better direction, which the family declares, or the analysis that the measure belongs to."""
        if self.analysis:
            kind = ANALYSES.find(self.analysis, f"metric = {self.metric!r}")
            return declared_measure(kind, self.analysis_measure).better
        return definition_of(self.metric).better

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        return 1.0 if self.better == "more" else -1.0

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The smallest and the largest value it can take; None for a missing bound."""
        return None if self.analysis else definition_of(self.metric).bounds

    @property
    def is_share(self) -> bool:
        """True if every run has the value 0 or 1, so that the mean of an arm is a share of its runs."""
        return self.metric == SOLVED

    @property
    def analysis(self) -> str | None:
        """The analysis that the measure belongs to; None for other metrics."""
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


def solving_step(measure: Measure, folder: RunFolder) -> int | None:
    """Returns the step at which a run solved its task; None if it did not."""
    assert measure.threshold is not None, "a study that uses this measure says what counts as solved"
    stored = folder.stored_settings() if (folder.path / SPEC).exists() else {"training": {}}
    own = stored["training"].get("stop_when_solved")
    threshold = Solved.model_validate(own) if own else measure.threshold
    return threshold.first_step(folder.lines(METRICS_LOG))


def read_solved(measure: Measure, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
    """Reads from the log whether a run solved its task; None if its log is gone."""
    return float(solving_step(measure, folder) is not None) if folder.lines(METRICS_LOG) else None


def read_steps_to_solve(measure: Measure, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
    """Reads from the log when a run solved its task, or its declared steps; None if its log is gone."""
    if not folder.lines(METRICS_LOG):
        return None
    step = solving_step(measure, folder)
    return float(declared_steps(result, folder) if step is None else step)


def read_budget_to_solve(measure: Measure, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
    """Reads `steps_to_solve` as a share of the steps that the run was to take; None if its log is gone."""
    steps = read_steps_to_solve(measure, result, folder, checkpoint)
    return None if steps is None else steps / folder.stored_settings()["training"]["steps"]


def declared_steps(result: Tree, folder: RunFolder) -> int:
    """Returns the steps that a complete run was to take.

    A run that stopped early without solving its task counts with them: with the steps that it took, giving up soon
    would look better than solving the task late.
    """
    steps: int = folder.stored_settings()["training"]["steps"] if result.get("stopped_early") else result["steps"]
    return steps


def read_analysis(measure: Measure, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
    """Reads a measure that a worker's analysis of the checkpoint stored: `analysis/induction_heads/copying`."""
    assert measure.analysis is not None
    measures = measures_of(folder.path.parent.parent, folder.identity, checkpoint, measure.analysis)
    return measures.get(measure.analysis_measure)


@dataclass(frozen=True)
class MetricFamily:
    """Metrics of one nature.

    names: a pattern that their names match. of_split: whether they are read on a split.
    """

    names: str
    of_split: bool
    read: Callable[[Measure, Tree, RunFolder, str], float | None]


SCORE_NAMES = "|".join((*SCORES, *(f"{score}/.+" for score in SHORTCUT_SCORES.values()), "loss_.+"))
SCORE_FAMILY = MetricFamily(SCORE_NAMES, True, read_score)
FAMILIES = (
    SCORE_FAMILY,
    MetricFamily("seconds", False, read_training_seconds),
    MetricFamily(SOLVED, False, read_solved),
    MetricFamily(STEPS_TO_SOLVE, False, read_steps_to_solve),
    MetricFamily(BUDGET_TO_SOLVE, False, read_budget_to_solve),
    MetricFamily(ANALYSIS, False, read_analysis),
)


def family_of(metric: str) -> MetricFamily:
    """Returns the family of a metric; an unknown metric is treated as a score, and will be missing."""
    return next((family for family in FAMILIES if re.fullmatch(family.names, metric)), SCORE_FAMILY)


def definition_of(metric: str) -> Metric:
    """Returns the definition of a metric other than a measure of an analysis; an unknown one is treated as a score."""
    return metric_named(metric) or METRICS[0]


def measure(metric: str, split: str, threshold: Solved | None = None) -> Measure:
    """Returns a metric on a split, or on no split if its family has none.

    Args:
        threshold: what counts as solved in the study.
    """
    solving = metric in SOLVING
    return Measure(metric, split if family_of(metric).of_split else None, threshold if solving else None)


def main_measure(declaration: StudyDeclaration) -> Measure:
    """Returns the study's own measure."""
    return measure(declaration.metric, declaration.split)


def shortcut_metric(declaration: StudyDeclaration) -> str | None:
    """Returns the metric of the declared shortcut's score, of the same kind as the study's metric; None without one."""
    if declaration.shortcut is None or declaration.metric not in SHORTCUT_SCORES:
        return None
    return f"{SHORTCUT_SCORES[declaration.metric]}/{declaration.shortcut}"


def measure_of(declaration: StudyDeclaration, claim: Claim) -> Measure:
    """Returns the measure that a claim is about."""
    metric, split = claim.metric or declaration.metric, claim.split or declaration.split
    return measure(metric, split, declaration.threshold)


def form_of(declaration: StudyDeclaration, claim: Claim, comparison: Comparison) -> Form:
    """Returns the form of a claim's test: the form of shares if every arm is a share, otherwise the study's form."""
    whole_cells = all(list(arm.values()) == [1.0] for arm in comparison.arms)
    return SHARES if whole_cells and measure_of(declaration, claim).is_share else declaration.form
