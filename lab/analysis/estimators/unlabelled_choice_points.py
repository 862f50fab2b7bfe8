"""Choice points found without labels, by the consequences of tokens; and, on tasks with labels, how many are right."""

import numpy as np

from generators.foundation.errors import UserError
from generators.protocols import ChoicePointTask
from generators.task import Batch, Mask
from lab.analysis.estimators.consequences import ALTERNATIVES, THRESHOLD, WINDOW, Consequences, measure_consequences
from lab.analysis.estimators.intervals import (
    average_precision,
    mean_over_samples,
    share_over_samples,
    student_95,
)
from lab.analysis.findings import Findings
from lab.run.stored_run import StoredRun

POSITIONS_LISTED = 20
"""Positions listed one by one: those with the largest consequences."""
SEED = 0
CHOICE = "consequential choice"


def add_unlabelled_choice_points(run: StoredRun, batch: Batch, findings: Findings) -> None:
    """Adds the choice points among held-out samples, and the positions with the largest consequences.

    Raises:
        UserError: no predicted token is followed by another within the window.
    """
    task = run.parts.task
    consequences = measure_consequences(run.parts.network, batch, run.parts.device, SEED)
    if not len(consequences.nats):
        raise UserError(
            f"run {run.folder.identity}: analysis choice-points needs predicted tokens with another one within "
            f"{WINDOW} after them; the samples of task {task.config.kind} have one predicted token"
        )
    points, sample = consequences.is_choice_point, consequences.sample
    share = share_over_samples(points, np.ones_like(points), sample)
    findings.add("found", "share of positions", share)
    findings.measures |= {"choice_point_share": share[0], "mean_consequence": float(consequences.nats.mean())}
    findings.lines.append(
        f"Without labels, {share[0]:z.1%} of positions are choice points: another token there that the model considers "
        f"possible would raise the loss of the next {WINDOW} tokens by more than {THRESHOLD:zg} nat."
    )
    classes = {name: mask[sample, consequences.place] for name, mask in task.position_classes(batch).items()}
    for name, mask in classes.items():
        if mask.any():
            mean = mean_over_samples(consequences.nats, mask, sample)
            findings.add("found", "mean consequence", mean, **{"class": name})
            findings.add("found", "share found", share_over_samples(points, mask, sample), **{"class": name})
    half = student_95(ALTERNATIVES) * consequences.error
    for rank in np.argsort(-consequences.nats, kind="stable")[:POSITIONS_LISTED].tolist():
        row, place, nats = int(sample[rank]), int(consequences.place[rank]), float(consequences.nats[rank])
        tokens = batch.tokens[row]
        findings.add(
            "position",
            "consequence",
            (nats, nats - float(half[rank]), nats + float(half[rank])),
            **{"class": next(name for name, mask in classes.items() if mask[rank])},
            sample=row,
            position=place,
            token=task.text(tokens[place : place + 1]),
            before=task.text(tokens[max(0, place - WINDOW) : place]),
            after=task.text(tokens[place + 1 : place + 1 + WINDOW]),
            surprise=float(consequences.surprise[rank]),
        )
    if isinstance(task, ChoicePointTask):
        add_precision_and_recall(consequences, classes, findings)


def add_precision_and_recall(consequences: Consequences, classes: dict[str, Mask], findings: Findings) -> None:
    """Adds precision and recall against the labelled consequential choices, and the classes of false positives."""
    truth, points = classes[CHOICE], consequences.is_choice_point
    if not truth.any():
        return
    findings.measures["average_precision"] = average_precision(consequences.nats, truth)
    scores = []
    for name, among in (("precision", points), ("recall", truth)):
        if among.any():
            estimate = share_over_samples(truth & points, among, consequences.sample)
            findings.measures[name] = estimate[0]
            findings.add("found", name, estimate)
            scores.append(f"{name} {estimate[0]:z.1%} ({estimate[1]:z.1%} to {estimate[2]:z.1%})")
    false_positives = {name: int((points & mask).sum()) for name, mask in classes.items() if name != CHOICE}
    for name, count in false_positives.items():
        findings.add("found", "number of false positives", count, **{"class": name})
    listed = ", ".join(f"{count} {name}" for name, count in false_positives.items() if count) or "none"
    findings.lines.append(f"Compared with the consequential choices: {', '.join(scores)}; false positives: {listed}.")
