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
choice ("decided, choice unseen") or not. The weight counts the unseen and the choices themselves.

Intervals are 95%: of losses and of precision, recall and shares of positions over samples, by the normal approximation
of the ratio of two sums (linearised); of gradients Student's t over 8 independent pairs of batches, of their shares
the same with the ratio linearised; of one position's consequence three standard errors' worth over 3 alternatives
(t, 2 degrees of freedom). Gradients are those of the batches that training would have read next.
"""

import numpy as np
import torch
from scipy import stats

from generators.choice import CONSEQUENTIAL, DECIDED, INCONSEQUENTIAL, Choice, implied_weight
from generators.entropy import Floats
from generators.errors import UserError
from generators.randomness import Integers
from generators.task import Batch, Mask, Task
from lab.analysis import choice_gradients, consequences
from lab.analysis.analysis import Analysis, Row
from lab.batches import TensorBatch
from lab.graph import Graph
from lab.objectives.objective import Objective
from lab.stored import StoredRun

TEST_SAMPLES = 256
"""For the losses."""
GRADIENT_SAMPLES = 32
"""Of each of the batches whose gradients are taken."""
LABELLED_SAMPLES = 32
"""Whose positions are looked at for choice points without labels."""
SHOWN = 20
"""Positions with the largest consequences that are told."""
SEED = 0
CHOICE, UNSEEN = "consequential choice", "decided, choice unseen"
COUNTED = (CHOICE, UNSEEN)
"""The kinds of targets of a consequential choice that the implied weight counts."""
SHORT = {
    CHOICE: "choice",
    "inconsequential choice": "inconsequential",
    UNSEEN: "unseen",
    "decided, choice seen": "seen",
    "fixed": "fixed",
    "filler": "filler",
}
"""Kinds of targets as measures name them."""


def analyse(run: StoredRun) -> Analysis:
    """All parts on the task `choice`, the last alone on any other.

    Raises:
        UserError: the task has too few test samples for independent batches.
    """
    rows: list[Row] = []
    measures: dict[str, float] = {}
    lines: list[str] = []
    task = run.parts.task
    if isinstance(task, Choice):
        for part in (weights, losses, gradients):
            part(run, task, rows, measures, lines)
    unlabelled(run, rows, measures, lines)
    units = {"value": "nats, unless the quantity says otherwise", "step_size": "learning rate of plain descent"}
    return Analysis("choice-points", rows, measures, lines, units)


def held_out(task: Task, most: int) -> Batch:
    """The first samples of the test split, at most so many."""
    return task.batch("test", np.arange(min(most, task.splits["test"] or most)))


def kinds(task: Choice, batch: Batch, lag: int) -> dict[str, Mask]:
    """Kinds of targets [B, T] for the head that looks `lag` ahead."""
    classes = task.position_classes(batch)
    decided, seen = classes.pop("decided"), batch.labels["offset"] >= lag
    return {**classes, UNSEEN: decided & ~seen, "decided, choice seen": decided & seen}


def counted_weight(labels: dict[str, Integers], lags: tuple[int, ...]) -> dict[int, Integers]:
    """Of each choice, the predictions that look at it, or at a token that it decides, from before it: by class of what
    they look at, int64 [B, T] at the choice's position. Counted one (position, head) after the other.

    Args:
        labels: `class` and `choice` of the tokens [B, T].
    """
    classes, choice = labels["class"], labels["choice"]
    found = {which: np.zeros_like(choice) for which in (CONSEQUENTIAL, INCONSEQUENTIAL, DECIDED)}
    for lag in lags:
        for position in range(classes.shape[1] - lag):
            target = position + lag
            for row in np.flatnonzero(choice[:, target] > position):
                found[classes[row, target]][row, choice[row, target]] += 1
    return found


def weight_in_theory(lags: tuple[int, ...], decides: int, spacing: int, before: int, after: int) -> tuple[int, int]:
    """The same in closed form, of one choice: of the choice itself, and of what it decides.

    The head that looks i ahead sees the targets at the offsets k < i from before the choice, of those that the choice
    decides: k <= D, k < S where the next choice decides what follows it, and inside the sample. So

        weight = sum over heads of min(i, m),  m = min(D + 1, S)

    which for the heads 1..n is `implied_weight`, m n - m (m - 1)/2 with m = min(D + 1, S, n). The windows of two choices
    that are nearer than n overlap, but they hold different targets: while each token is decided by one choice, and so
    D < S, nothing is counted twice and `implied_weight(n, D)` is exact at any spacing. If choices were nearer still, it
    would count the tokens after the next choice for both; by the last choice before a token, m = S. Near the start of
    a sample heads have no position to look from, near its end nothing to look at.

    Args:
        decides, spacing: D and S in tokens; D = 0 for an inconsequential choice.
        before, after: tokens of the sample in front of the choice, and behind it.
    """
    offsets = range(min(decides, spacing - 1, after) + 1)
    each = [sum(offset < lag <= before + offset for lag in lags) for offset in offsets]
    return each[0], sum(each[1:])


def weights(run: StoredRun, task: Choice, rows: list[Row], measures: dict[str, float], lines: list[str]) -> None:
    """The counted weight of each position class."""
    lags, decides, spacing = run.parts.network.lags, task.config.decides_tokens, task.config.spacing_tokens
    batch = held_out(task, LABELLED_SAMPLES)
    counts = counted_weight(dict(batch.labels), lags)
    place = np.arange(task.length)
    inner = (place >= max(lags)) & (place + min(decides, max(lags) - 1) < task.length)
    classes = batch.labels["class"]
    tables = {
        "consequential choice": (CONSEQUENTIAL, CONSEQUENTIAL),
        "decided": (DECIDED, CONSEQUENTIAL),
        "inconsequential choice": (INCONSEQUENTIAL, INCONSEQUENTIAL),
    }
    whole = [sum(weight_in_theory(lags, d, spacing, task.length, task.length)) for d in (decides, 0)]
    for name, (looked_at, chosen) in tables.items():
        where = classes == chosen
        if not where.any():
            continue
        part = int(looked_at == DECIDED)
        deciding = decides if chosen == CONSEQUENTIAL else 0
        theory = [
            weight_in_theory(lags, deciding, spacing, int(c), task.length - 1 - int(c))[part] for c in np.nonzero(where)[1]
        ]
        counted = counts[looked_at][where]
        unbroken = weight_in_theory(lags, deciding, spacing, task.length, task.length)[part]
        rows.append(
            {
                "part": "weight",
                "class": name,
                "quantity": "predictions a choice, edges of samples included",
                "value": float(counted.mean()),
                "reference": float(np.mean(theory)),
                "away_from_edges": float(unbroken),
            }
        )
    total = counts[CONSEQUENTIAL] + counts[DECIDED]
    for name, sums, chosen, expected in (
        ("choice", total, CONSEQUENTIAL, whole[0]),
        ("inconsequential", counts[INCONSEQUENTIAL], INCONSEQUENTIAL, whole[1]),
    ):
        where = (classes == chosen) & inner
        if where.any():
            measures[f"implied_weight_{name}"] = float(sums[where].mean())
            measures[f"implied_weight_{name}_theory"] = float(expected)
    n = len(lags)
    closed = implied_weight(n, decides) if lags == tuple(range(1, n + 1)) else whole[0]
    counted = measures.get("implied_weight_choice", float("nan"))
    lines.append(
        f"A consequential choice is counted {counted:g} times by {n} heads (theory {closed}), an inconsequential one "
        f"{measures.get('implied_weight_inconsequential', float('nan')):g} times (theory {whole[1]})."
    )


def losses(run: StoredRun, task: Choice, rows: list[Row], measures: dict[str, float], lines: list[str]) -> None:
    """Each head's loss at each kind of target, beside its optimum."""
    network, device = run.parts.network, run.parts.device
    batch = held_out(task, TEST_SAMPLES)
    whole = TensorBatch.of(batch, device, np.arange(len(batch)))
    gaps: dict[str, list[float]] = {}
    for lag in network.lags:
        with torch.no_grad():
            pieces = whole.split(-(-len(batch) // choice_gradients.SAMPLES_AT_ONCE))
            each = [
                choice_gradients.token_losses(network, piece, network.trunk(piece.inputs_BxP), lag) for piece in pieces
            ]
        loss = torch.cat(each).double().cpu().numpy()
        best = task.optimal_loss(batch.labels["class"], batch.labels["offset"], lag)[:, lag:]
        for kind, mask in kinds(task, batch, lag).items():
            where = mask[:, lag:]
            if not where.any():
                continue
            mean, low, high = ratio_interval((loss * where).sum(axis=1), where.sum(axis=1))
            optimum = float(best[where].mean())
            gaps.setdefault(kind, []).append(mean - optimum)
            rows.append(
                {
                    "part": "loss",
                    "head": lag,
                    "class": kind,
                    "quantity": "mean loss",
                    "value": mean,
                    "low": low,
                    "high": high,
                    "reference": optimum,
                    "targets": int(where.sum()),
                }
            )
    for kind, some in gaps.items():
        measures[f"excess_loss_{SHORT[kind]}"] = float(np.mean(some))
    worst = max(gaps, key=lambda kind: float(np.mean(gaps[kind])))
    lines.append(
        "Above the closed-form optimum, on average over heads: "
        + ", ".join(f"{kind} {np.mean(some):+.4f}" for kind, some in gaps.items())
        + f" nats a target; most at {worst}."
    )


def gradients(run: StoredRun, task: Choice, rows: list[Row], measures: dict[str, float], lines: list[str]) -> None:
    """Norm, cosine and use of the gradient of each head and kind of target."""
    network, splits = run.parts.network, choice_gradients.SPLITS
    available = task.splits["test"] or 0
    size = min(GRADIENT_SAMPLES, available // splits)
    if size < 1:
        raise UserError(
            f"run {run.folder.identity}: task.test_samples = {available}, and the gradients of choice-points need "
            f"{splits} independent batches; a run with at least {splits} would do"
        )
    first = run.step * run.spec.training.batch_size
    mine = task.batch("train", np.arange(first, first + size * splits), run.spec.seed)
    other = held_out(task, size * splits)
    pieces = np.arange(size * splits).reshape(splits, size)
    found = choice_gradients.measure(
        network,
        [(mine.take(piece), other.take(piece)) for piece in pieces],
        lambda batch, lag: kinds(task, batch, lag),
        loss_weights(network, mine.take(pieces[0]), run),
        run.parts.device,
    )
    for name, table in (("norm", found.norm), ("cosine to head 1", found.cosine), ("product", found.first_order)):
        for (kind, lag), values in table.items():
            mean, low, high = choice_gradients.t_interval(values)
            rows.append(
                {"part": "gradient", "head": lag, "class": kind, "quantity": name, "value": mean, "low": low, "high": high}
            )
    total = sum(found.useful.values(), np.zeros(splits))
    whole, low, high = choice_gradients.t_interval(total)
    measures["useful_gradient"] = whole
    certain = low > 0 or high < 0
    for kind, values in found.useful.items():
        use, use_low, use_high = choice_gradients.t_interval(values)
        row: Row = {
            "part": "useful",
            "class": kind,
            "quantity": "fall of head 1's loss per unit of learning rate",
            "value": use,
            "low": use_low,
            "high": use_high,
            "reference": float(found.predicted[kind].mean()),
            "downhill_alone": float(found.forward[kind].mean()),
        }
        if certain:
            share, share_low, share_high = choice_gradients.share_interval(values, total)
            row |= {"share": share, "share_low": share_low, "share_high": share_high}
            measures[f"useful_share_{SHORT[kind]}"] = share
        rows.append(row)
        measures[f"useful_{SHORT[kind]}"] = use
        measures[f"norm_{SHORT[kind]}"] = float(found.norm_of_kind[kind].mean())
        measures[f"cosine_{SHORT[kind]}_to_head_1"] = float(found.cosine_of_kind[kind].mean())
    if not certain:
        lines.append(
            f"A step along the whole gradient changes head 1's loss on other samples by no more than chance "
            f"({whole:.3g}, from {low:.3g} to {high:.3g} per unit of learning rate), so there are no shares to give."
        )
        return
    counted = sum((found.useful[kind] for kind in COUNTED if kind in found.useful), np.zeros(splits))
    further = sum((v for (_, lag), v in found.first_order.items() if lag > 1), np.zeros(splits))
    for name, part in (("counted", counted), ("further_heads", further)):
        share, share_low, share_high = choice_gradients.share_interval(part, total)
        measures[f"useful_share_{name}"] = share
        rows.append(
            {
                "part": "useful",
                "class": "all that the implied weight counts" if name == "counted" else "heads from the second on",
                "quantity": "share",
                "share": share,
                "share_low": share_low,
                "share_high": share_high,
            }
        )
        if name == "counted":
            lines.append(
                f"Of what a small step along the gradient gives head 1, {share:.1%} ({share_low:.1%} to "
                f"{share_high:.1%}) comes from the predictions that the implied weight counts, "
                f"{measures['useful_share_choice']:.1%} from the choices themselves"
                f"; a negative share is a part that makes head 1 worse."
            )


def loss_weights(network: Objective, batch: Batch, run: StoredRun) -> dict[int, float]:
    """The weight of each lag's loss in what is descended at the run's step; heads that are not trained then are absent."""
    step = min(run.step, run.spec.training.steps - 1)
    tensors = TensorBatch.of(batch, run.parts.device, np.arange(len(batch)), step)
    with torch.no_grad():
        by_name = {term.name: term.weight for term in network.terms(network.latent(tensors), tensors, Graph())}
    return {lag: by_name[f"loss_{lag}"] for lag in network.lags if f"loss_{lag}" in by_name}


def unlabelled(run: StoredRun, rows: list[Row], measures: dict[str, float], lines: list[str]) -> None:
    """Choice points as positions on which the model's later losses depend."""
    task = run.parts.task
    batch = held_out(task, LABELLED_SAMPLES).trimmed()
    found = consequences.consequences(run.parts.network, batch, run.parts.device, SEED)
    if not len(found.nats):
        raise UserError(
            f"run {run.folder.identity}: task {task.config.kind} has no target with another one of its sample within "
            f"{consequences.WINDOW} tokens after it, and choice-points needs a token whose later tokens are predicted"
        )
    where = found.sample, found.place
    share, low, high = over_samples(found.found, np.ones_like(found.found), found.sample)
    measures["choice_point_share"] = share
    measures["mean_consequence"] = float(found.nats.mean())
    rows.append(
        {"part": "found", "quantity": "share of positions", "value": share, "low": low, "high": high}
    )
    half = stats.t.ppf(0.975, consequences.ALTERNATIVES - 1) * found.error
    classes = {name: mask[where] for name, mask in task.position_classes(batch).items()}
    for rank in np.argsort(-found.nats, kind="stable")[:SHOWN]:
        sample, place = int(found.sample[rank]), int(found.place[rank])
        start = max(0, place - 12)
        rows.append(
            {
                "part": "position",
                "quantity": "consequence",
                "class": next((name for name, mask in classes.items() if mask[rank]), ""),
                "sample": sample,
                "position": place,
                "token": task.vocabulary[batch.tokens[sample, place]],
                "before": task.text(batch.tokens[sample, start:place]),
                "after": task.text(batch.tokens[sample, place + 1 : place + 1 + consequences.WINDOW]),
                "value": float(found.nats[rank]),
                "low": float(found.nats[rank] - half[rank]),
                "high": float(found.nats[rank] + half[rank]),
                "surprise": float(found.surprise[rank]),
            }
        )
    for name, mask in classes.items():
        if mask.any():
            mean, low, high = over_samples(found.nats * mask, mask, found.sample)
            rows.append(
                {
                    "part": "found",
                    "class": name,
                    "quantity": "mean consequence",
                    "value": mean,
                    "low": low,
                    "high": high,
                    "share_found": float(found.found[mask].mean()),
                }
            )
    lines.append(
        f"Without labels, {share:.1%} of positions are choice points: replacing the token by another that the model "
        f"holds possible costs the next {consequences.WINDOW} tokens more than {consequences.THRESHOLD:g} nat."
    )
    if isinstance(task, Choice):
        truth = classes[CHOICE]
        detection(found, truth, classes, rows, measures, lines)


def detection(
    found: consequences.Consequences,
    truth: Mask,
    classes: dict[str, Mask],
    rows: list[Row],
    measures: dict[str, float],
    lines: list[str],
) -> None:
    """Precision and recall of what was found against the consequential choices, and what the others are."""
    hits = found.found & truth
    measures["average_precision"] = consequences.average_precision(found.nats, truth)
    for name, among in (("precision", found.found), ("recall", truth)):
        if among.any():
            value, low, high = over_samples(hits, among, found.sample)
            measures[name] = value
            rows.append({"part": "found", "quantity": name, "value": value, "low": low, "high": high})
    false = found.found & ~truth
    split = {name: int((false & mask).sum()) for name, mask in classes.items() if name != CHOICE}
    for name, count in split.items():
        rows.append({"part": "found", "class": name, "quantity": "false positives", "value": float(count)})
    lines.append(
        f"Against the labels: precision {measures.get('precision', float('nan')):.1%}, recall "
        f"{measures.get('recall', float('nan')):.1%}; of {int(false.sum())} false positives "
        + ", ".join(f"{count} are {name}" for name, count in split.items())
        + "."
    )


def over_samples(values: Floats | Mask, counts: Mask, sample: Integers) -> tuple[float, float, float]:
    """Sum of values over sum of counts, of N positions, and its interval over samples."""
    return ratio_interval(np.bincount(sample, values), np.bincount(sample, counts))


def ratio_interval(sums: Floats, counts: Floats) -> tuple[float, float, float]:
    """Sum of sums [B] over sum of counts [B] of independent samples, and its 95% interval, linearised and normal."""
    ratio = sums.sum() / counts.sum()
    error = np.sqrt(len(sums)) * np.std(sums - ratio * counts, ddof=1) / counts.sum() if len(sums) > 1 else np.nan
    return float(ratio), float(ratio - 1.96 * error), float(ratio + 1.96 * error)
