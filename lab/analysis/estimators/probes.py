"""Linear probes: softmax regressions on a latent, given what else is known, and the error of what they score.

    P(y | z, c) = softmax(table[c] + weight (z - E[z | c]))

c is a context with a table row of its own: the current token, so that what the latent adds to it can be read off
(conditional probing, Hewitt et al. 2021, arXiv 2109.09234), or nothing, one context for all, so that the table is the
bias of a plain probe. Subtracting E[z | c] changes no model of the family and makes the two parts orthogonal; a latent
that is a function of c is nothing then. The rest is whitened, so that a probe depends neither on the basis nor on the
scale of a latent, and fits fast.

Fitted is mean cross-entropy + ridge/2 (|table - table_0|^2 + |weight|^2), convex, by L-BFGS to convergence. table_0 are
smoothed frequencies, so an infinite ridge is the context's own frequencies and no latent at all. Smoothing and ridge,
of `RIDGES` or infinite, are the best on a quarter of the samples, by short fits to the others, each from where the last
ended; the probe is then fitted to all of them. Both are blind to what it is scored on.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.run.step import update_parameters

RIDGES = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
"""From the strongest on, until one is no better. The last weighs as much as one observation in 10,000."""
ITERATIONS = 150
CHOOSING_ITERATIONS = 20
TOLERANCE = 1e-6
"""Nats that an iteration has to gain."""
SMOOTHINGS = (1.0, 3.0, 10.0, 30.0)
"""Observations of the frequencies of all that are added to those of each context."""
FLOOR = 1e-6
"""Of the variance along the latent's widest direction: what is narrower is rounding."""
CHOOSING = 4
"""One sample in so many chooses the ridge."""
NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Given:
    """N positions: their samples, their latents, their contexts, of C, and the classes to predict, of V."""

    sample_N: Tensor
    latent_NxD: Tensor
    context_N: Tensor
    class_N: Tensor

    def where(self, mask_N: Tensor) -> "Given":
        """Some of the positions."""
        return Given(self.sample_N[mask_N], self.latent_NxD[mask_N], self.context_N[mask_N], self.class_N[mask_N])


@dataclass(frozen=True)
class Probe:
    """A fitted probe; K directions of the latent are left by whitening."""

    mean_CxD: Tensor
    whiten_DxK: Tensor
    table_CxV: Tensor
    weight_KxV: Tensor

    def features(self, given: Given) -> Tensor:
        """What the weight reads [N, K]: of unit variance, and nothing that the context tells linearly."""
        return (given.latent_NxD - self.mean_CxD[given.context_N]) @ self.whiten_DxK

    @torch.no_grad()
    def scores(self, given: Given) -> tuple[Tensor, Tensor]:
        """Cross-entropy in nats, and whether the likeliest class is right, at each position [N], [N]."""
        logits_NxV = self.table_CxV[given.context_N] + self.features(given) @ self.weight_KxV
        nats_N = F.cross_entropy(logits_NxV, given.class_N, reduction="none")
        return nats_N.double(), (logits_NxV.argmax(dim=1) == given.class_N).double()

    def nats(self, given: Given) -> float:
        """Mean cross-entropy."""
        return float(self.scores(given)[0].mean())


def fit(given: Given, contexts: int, classes: int) -> Probe:
    """The probe of these positions, its ridge chosen by samples it is not fitted to."""
    chooses_N = given.sample_N % CHOOSING == 0
    most, rest = given.where(~chooses_N), given.where(chooses_N)
    mean_CxD, whiten_DxK = whitening(given, contexts)
    nothing_KxV = torch.zeros(whiten_DxK.shape[1], classes, device=given.latent_NxD.device)
    tables = {smoothing: frequencies(most, contexts, classes, smoothing) for smoothing in SMOOTHINGS}
    bare = {each: Probe(mean_CxD, whiten_DxK, table_CxV, nothing_KxV) for each, table_CxV in tables.items()}
    smoothing = min(SMOOTHINGS, key=lambda each: bare[each].nats(rest))
    probe = best = bare[smoothing]
    lowest, chosen = best.nats(rest), None
    for ridge in RIDGES:
        probe = minimised(probe, tables[smoothing], most, ridge, CHOOSING_ITERATIONS)
        if (nats := probe.nats(rest)) >= lowest:
            break
        lowest, chosen, best = nats, ridge, probe
    table_CxV = frequencies(given, contexts, classes, smoothing)
    start = replace(best, table_CxV=best.table_CxV - tables[smoothing] + table_CxV)
    return start if chosen is None else minimised(start, table_CxV, given, chosen, ITERATIONS)


