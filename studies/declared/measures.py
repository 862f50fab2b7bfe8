"""What a run is measured by: scores and losses on a held-out split, and seconds. A kind of measure is a row of a table.

A measure is called by its metric and the split it is read on: `accuracy on test`, `loss_1 on test/m=5`, `seconds`.
Tuning reads the study's own on validation; the runs that count are read where the study, or a claim, says.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree, suggestion
from generators.task import Task
from lab.analysis.measure_store import measures_of
from lab.analysis.table import analysis_name, analysis_of
from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.evaluation import SCORES
from lab.run.store import TIMING, RunFolder
from studies.declared.claims.claim import Claim
from studies.declared.study import Declaration, Study
from studies.running.executors.executor import Outcome

Phase = Literal["tune", "confirm"]
ANALYSIS = "analysis/[a-z_]+/[a-z0-9_]+"
SHOWN_SEED = 0
"""Of the run whose samples are shown."""


@dataclass(frozen=True)
class Measure:
    """A metric, and the split it is read on; None where its kind has none."""

    metric: str
    split: str | None

    @property
    def name(self) -> str:
        return f"{self.metric} on {self.split}" if self.split else self.metric

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        better = kind_of(self.metric).better
        if self.analysis:
            better = analysis_of(self.analysis, f"metric = {self.metric!r}").measure_info(self.analysis_measure).better
        return 1.0 if better == "more" else -1.0

    @property
    def analysis(self) -> str | None:
        """The analysis it is a measure of, if it is one."""
        return analysis_name(self.metric.split("/")[1]) if re.fullmatch(ANALYSIS, self.metric) else None

    @property
    def analysis_measure(self) -> str:
        """The name of the measure within its analysis."""
        return self.metric.rpartition("/")[2]

    def on(self, split: str) -> "Measure":
        """The same on another split."""
        return measure(self.metric, split)

    def read(self, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
        """Its value of a complete run, or None where the run has none."""
        return kind_of(self.metric).read(self, result, folder, checkpoint)


def scored(measure: Measure, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
    """A metric of `lab.run.evaluation`, as the result has it."""
    value: float | None = result["scores"][checkpoint].get(measure.split, {}).get(measure.metric)
    return value


def training_seconds(measure: Measure, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
    """Wall time of the run's own training steps, evaluation not counted; None where its log is gone."""
    lines = folder.lines(TIMING)
    return float(sum(line["train_seconds"] for line in lines)) if lines else None


def analysed(measure: Measure, result: Tree, folder: RunFolder, checkpoint: str) -> float | None:
    """What an analysis of the checkpoint says: `analysis/induction_heads/copying`. Workers have taken it already."""
    assert measure.analysis is not None
    found = measures_of(folder.path.parent.parent, folder.identity, checkpoint, measure.analysis)
    return found.get(measure.analysis_measure)


@dataclass(frozen=True)
class Kind:
    """Metrics of one nature: what they are called (a pattern), what is better, and where they are found."""

    names: str
    better: Literal["more", "less"]
    of_split: bool
    read: Callable[[Measure, Tree, RunFolder, str], float | None]


KINDS = (
    Kind("|".join((*SCORES, "shortcut/.+")), "more", True, scored),
    Kind("loss_.+", "less", True, scored),
    Kind("seconds", "less", False, training_seconds),
    Kind(ANALYSIS, "more", False, analysed),
)


def kind_of(metric: str) -> Kind:
    """The row of a metric; one that no row knows is read as a score, and found missing there."""
    return next((kind for kind in KINDS if re.fullmatch(kind.names, metric)), KINDS[0])


def measure(metric: str, split: str) -> Measure:
    """A metric on a split; on none where its kind is not read on one."""
    return Measure(metric, split if kind_of(metric).of_split else None)


def main_measure(declaration: Declaration) -> Measure:
    """The study's own."""
    return measure(declaration.metric, declaration.split)


def measure_of(declaration: Declaration, claim: Claim) -> Measure:
    """What a claim is about."""
    return measure(claim.metric or declaration.metric, claim.split or declaration.split)


def analyses_of(declaration: Declaration) -> tuple[tuple[str, str], ...]:
    """The analyses that claims read, and the checkpoint they are taken of."""
    names = {measure_of(declaration, claim).analysis for claim in declaration.claims}
    return tuple((name, declaration.checkpoint) for name in sorted(filter(None, names)))


def cells_shown(study: Study) -> frozenset[str]:
    """Labels of the cells whose first run reports show samples of: those that predict the most tokens."""
    heads = {cell.label: getattr(study.spec(cell, study.middle, 0).objective, "n", 1) for cell in study.cells}
    return frozenset(label for label, n in heads.items() if n == max(heads.values()))


def score_of(
    study: Study, phase: Phase, outcome: Outcome, folder: RunFolder
) -> tuple[float | None, str | None, dict[str, float]]:
    """The study's measure of a run, or why it has none; and what else its claims are about, by name.

    Tuning sees validation and nothing else.
    """
    result, declaration = outcome.result, study.declaration
    if result is None or result["status"] != "complete":
        return None, outcome.failure or str(result and result["reason"]), {}
    main = main_measure(declaration)
    wanted = main.on("validation") if phase == "tune" else main
    score = wanted.read(result, folder, declaration.checkpoint)
    if score is None:
        there = result["scores"][declaration.checkpoint].get(wanted.split, {})
        return None, f"the run has no {wanted.name}; it has: {', '.join(there) or 'nothing there'}", {}
    others = {measure_of(declaration, claim) for claim in declaration.claims} - {main} if phase == "confirm" else set()
    values = {each.name: each.read(result, folder, declaration.checkpoint) for each in others}
    return score, None, {name: value for name, value in sorted(values.items()) if value is not None}


def examine_measure(wanted: Measure, task: Task, network: Objective, where: str) -> None:
    """Refuse a measure that the runs of a task and a network will not have.

    Raises:
        UserError: the nearest metric or split that they will.
    """
    splits = [split for split, size in task.splits.items() if size is not None and split.startswith("test")]
    if wanted.split is not None and wanted.split not in splits:
        near = suggestion(wanted.split, splits)
        raise UserError(f"{where}split = {wanted.split!r}: {task.config.kind} has no such test split; {near}")
    if wanted.analysis:
        asked = f"{where}metric = {wanted.metric!r}"
        analysis_of(wanted.analysis, asked).measure_info(wanted.analysis_measure, asked)
        return
    if wanted.metric in ("loss_1", "seconds") or wanted.metric in (scores := scores_of(task, wanted.split or "test")):
        return
    metrics = [*scores, *losses_of(task, network), "seconds"]
    if wanted.metric not in metrics:
        raise UserError(f"{where}metric = {wanted.metric!r}: no such score; {suggestion(wanted.metric, metrics)}")


def scores_of(task: Task, split: str) -> list[str]:
    """The scores that runs of a task have on a split; none where it scores no token."""
    if not task.batch(split, np.arange(min(8, task.splits[split] or 8))).scored.any():
        return []
    shortcuts = [f"shortcut/{name}" for name in task.shortcuts]
    return [*(name for name in SCORES if shortcuts or name in ("accuracy", "exact")), *shortcuts]


def losses_of(task: Task, network: Objective) -> list[str]:
    """Names of the terms of a network, which may be on the meta device."""
    device = network.trunk.embed_tokens.weight.device
    indices = np.arange(2)
    batch = TensorBatch.of(task.batch("train", indices), device, indices)
    with torch.no_grad():
        return [term.name for term in network.terms(network.latent(batch), batch, Graph())]
