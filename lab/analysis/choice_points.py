"""Choice points (paper, section 5.1 and figure 9): where each head's loss and the useful gradient come from.

The paper's argument: the prediction of a choice, and of what it decides, from before the choice, is counted n(n+1)/2
times in the loss of n heads, an inconsequential choice n times. On the task `choice`, whose labels are known, four
parts say what becomes of it:

    weight       the predictions that look at a choice, or at a token that it decides, from before the choice: counted
                 one by one, beside the theory (`implied_weight`)
    loss         each head at each kind of target, in nats, beside the closed-form optimum
    gradient     each head and kind: norm and cosine to head 1's gradient on other samples (`choice_gradients`)
    useful       each kind: how much a small step along its gradient lowers head 1's loss on other samples

and a fifth, on every task, finds choice points without labels (`consequences`), on `choice` with precision and recall.

Kinds of targets are the task's position classes, with decided tokens told apart by whether the head stands before the
choice ("decided, choice unseen") or not. The weight counts the unseen and the choices themselves. A share is
one kind's part of the sum of what all kinds give; it is negative where a step along that kind's gradient makes the next
token worse, and the others then add up to more than one. Shares are given only where the sum is above zero by its own
interval.

Intervals are 95%. Of losses, precision, recall and shares of positions: over samples, normal, of the ratio of two sums
linearised; of a share no narrower than the exact binomial one, which has a width also at 0 and 1. Of gradients:
Student's t over 8 independent pairs of batches; of their shares the same, linearised. Of one position's consequence:
Student's t over the alternatives drawn. Gradients are of the batches that training would read next, all else of the
test split.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from generators.foundation.errors import UserError
from generators.task import Batch, Mask, Task
from generators.tasks.choice import CONSEQUENTIAL, DECIDED, INCONSEQUENTIAL, Choice
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo
from lab.analysis.estimators.choice_gradients import SPLITS, Gradients, measure, token_losses
from lab.analysis.estimators.choice_weight import Head, counted_weight, heads_of, weight_in_theory
from lab.analysis.estimators.consequences import CHOICE, unlabelled
from lab.analysis.estimators.intervals import ratio, t_interval, t_ratio
from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.run.stored_run import StoredRun

LOSS_SAMPLES = 256
GRADIENT_SAMPLES = 32
"""At most, of each of the batches."""
FOUND_SAMPLES = 32
"""Whose positions are looked at for choice points without labels."""
SAMPLES_AT_ONCE = 64
OTHER, UNSEEN, SEEN = (
    "inconsequential choice",
    "decided, choice unseen",
    "decided, choice seen",
)
SHORT = {
    CHOICE: "choice",
    OTHER: "inconsequential",
    UNSEEN: "unseen",
    SEEN: "seen",
    "fixed": "fixed",
    "filler": "filler",
}
"""Kinds of targets as measures name them."""


class ChoicePointsAnalysis(Analysis):
    """Measures where each head's loss and the useful gradient come from."""

    name = "choice-points"
    summary = "where the loss and the useful gradient of each head come from"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "implied_weight_*": MeasureInfo("more", "predictions"),
        "excess_loss_*": MeasureInfo("less", "nats per target"),
        "useful_share_*": MeasureInfo("more", "share"),
        "useful_*": MeasureInfo("more", "nats per unit of learning rate"),
        "norm_*": MeasureInfo("more", "nats per unit of weights"),
        "cosine_*_to_head_1": MeasureInfo("more"),
        "mean_consequence": MeasureInfo("more", "nats"),
        "choice_point_share": MeasureInfo("more", "share"),
        "precision": MeasureInfo("more", "share"),
        "recall": MeasureInfo("more", "share"),
        "average_precision": MeasureInfo("more", "share"),
    }
    column_units: ClassVar[Mapping[str, str]] = {
        "value": "nats; a number or a share where the quantity says so; useful: nats per unit of learning rate",
        "reference": "that of value: the closed form, or what the first order predicts",
        "surprise": "nats",
    }

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """All parts on the task `choice`, the last alone on any other.

        Raises:
            UserError: the run has too few samples, or no token behind which others are predicted.
        """
        found = Findings()
        task = run.parts.task
        if (task.splits[task.test_split] or 0) < 2:
            raise UserError(
                f"run {run.folder.identity}: one test sample; choice-points needs at least 2, to tell its error"
            )
        if isinstance(task, Choice):
            few = TensorBatch.from_batch(held_out(task, 2), run.parts.device, np.arange(2))
            heads = heads_of(run.parts.network, few)
            weights(task, heads, found)
            losses(run, task, heads, found)
            gradients(run, task, heads, found)
        unlabelled(run, held_out(task, FOUND_SAMPLES).trimmed(), found)
        return self.result(found)