def whitening(given: Given, contexts: int) -> tuple[Tensor, Tensor]:
    """E[z | c] [C, D], the mean of all for a context that never comes, and what whitens the rest [D, K]."""
    z_NxD = given.latent_NxD.double()
    overall_D = z_NxD.mean(dim=0)
    count_C = torch.bincount(given.context_N, minlength=contexts)
    total_CxD = torch.zeros(contexts, z_NxD.shape[1], dtype=z_NxD.dtype, device=z_NxD.device)
    total_CxD.index_add_(0, given.context_N, z_NxD)
    mean_CxD = (total_CxD / count_C.clamp(min=1)[:, None]).where(count_C[:, None] > 0, overall_D)
    rest_NxD = z_NxD - mean_CxD[given.context_N]
    variance_D, direction_DxD = torch.linalg.eigh(rest_NxD.T @ rest_NxD / len(z_NxD))
    widest = torch.linalg.eigvalsh((z_NxD - overall_D).T @ (z_NxD - overall_D) / len(z_NxD))[-1]
    kept = variance_D > FLOOR * widest
    return mean_CxD.float(), (direction_DxD[:, kept] / variance_D[kept].sqrt()).float()


def frequencies(given: Given, contexts: int, classes: int, smoothing: float) -> Tensor:
    """Logarithms of smoothed frequencies of the classes in each context [C, V]."""
    pairs_N = given.context_N * classes + given.class_N
    count_CxV = torch.bincount(pairs_N, minlength=contexts * classes).view(contexts, classes).double()
    share_V = (count_CxV.sum(dim=0) + 1 / classes) / (count_CxV.sum() + 1)
    smoothed_CxV = count_CxV + smoothing * share_V
    return (smoothed_CxV / smoothed_CxV.sum(dim=1, keepdim=True)).log().float()


def minimised(start: Probe, anchor_CxV: Tensor, given: Given, ridge: float, iterations: int) -> Probe:
    """The minimum of the penalised cross-entropy, table_0 being `anchor_CxV`, sought from `start`."""
    features_NxK = start.features(given)
    change_CxV = (start.table_CxV - anchor_CxV).requires_grad_()
    weight_KxV = start.weight_KxV.clone().requires_grad_()
    search = torch.optim.LBFGS(
        [change_CxV, weight_KxV],
        max_iter=iterations,
        tolerance_grad=0.0,
        tolerance_change=TOLERANCE,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        search.zero_grad()
        logits_NxV = F.embedding(given.context_N, anchor_CxV + change_CxV) + features_NxK @ weight_KxV
        loss = F.cross_entropy(logits_NxV, given.class_N)
        loss = loss + ridge / 2 * (change_CxV.square().sum() + weight_KxV.square().sum())
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    update_parameters(search, closure)
    return replace(start, table_CxV=anchor_CxV + change_CxV.detach(), weight_KxV=weight_KxV.detach())


@dataclass(frozen=True)
class Estimate:
    """A mean over positions, and its 95% interval."""

    value: float
    low: float
    high: float


def clustered(values_N: Tensor, sample_N: Tensor) -> Estimate:
    """The mean of N positions and its 95% interval over samples: the normal approximation of a ratio of two means over
    samples, the total of a sample and its positions, which need not be independent."""
    count_S = torch.bincount(sample_N).double()
    total_S = torch.bincount(sample_N, weights=values_N.double())
    there = count_S > 0
    count_S, total_S = count_S[there], total_S[there]
    samples, mean = len(count_S), float(total_S.sum() / count_S.sum())
    spread = float((total_S - mean * count_S).square().sum().sqrt() / count_S.sum())
    half = NORMAL_95 * spread * (samples / max(1, samples - 1)) ** 0.5
    return Estimate(mean, mean - half, mean + half)
