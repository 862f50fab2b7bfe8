"""Checks that the runs of a task and a network will have a measure, before any of them is trained."""

import numpy as np
import torch

from generators.foundation.errors import UserError
from generators.foundation.settings import suggestion
from generators.task import Task
from lab.analysis.analysis import declared_measure
from lab.analysis.table import ANALYSES
from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.evaluation import SCORES, SHORTCUT_SCORES
from lab.run.solving import scores_tokens
from studies.declared.measures import SOLVING, Measure


def check_measure(measure: Measure, task: Task, network: Objective, where: str) -> None:
    """Refuses a measure that the runs of a task and a network will not have.

    Args:
        where: file and table of the metric, named in the error.

    Raises:
        UserError: gives the nearest metric or split that they will have.
    """
    splits = [split for split, size in task.splits.items() if size is not None and split.startswith("test")]
    if measure.split is not None and measure.split not in splits:
        near = suggestion(measure.split, splits)
        raise UserError(f"{where}split = {measure.split!r}: {task.config.kind} has no such test split; {near}")
    if measure.analysis:
        source = f"{where}metric = {measure.metric!r}"
        declared_measure(ANALYSES.find(measure.analysis, source), measure.analysis_measure, source)
        return
    if measure.metric in SOLVING and measure.threshold is None:
        raise UserError(
            f"{where}metric = {measure.metric!r}: the study does not say what counts as solved; add solved_at, the "
            "value of its metric on validation, such as 0.95"
        )
    if measure.metric in ("loss_1", "seconds", *SOLVING):
        return
    scores = score_names(task, measure.split or "test")
    if measure.metric in scores:
        return
    metrics = [*scores, *loss_names(task, network), "seconds", *SOLVING]
    if measure.metric not in metrics:
        raise UserError(f"{where}metric = {measure.metric!r}: no such score; {suggestion(measure.metric, metrics)}")


def score_names(task: Task, split: str) -> list[str]:
    """Returns the scores that runs of a task have on a split; an empty list if it scores no token."""
    if not scores_tokens(task, split):
        return []
    shortcuts = [f"{score}/{name}" for score in SHORTCUT_SCORES.values() for name in task.shortcuts]
    return [*(name for name in SCORES if shortcuts or name in ("accuracy", "exact")), *shortcuts]


def loss_names(task: Task, network: Objective) -> list[str]:
    """Returns the names of the loss terms of a network, which may be on the meta device."""
    device = network.trunk.embed_tokens.weight.device
    indices = np.arange(2)
    batch = TensorBatch.from_batch(task.batch("train", indices), device, indices)
    with torch.no_grad():
        return [term.name for term in network.terms(network.latent(batch), batch, Graph())]