def held_out(task: Task, most: int) -> Batch:
    """The first samples of the test split, at most so many."""
    return task.batch(task.test_split, np.arange(min(most, task.splits[task.test_split] or most)))


def kinds_of(task: Choice, batch: Batch, head: Head) -> dict[str, Mask]:
    """Kinds of targets [B, T] of a head."""
    classes = task.position_classes(batch)
    decided, seen = classes.pop("decided"), batch.labels["offset"] >= head.unseen
    return {**classes, UNSEEN: decided & ~seen, SEEN: decided & seen}


def weights(task: Choice, heads: list[Head], found: Findings) -> None:
    """The counted weight of each position class, on average over the choices of some samples, and of a choice away from
    the edges of its sample."""
    decides, spacing = task.config.decides_tokens, task.config.spacing_tokens
    labels = held_out(task, FOUND_SAMPLES).labels
    counts, furthest = counted_weight(labels, heads), max(head.lag for head in heads)
    place = np.arange(task.length)
    inner = (place >= furthest) & (place < task.length - decides)
    for chosen, name, deciding in ((CONSEQUENTIAL, CHOICE, decides), (INCONSEQUENTIAL, OTHER, 0)):
        row, at = np.nonzero(labels["class"] == chosen)
        if not len(at):
            continue
        theory = [weight_in_theory(heads, deciding, spacing, c, task.length - 1 - c) for c in at.tolist()]
        whole = weight_in_theory(heads, deciding, spacing)
        looked_at = {name: chosen, "decided": DECIDED} if deciding else {name: chosen}
        for part, (kind, which) in enumerate(looked_at.items()):
            found.add(
                "weight",
                "number of predictions of a choice, edges of samples included",
                float(counts[which][row, at].mean()),
                **{"class": kind},
                reference=float(np.mean([each[part] for each in theory])),
                reference_inside=float(whole[part]),
            )
        total = np.sum([counts[which][row, at] for which in looked_at.values()], axis=0)
        found.measures[f"implied_weight_{SHORT[name]}_theory"] = float(sum(whole))
        if inner[at].any():
            found.measures[f"implied_weight_{SHORT[name]}"] = float(total[inner[at]].mean())
    found.lines.append(
        f"Away from the edges of its sample, a consequential choice is counted "
        f"{found.measures.get('implied_weight_choice', float('nan')):g} times by {len(heads)} heads (theory "
        f"{found.measures['implied_weight_choice_theory']:g}), an inconsequential one {len(heads)} times."
    )


