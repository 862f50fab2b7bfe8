"""Choice points (paper, section 5.1 and figure 9): where each head's loss and the useful gradient come from.

The paper argues that a consequential choice has the weight n(n+1)/2 in the loss of n heads, and an inconsequential one
the weight n. The weight is the number of predictions, made before the choice, of the choice itself or of a token that
it decides. On tasks with labelled choice points, such as `choice`, four parts follow this up:

    weight       these predictions, counted one by one, with the theory
    loss         the loss of each head at each kind of target, in nats, with the closed-form optimum
    gradient     by head and kind: norm, and cosine to head 1's gradient on other samples (`choice_gradients`)
    useful       by kind: the decrease in head 1's loss on other samples after a small step along the kind's gradient

A fifth part works on every task. It finds choice points without labels (`consequences`); where there are labels it
gives precision and recall.

Kinds of targets are the position classes of the task. Decided tokens are split by whether the head's position is before
the choice ("decided, choice unseen") or not. The implied weight is the number of predictions of choices and of unseen
decided tokens. A share is the part of one kind in the sum over all kinds. It is negative if a step along the gradient
of the kind raises the next-token loss; the others then add up to more than one. Shares are reported only if the
interval of the sum is above zero.

All intervals are 95% intervals. Losses, precision, recall and shares of positions have intervals over samples, by the
normal approximation of a ratio of two sums; the interval of a share is at least as wide as the exact binomial interval,
which has a width even at 0 and 1. Gradients have Student's t intervals over 8 independent pairs of batches; shares of
the gradient use a ratio of two sums. The consequence of one position has a Student's t interval over the alternatives
drawn. Gradients come from the batches that training would read next; everything else is measured on the test split.
"""

import re
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from generators.foundation.errors import UserError
from generators.protocols import ChoicePointTask
from generators.task import Batch, Mask, Task
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo
from lab.analysis.estimators.choice_gradients import SPLITS, GradientParts, measure_gradients, token_losses
from lab.analysis.estimators.choice_weight import (
    PredictionHead,
    count_predictions,
    prediction_heads,
    theoretical_weight,
)
from lab.analysis.estimators.intervals import ratio_of_sums, t_interval
from lab.analysis.estimators.unlabelled_choice_points import CHOICE, add_unlabelled_choice_points
from lab.loss.graph import Graph
from lab.loss.term import weight_of
from lab.model.batches import TensorBatch
from lab.run.stored_run import StoredRun

LOSS_SAMPLES = 256
GRADIENT_SAMPLES = 32
"""The largest size of each batch."""
UNLABELLED_SAMPLES = 32
"""Samples in which choice points are searched without labels."""
SAMPLES_AT_ONCE = 64
INCONSEQUENTIAL, UNSEEN, SEEN = "inconsequential choice", "decided, choice unseen", "decided, choice seen"
SHORT_NAMES = {CHOICE: "choice", INCONSEQUENTIAL: "inconsequential", UNSEEN: "unseen", SEEN: "seen"}
"""Kinds of targets in names of measures."""
USEFUL = "fall of head 1's loss by a step"


