"""Choice points without labels: how much later loss hangs on a token that might have been another.

The consequence of token t, in nats, is

    D_t = sum over a of q(a | x_<t) sum over j = 1..W of [ l_{t+j}(x with a for x_t) - l_{t+j}(x) ]

with q the model's next-token head, l its loss at the true token, W = `WINDOW`. It is large where the model holds other
tokens possible and would then expect another continuation; it is zero of a token that is certain, of one that nothing
hangs on, and of one that is told elsewhere. It says what the model reads off the token, not what the source decided by
it: a token that merely shows what was decided before counts as far as the model goes by it. D_t is negative where the
true token misleads. A position is called a choice point where D_t is more than `THRESHOLD`: swapping the token costs
the continuation a factor of e in probability, on average over what the model would have put there.

The estimator is unbiased: alternatives are drawn from q without the true token, and their mean is multiplied by
1 - q(x_t | x_<t); the standard error is that of their mean.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.material.entropy import Floats
from generators.task import Batch, Mask
from generators.tasks.choice import Choice
from lab.analysis.analysis import Findings
from lab.analysis.estimators.intervals import average_precision, over_samples, proportion
from lab.objectives.objective import Objective
from lab.run.stored_run import StoredRun

WINDOW = 8
"""W, tokens after the one that is replaced whose loss is summed; fewer at the end of a sample."""
ALTERNATIVES = 4
"""Drawn for each position."""
THRESHOLD = 1.0
"""Nats above which a position is a choice point."""
TOKENS_READ = 200_000
"""About so many are read with a token replaced; of longer samples, fewer positions are looked at."""
SEQUENCES_AT_ONCE = 64
SHOWN = 20
"""Positions with the largest consequences that are told."""
SEED = 0
CHOICE = "consequential choice"


@dataclass(frozen=True)
class Consequences:
    """D_t of N positions that were looked at, in the order of samples and places.

    Attributes:
        sample, place: where [N].
        nats, error: D_t and its standard error over the alternatives drawn [N].
        surprise: the model's loss at the token itself, -log q(x_t | x_<t), in nats [N].
    """

    sample: Integers
    place: Integers
    nats: Floats
    error: Floats
    surprise: Floats

    @property
    def found(self) -> Mask:
        """Which are choice points [N]."""
        above: Mask = self.nats > THRESHOLD
        return above


@torch.no_grad()
def consequences(network: Objective, batch: Batch, device: torch.device, seed: int) -> Consequences:
    """D_t at targets that carry loss and have another within the window after them, or at some of them, drawn by
    `seed`: no more than `TOKENS_READ` pay for."""
    sample, place = positions(batch.loss, np.random.default_rng(seed))
    tokens_BxT = torch.from_numpy(batch.tokens).to(device)
    carries_BxT = torch.from_numpy(batch.loss).to(device)
    log_q_BxPxV = torch.cat([log_next(network, part) for part in torch.split(tokens_BxT, SEQUENCES_AT_ONCE)])
    log_q_NxV = log_q_BxPxV[sample, place - 1]
    true_Nx1 = tokens_BxT[sample, place][:, None]
    surprise_N = -log_q_NxV.gather(1, true_Nx1)[:, 0].double().cpu()
    others_NxV = log_q_NxV.exp().scatter(1, true_Nx1, 0)
    others_NxV = others_NxV.where(others_NxV.sum(dim=1, keepdim=True) > 0, torch.ones_like(others_NxV))
    generator = torch.Generator().manual_seed(seed)
    drawn_NxK = torch.multinomial(others_NxV.cpu(), ALTERNATIVES, replacement=True, generator=generator).to(device)
    rise_NxK = torch.zeros(drawn_NxK.shape, dtype=torch.float64)
    by_place = np.argsort(place, kind="stable")  # sequences of one length together
    for rows in np.array_split(by_place, -(-len(by_place) * ALTERNATIVES // SEQUENCES_AT_ONCE)):
        end = int(place[rows].max()) + WINDOW + 1
        read_RxL, counted_RxL = tokens_BxT[sample[rows], :end], carries_BxT[sample[rows], :end]
        log_q_RxLxV = log_q_BxPxV[sample[rows], : end - 1]
        before_R = later_loss(log_q_RxLxV, read_RxL, counted_RxL, place[rows])
        replaced_MxL = read_RxL.repeat_interleave(ALTERNATIVES, dim=0)
        place_M = place[rows].repeat(ALTERNATIVES)
        replaced_MxL[np.arange(len(place_M)), place_M] = drawn_NxK[rows].flatten()
        counted_MxL = counted_RxL.repeat_interleave(ALTERNATIVES, dim=0)
        after_M = later_loss(log_next(network, replaced_MxL), replaced_MxL, counted_MxL, place_M)
        rise_NxK[rows] = after_M.view(-1, ALTERNATIVES) - before_R[:, None]
    weighted = (-torch.expm1(-surprise_N)[:, None] * rise_NxK).numpy()
    return Consequences(
        sample=sample,
        place=place,
        nats=weighted.mean(axis=1),
        error=weighted.std(axis=1, ddof=1) / np.sqrt(ALTERNATIVES),
        surprise=surprise_N.numpy(),
    )


def positions(loss: Mask, generator: np.random.Generator) -> tuple[Integers, Integers]:
    """Samples and places [N] that are looked at, from the loss mask [B, T]."""
    length = loss.shape[1]
    ahead = np.pad(loss[:, 1:], ((0, 0), (0, WINDOW)))
    later = np.lib.stride_tricks.sliding_window_view(ahead, WINDOW, axis=1)[:, :length].any(axis=2)
    sample, place = np.nonzero(loss & later & (np.arange(length) > 0))
    cost = ALTERNATIVES * np.minimum(place + WINDOW, length).sum()
    if cost > TOKENS_READ:
        kept = np.sort(generator.permutation(len(place))[: max(1, round(len(place) * TOKENS_READ / cost))])
        sample, place = sample[kept], place[kept]
    return sample, place


def log_next(network: Objective, tokens_BxL: Tensor) -> Tensor:
    """Log-probabilities of the next token [B, L - 1, V] by head 1."""
    read = tokens_BxL[:, :-1]
    return network.unembed(network.hidden(network.trunk(read), 1, read), 1).float().log_softmax(dim=-1)


def later_loss(log_q_RxPxV: Tensor, tokens_RxL: Tensor, counted_RxL: Tensor, place_R: NDArray[np.int64]) -> Tensor:
    """Loss in nats summed over the counted tokens 1 .. W after a place [R], float64 on the CPU."""
    loss_RxP = F.nll_loss(log_q_RxPxV.transpose(1, 2), tokens_RxL[:, 1:], reduction="none").double().cpu()
    since_RxP = torch.arange(1, tokens_RxL.shape[1]) - torch.from_numpy(place_R)[:, None]
    wanted = (since_RxP >= 1) & (since_RxP <= WINDOW) & counted_RxL[:, 1:].cpu()
    total_R: Tensor = loss_RxP.where(wanted, 0).sum(dim=1)
    return total_R


def unlabelled(run: StoredRun, batch: Batch, found: Findings) -> None:
    """The choice points among held-out samples, and the positions with the largest consequences.

    Raises:
        UserError: no token has another one behind it that is predicted.
    """
    task = run.parts.task
    what = consequences(run.parts.network, batch, run.parts.device, SEED)
    if not len(what.nats):
        raise UserError(
            f"run {run.folder.identity}: task {task.config.kind} has samples with one predicted token; choice-points "
            f"needs tokens that have another one within {WINDOW} after them"
        )
    share = proportion(what.found, np.ones_like(what.found), what.sample)
    found.add("found", "share of positions", share)
    found.measures |= {"choice_point_share": share[0], "mean_consequence": float(what.nats.mean())}
    found.lines.append(
        f"Without labels, {share[0]:.1%} of positions are choice points: to put there another token that the model "
        f"holds possible costs the next {WINDOW} more than {THRESHOLD:g} nat."
    )
    classes = {name: mask[what.sample, what.place] for name, mask in task.position_classes(batch).items()}
    for name, mask in classes.items():
        if mask.any():
            found.add("found", "mean consequence", over_samples(what.nats, mask, what.sample), **{"class": name})
            found.add("found", "share found", proportion(what.found, mask, what.sample), **{"class": name})
    half = stats.t.ppf(0.975, ALTERNATIVES - 1) * what.error
    for rank in np.argsort(-what.nats, kind="stable")[:SHOWN].tolist():
        sample, place, nats = int(what.sample[rank]), int(what.place[rank]), float(what.nats[rank])
        tokens = batch.tokens[sample]
        found.add(
            "position",
            "consequence",
            (nats, nats - float(half[rank]), nats + float(half[rank])),
            **{"class": next(name for name, mask in classes.items() if mask[rank])},
            sample=sample,
            position=place,
            token=task.text(tokens[place : place + 1]),
            before=task.text(tokens[max(0, place - WINDOW) : place]),
            after=task.text(tokens[place + 1 : place + 1 + WINDOW]),
            surprise=float(what.surprise[rank]),
        )
    if isinstance(task, Choice):
        detection(what, classes, found)


def detection(what: Consequences, classes: dict[str, Mask], found: Findings) -> None:
    """Precision and recall of what was found against the consequential choices, and what the false ones are."""
    truth = classes[CHOICE]
    if not truth.any():
        return
    found.measures["average_precision"] = average_precision(what.nats, truth)
    told = []
    for name, among in (("precision", what.found), ("recall", truth)):
        if among.any():
            estimate = proportion(truth & what.found, among, what.sample)
            found.measures[name] = estimate[0]
            found.add("found", name, estimate)
            told.append(f"{name} {estimate[0]:.1%} ({estimate[1]:.1%} to {estimate[2]:.1%})")
    false = {name: int((what.found & mask).sum()) for name, mask in classes.items() if name != CHOICE}
    for name, count in false.items():
        found.add("found", "number of false positives", count, **{"class": name})
    each = ", ".join(f"{count} {name}" for name, count in false.items() if count) or "none"
    found.lines.append(f"Against the consequential choices: {', '.join(told)}; false ones: {each}.")