def losses(run: StoredRun, task: Choice, heads: list[Head], found: Findings) -> None:
    """Each head's loss at each kind of target, beside its optimum."""
    network = run.parts.network
    batch = held_out(task, LOSS_SAMPLES)
    whole = TensorBatch.from_batch(batch, run.parts.device, np.arange(len(batch)))
    pieces = whole.split(-(-len(batch) // SAMPLES_AT_ONCE))
    excess: dict[str, list[float]] = {}
    for head in heads:
        with torch.no_grad():
            each = [token_losses(network, piece, network.trunk(piece.inputs_BxP), head.lag) for piece in pieces]
        loss = torch.cat(each).double().cpu().numpy()
        best = task.optimal_loss(batch, head.unseen)[:, head.lag :]
        for kind, mask in kinds_of(task, batch, head).items():
            where = mask[:, head.lag :]
            if where.any():
                estimate = ratio((loss * where).sum(axis=1), where.sum(axis=1))
                optimum, targets = float(best[where].mean()), int(where.sum())
                found.add(
                    "loss",
                    "mean loss",
                    estimate,
                    head=head.lag,
                    **{"class": kind},
                    reference=optimum,
                    targets=targets,
                )
                excess.setdefault(kind, []).append(estimate[0] - optimum)
    for kind, some in excess.items():
        found.measures[f"excess_loss_{SHORT[kind]}"] = float(np.mean(some))
    found.lines.append(
        "Loss above the closed-form optimum in nats a target, on average over heads: "
        + ", ".join(f"{np.mean(some):+.4f} {kind}" for kind, some in excess.items())
        + "."
    )


def gradients(run: StoredRun, task: Choice, heads: list[Head], found: Findings) -> None:
    """Norm, cosine and use of the gradient of each head and kind of target.

    Raises:
        UserError: there are fewer test samples than batches.
    """
    available = task.splits["test"] or 0
    size = min(GRADIENT_SAMPLES, available // SPLITS)
    if size < 1:
        raise UserError(
            f"run {run.folder.identity}: task.test_samples = {available}; choice-points needs at least {SPLITS}, to "
            "measure gradients on so many independent batches"
        )
    first = run.step * run.spec.training.batch_size
    mine = task.batch("train", np.arange(first, first + size * SPLITS), run.spec.seed)
    other = held_out(task, size * SPLITS)
    pieces = np.arange(size * SPLITS).reshape(SPLITS, size)
    by_lag = {head.lag: head for head in heads}
    measured = measure(
        run.parts.network,
        [(mine.take(piece), other.take(piece)) for piece in pieces],
        lambda batch, lag: kinds_of(task, batch, by_lag[lag]),
        loss_weights(run, mine.take(pieces[0])),
        run.parts.device,
    )
    for name in ("norm", "cosine", "product"):
        for (kind, lag), values in getattr(measured, name).items():
            found.add("gradient", name, t_interval(values), head=lag, **{"class": kind})
    useful(measured, found)


def useful(measured: Gradients, found: Findings) -> None:
    """What a step along each kind's gradient gives head 1, and the shares where they have a sum to be shares of."""
    total = np.sum(list(measured.useful.values()), axis=0)
    counted = np.sum([measured.useful[kind] for kind in (CHOICE, UNSEEN) if kind in measured.useful], axis=0)
    further = np.sum([values for (_, lag), values in measured.product.items() if lag > 1] or [0 * total], axis=0)
    for kind, values in measured.useful.items():
        found.add(
            "useful",
            "fall of head 1's loss by a step",
            t_interval(values),
            **{"class": kind},
            reference=float(measured.product_of_kind[kind].mean()),
            downhill=float(measured.downhill[kind].mean()),
        )
        found.measures[f"useful_{SHORT[kind]}"] = float(values.mean())
        found.measures[f"norm_{SHORT[kind]}"] = float(measured.norm_of_kind[kind].mean())
        found.measures[f"cosine_{SHORT[kind]}_to_head_1"] = float(measured.cosine_of_kind[kind].mean())
    whole, low, high = t_interval(total)
    found.add("useful", "fall of head 1's loss by a step", (whole, low, high), **{"class": "all"})
    found.measures["useful_gradient"] = whole
    if low <= 0:
        found.lines.append(
            "It is not certain that a small step along the whole gradient lowers head 1's loss on other samples "
            f"({whole:.3g} nats per unit of learning rate, {low:.3g} to {high:.3g}), so there is nothing to share out."
        )
        return
    shares = {SHORT[kind]: (kind, values) for kind, values in measured.useful.items()}
    shares |= {
        "counted": ("all that the implied weight counts", counted),
        "further": ("heads after the first", further),
    }
    for short, (kind, values) in shares.items():
        found.add("share", "share of the useful gradient", t_ratio(values, total), **{"class": kind})
        found.measures[f"useful_share_{short}"] = float(values.mean() / total.mean())
    share, low, high = t_ratio(counted, total)
    found.lines.append(
        f"Of what a small step along the gradient gives head 1 on other samples, {share:.1%} ({low:.1%} to {high:.1%}) "
        f"comes from the predictions that the implied weight counts, {found.measures['useful_share_choice']:.1%} from "
        "the consequential choices alone; a negative share is a part whose step makes head 1 worse."
    )


def loss_weights(run: StoredRun, batch: Batch) -> dict[int, float]:
    """The weight of each lag's loss in what is descended at the run's step; a lag not trained then is absent."""
    network = run.parts.network
    step = min(run.step, run.spec.training.steps - 1)
    tensors = TensorBatch.from_batch(batch, run.parts.device, np.arange(len(batch)), step)
    with torch.no_grad():
        weight = {term.name: term.weight for term in network.terms(network.latent(tensors), tensors, Graph())}
    return {lag: weight[f"loss_{lag}"] for lag in network.lags if f"loss_{lag}" in weight}