class ChoicePointsAnalysis(Analysis):
    """Measures where each head's loss and the useful gradient come from."""

    name = "choice-points"
    summary = "where the loss and the useful gradient of each head come from"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "implied_weight_*": MeasureInfo(
            "more", "predictions", "predictions that depend on a choice of that kind; theory: by the paper's argument"
        ),
        "excess_loss_*": MeasureInfo(
            "less", "nats per target", "loss on that kind of target above the optimum, mean over heads"
        ),
        "useful_share_*": MeasureInfo("more", "share", "share of those targets in the useful gradient"),
        "useful_*": MeasureInfo(
            "more", "nats per unit of learning rate", "fall of head 1's loss by a small step along that gradient"
        ),
        "norm_*": MeasureInfo("more", "nats per unit of weights", "norm of the gradient of that kind of target"),
        "cosine_*_to_head_1": MeasureInfo("more", "", "cosine of that gradient with head 1's on other samples"),
        "choice_point_share": MeasureInfo("more", "share", "share of tokens with a consequence above 1 nat"),
        "mean_consequence": MeasureInfo(
            "more", "nats", "mean rise of later tokens' loss if another token replaces one"
        ),
        "precision": MeasureInfo("more", "share", "share of tokens of high consequence that are labelled choices"),
        "recall": MeasureInfo("more", "share", "share of labelled choices with high consequence"),
        "average_precision": MeasureInfo("more", "share", "area under precision by recall of the labelled choices"),
    }
    column_units: ClassVar[Mapping[str, str]] = {
        "value": "nats; a number or a share where the quantity says so; useful: nats per unit of learning rate",
        "reference": "that of value: the closed form, or the first-order prediction",
        "surprise": "nats",
    }

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Runs all parts on a task with labelled choice points, and only the last part on any other.

        Raises:
            UserError: the run has too few samples, or no predicted token is followed by another.
        """
        findings, task = Findings(), run.parts.task
        if (task.splits[task.test_split] or 0) < 2:
            raise UserError(
                f"run {run.folder.identity}: analysis choice-points needs at least 2 test samples for its intervals, "
                "and task.test_samples = 1"
            )
        if isinstance(task, ChoicePointTask):
            batch = TensorBatch.from_batch(held_out(task, 2), run.parts.device, np.arange(2))
            heads = prediction_heads(run.parts.network, batch)
            add_weights(task, held_out(task, UNLABELLED_SAMPLES), heads, findings)
            add_losses(run, task, heads, findings)
            add_gradients(run, task, heads, findings)
        add_unlabelled_choice_points(run, held_out(task, UNLABELLED_SAMPLES).trimmed(), findings)
        return self.result(findings)


def short_name(kind: str) -> str:
    """Returns a kind of target as it appears in the names of measures."""
    return SHORT_NAMES.get(kind) or re.sub("[^a-z0-9]+", "_", kind.lower()).strip("_")


def held_out(task: Task, most: int) -> Batch:
    """Returns the first samples of the test split, at most `most` of them."""
    return task.batch(task.test_split, np.arange(min(most, task.splits[task.test_split] or most)))


def target_kinds(task: Task, batch: Batch, head: PredictionHead) -> dict[str, Mask]:
    """Returns the kinds of targets [B, T] of a head, on a task with labelled choice points."""
    assert isinstance(task, ChoicePointTask)
    classes = task.position_classes(batch)
    decided, seen = classes.pop("decided"), task.choice_points(batch).offset >= head.unseen
    return {**classes, UNSEEN: decided & ~seen, SEEN: decided & seen}


def add_weights(task: ChoicePointTask, batch: Batch, heads: list[PredictionHead], findings: Findings) -> None:
    """Adds the counted weight of each class of choices: the mean over all choices of some samples, and the mean over
    choices away from the edges of their sample."""
    points = task.choice_points(batch)
    counts, furthest = count_predictions(points, heads), max(head.lag for head in heads)
    length = points.choice.shape[1]
    place = np.arange(length)
    inner = (place >= furthest) & (place < length - points.decides_tokens)
    classes = [
        (CHOICE, points.consequential, counts.consequential, points.decides_tokens),
        (INCONSEQUENTIAL, points.inconsequential, counts.inconsequential, 0),
    ]
    for name, mask, own_counts, decides in classes:
        row, at = np.nonzero(mask)
        if not len(at):
            continue
        spacing = points.spacing_tokens
        theory = [theoretical_weight(heads, decides, spacing, c, length - 1 - c) for c in at.tolist()]
        inside = theoretical_weight(heads, decides, spacing)
        counted = {name: own_counts, "decided": counts.decided} if decides else {name: own_counts}
        for index, (kind, kind_counts) in enumerate(counted.items()):
            findings.add(
                "weight",
                "number of predictions of a choice, edges of samples included",
                float(kind_counts[row, at].mean()),
                **{"class": kind},
                reference=float(np.mean([weights[index] for weights in theory])),
                reference_inside=float(inside[index]),
            )
        total = np.sum([kind_counts[row, at] for kind_counts in counted.values()], axis=0)
        findings.measures[f"implied_weight_{short_name(name)}_theory"] = float(sum(inside))
        if inner[at].any():
            findings.measures[f"implied_weight_{short_name(name)}"] = float(total[inner[at]].mean())
    findings.lines.append(
        f"Away from the edges of its sample, a consequential choice has an implied weight of "
        f"{findings.measures.get('implied_weight_choice', float('nan')):zg} for {len(heads)} heads (theory: "
        f"{findings.measures['implied_weight_choice_theory']:zg}), and an inconsequential one of {len(heads)}."
    )


def add_losses(run: StoredRun, task: Task, heads: list[PredictionHead], findings: Findings) -> None:
    """Adds the loss of each head at each kind of target, with its optimum."""
    assert isinstance(task, ChoicePointTask)
    network = run.parts.network
    batch = held_out(task, LOSS_SAMPLES)
    tensors = TensorBatch.from_batch(batch, run.parts.device, np.arange(len(batch)))
    pieces = tensors.split(-(-len(batch) // SAMPLES_AT_ONCE))
    excess: dict[str, list[float]] = {}
    for head in heads:
        with torch.no_grad():
            losses = [token_losses(network, piece, network.trunk(piece.inputs_BxP), head.lag) for piece in pieces]
        loss = torch.cat(losses).double().cpu().numpy()
        optimal_loss = task.optimal_loss(batch, head.unseen)[:, head.lag :]
        for kind, mask in target_kinds(task, batch, head).items():
            where = mask[:, head.lag :]
            if where.any():
                estimate = ratio_of_sums((loss * where).sum(axis=1), where.sum(axis=1))
                optimum, targets = float(optimal_loss[where].mean()), int(where.sum())
                columns: dict[str, float | str] = {"class": kind, "reference": optimum, "targets": targets}
                findings.add("loss", "mean loss", estimate, head=head.lag, **columns)
                excess.setdefault(kind, []).append(estimate[0] - optimum)
    for kind, nats in excess.items():
        findings.measures[f"excess_loss_{short_name(kind)}"] = float(np.mean(nats))
    listed = ", ".join(f"{np.mean(nats):+z.4f} {kind}" for kind, nats in excess.items())
    findings.lines.append(f"Loss above the closed-form optimum, in nats per target, mean over heads: {listed}.")


def add_gradients(run: StoredRun, task: Task, heads: list[PredictionHead], findings: Findings) -> None:
    """Adds norm, cosine and usefulness of the gradient of each head and kind of target.

    Raises:
        UserError: there are fewer test samples than batches.
    """
    available = task.splits["test"] or 0
    size = min(GRADIENT_SAMPLES, available // SPLITS)
    if size < 1:
        raise UserError(
            f"run {run.folder.identity}: task.test_samples = {available}; analysis choice-points measures gradients on "
            f"{SPLITS} independent batches and needs at least {SPLITS}"
        )
    first = run.step * run.spec.training.batch_size
    train = task.batch("train", np.arange(first, first + size * SPLITS), run.spec.seed)
    test = held_out(task, size * SPLITS)
    pieces = np.arange(size * SPLITS).reshape(SPLITS, size)
    by_lag = {head.lag: head for head in heads}
    parts = measure_gradients(
        run.parts.network,
        [(train.take(piece), test.take(piece)) for piece in pieces],
        lambda batch, lag: target_kinds(task, batch, by_lag[lag]),
        loss_weights(run, train.take(pieces[0])),
        run.parts.device,
    )
    for name in ("norm", "cosine", "product"):
        for (kind, lag), values in getattr(parts, name).items():
            findings.add("gradient", name, t_interval(values), head=lag, **{"class": kind})
    add_usefulness(parts, findings)


def add_usefulness(parts: GradientParts, findings: Findings) -> None:
    """Adds, per kind of target, the effect on head 1 of a step along its gradient, and its share of their sum.

    Shares are added only if the interval of the sum is above zero.
    """
    total = np.sum(list(parts.useful.values()), axis=0)
    counted = np.sum([parts.useful[kind] for kind in (CHOICE, UNSEEN) if kind in parts.useful], axis=0)
    further = np.sum([values for (_, lag), values in parts.product.items() if lag > 1] or [0 * total], axis=0)
    for kind, values in parts.useful.items():
        findings.add(
            "useful",
            USEFUL,
            t_interval(values),
            **{"class": kind},
            reference=float(parts.product_of_kind[kind].mean()),
            downhill=float(parts.downhill[kind].mean()),
        )
        short = short_name(kind)
        findings.measures[f"useful_{short}"] = float(values.mean())
        findings.measures[f"norm_{short}"] = float(parts.norm_of_kind[kind].mean())
        findings.measures[f"cosine_{short}_to_head_1"] = float(parts.cosine_of_kind[kind].mean())
    whole, low, high = t_interval(total)
    findings.add("useful", USEFUL, (whole, low, high), **{"class": "all"})
    findings.measures["useful_gradient"] = whole
    if low <= 0:
        findings.lines.append(
            "A small step along the whole gradient does not clearly lower head 1's loss on other samples "
            f"({whole:z.3g} nats per unit of learning rate, {low:z.3g} to {high:z.3g}), so no shares are given."
        )
        return
    shares = {short_name(kind): (kind, values) for kind, values in parts.useful.items()}
    shares |= {
        "counted": ("the n(n+1)/2 predictions per choice", counted),
        "further": ("heads after the first", further),
    }
    for short, (kind, values) in shares.items():
        findings.add("share", "share of the useful gradient", ratio_of_sums(values, total, few=True), **{"class": kind})
        findings.measures[f"useful_share_{short}"] = float(values.mean() / total.mean())
    share, low, high = ratio_of_sums(counted, total, few=True)
    findings.lines.append(
        "A small step along the gradient lowers head 1's loss on other samples. Of that decrease, "
        f"{share:z.1%} ({low:z.1%} to {high:z.1%}) comes from predictions of a consequential choice or of a token it "
        "decides, made before the choice is read, and "
        f"{findings.measures['useful_share_choice']:z.1%} from predictions of the choices alone. A step along a part "
        "with a negative share raises the loss."
    )


def loss_weights(run: StoredRun, batch: Batch) -> dict[int, float]:
    """Returns the weight of each lag's loss in the training loss at the run's step; lags that are not trained then are
    left out.
    """
    network = run.parts.network
    step = min(run.step, run.spec.training.steps - 1)
    tensors = TensorBatch.from_batch(batch, run.parts.device, np.arange(len(batch)), step)
    with torch.no_grad():
        terms = network.terms(network.latent(tensors), tensors, Graph())
        weight = {term.name: float(weight_of(term, network, tensors)) for term in terms}
    return {lag: weight[f"loss_{lag}"] for lag in network.lags if f"loss_{lag}" in weight}
