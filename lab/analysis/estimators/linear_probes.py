"""Linear probes: softmax regressions on a latent, given a context.

    P(y | z, c) = softmax(table[c] + weight (z - E[z | c]))

The context c has its own row of the table. It is either the current token, so that the probe shows what the latent adds
to it (conditional probing, Hewitt et al. 2021, arXiv 2109.09234), or the same for all positions, so that the table is
the bias of a plain probe. Subtracting E[z | c] does not change the family of models and makes the two parts orthogonal;
a latent that is a function of c then has no effect. The difference z - E[z | c] is whitened, so that a probe depends
neither on the basis nor on the scale of a latent, and converges fast.

A fit minimises mean cross-entropy + ridge/2 (|table - table_0|^2 + |weight|^2), which is convex, by L-BFGS until
convergence. table_0 are smoothed frequencies, so an infinite ridge leaves the frequencies of the context and no latent.
Smoothing and ridge (one of `RIDGES`, or infinite) are those that score best on a quarter of the samples after short
fits to the others; each fit starts where the last one ended. The probe is then fitted to all samples. Neither choice
sees the samples that the probe is scored on.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.run.step import update_parameters

RIDGES = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
"""Tried from the strongest on, until one does not improve. The last weighs as much as one observation in 10,000."""
ITERATIONS = 150
CHOOSING_ITERATIONS = 20
TOLERANCE = 1e-6
"""The fall of the loss, in nats, below which iterations stop."""
SMOOTHINGS = (1.0, 3.0, 10.0, 30.0)
"""Observations of the overall frequencies that are added to each context."""
FLOOR = 1e-6
"""Directions of the latent with a smaller share of the largest variance are rounding errors and are dropped."""
CHOOSING = 4
"""One in this many samples chooses smoothing and ridge."""


@dataclass(frozen=True)
class ProbeData:
    """N positions: their samples, their latents, their contexts (of C) and the classes to predict (of V)."""

    sample_N: Tensor
    latent_NxD: Tensor
    context_N: Tensor
    class_N: Tensor

    def where(self, mask_N: Tensor) -> "ProbeData":
        """Selects positions."""
        return ProbeData(self.sample_N[mask_N], self.latent_NxD[mask_N], self.context_N[mask_N], self.class_N[mask_N])


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe; whitening leaves K directions of the latent."""

    mean_CxD: Tensor
    whiten_DxK: Tensor
    table_CxV: Tensor
    weight_KxV: Tensor

    def features(self, data: ProbeData) -> Tensor:
        """Returns the factors of `weight_KxV` [N, K]: latents minus the mean of their context, whitened."""
        return (data.latent_NxD - self.mean_CxD[data.context_N]) @ self.whiten_DxK

    @torch.no_grad()
    def scores(self, data: ProbeData) -> tuple[Tensor, Tensor]:
        """Returns the cross-entropy in nats, and whether the likeliest class is right, at each position [N], [N]."""
        logits_NxV = self.table_CxV[data.context_N] + self.features(data) @ self.weight_KxV
        nats_N = F.cross_entropy(logits_NxV, data.class_N, reduction="none")
        return nats_N.double(), (logits_NxV.argmax(dim=1) == data.class_N).double()

    def nats(self, data: ProbeData) -> float:
        """Returns the mean cross-entropy."""
        return float(self.scores(data)[0].mean())


def fit_probe(data: ProbeData, contexts: int, classes: int) -> LinearProbe:
    """Fits a probe whose smoothing and ridge are chosen on samples held out of the first fits."""
    chooses_N = data.sample_N % CHOOSING == 0
    fitting, choosing = data.where(~chooses_N), data.where(chooses_N)
    mean_CxD, whiten_DxK = whitening(data, contexts)
    no_weight_KxV = torch.zeros(whiten_DxK.shape[1], classes, device=data.latent_NxD.device)
    tables = {smoothing: log_frequencies(fitting, contexts, classes, smoothing) for smoothing in SMOOTHINGS}
    bare = {s: LinearProbe(mean_CxD, whiten_DxK, table_CxV, no_weight_KxV) for s, table_CxV in tables.items()}
    smoothing = min(SMOOTHINGS, key=lambda s: bare[s].nats(choosing))
    probe = best = bare[smoothing]
    lowest, best_ridge = best.nats(choosing), None
    for ridge in RIDGES:
        probe = minimise(probe, tables[smoothing], fitting, ridge, CHOOSING_ITERATIONS)
        if (nats := probe.nats(choosing)) >= lowest:
            break
        lowest, best_ridge, best = nats, ridge, probe
    table_CxV = log_frequencies(data, contexts, classes, smoothing)
    start = replace(best, table_CxV=best.table_CxV - tables[smoothing] + table_CxV)
    return start if best_ridge is None else minimise(start, table_CxV, data, best_ridge, ITERATIONS)


def whitening(data: ProbeData, contexts: int) -> tuple[Tensor, Tensor]:
    """Returns E[z | c] [C, D] (the overall mean for a context without positions) and a matrix that whitens z - E[z | c]
    [D, K].
    """
    z_NxD = data.latent_NxD.double()
    overall_D = z_NxD.mean(dim=0)
    count_C = torch.bincount(data.context_N, minlength=contexts)
    total_CxD = torch.zeros(contexts, z_NxD.shape[1], dtype=z_NxD.dtype, device=z_NxD.device)
    total_CxD.index_add_(0, data.context_N, z_NxD)
    mean_CxD = (total_CxD / count_C.clamp(min=1)[:, None]).where(count_C[:, None] > 0, overall_D)
    rest_NxD = z_NxD - mean_CxD[data.context_N]
    variance_D, direction_DxD = torch.linalg.eigh(rest_NxD.T @ rest_NxD / len(z_NxD))
    widest = torch.linalg.eigvalsh((z_NxD - overall_D).T @ (z_NxD - overall_D) / len(z_NxD))[-1]
    kept = variance_D > FLOOR * widest
    return mean_CxD.float(), (direction_DxD[:, kept] / variance_D[kept].sqrt()).float()


def log_frequencies(data: ProbeData, contexts: int, classes: int, smoothing: float) -> Tensor:
    """Returns the logarithms of the smoothed frequencies of the classes in each context [C, V]."""
    pairs_N = data.context_N * classes + data.class_N
    count_CxV = torch.bincount(pairs_N, minlength=contexts * classes).view(contexts, classes).double()
    share_V = (count_CxV.sum(dim=0) + 1 / classes) / (count_CxV.sum() + 1)
    smoothed_CxV = count_CxV + smoothing * share_V
    return (smoothed_CxV / smoothed_CxV.sum(dim=1, keepdim=True)).log().float()


def minimise(start: LinearProbe, table_0_CxV: Tensor, data: ProbeData, ridge: float, iterations: int) -> LinearProbe:
    """Minimises the penalised cross-entropy from `start` on."""
    features_NxK = start.features(data)
    change_CxV = (start.table_CxV - table_0_CxV).requires_grad_()
    weight_KxV = start.weight_KxV.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [change_CxV, weight_KxV],
        max_iter=iterations,
        tolerance_grad=0.0,
        tolerance_change=TOLERANCE,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits_NxV = F.embedding(data.context_N, table_0_CxV + change_CxV) + features_NxK @ weight_KxV
        loss = F.cross_entropy(logits_NxV, data.class_N)
        loss = loss + ridge / 2 * (change_CxV.square().sum() + weight_KxV.square().sum())
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    update_parameters(optimiser, closure)
    return replace(start, table_CxV=table_0_CxV + change_CxV.detach(), weight_KxV=weight_KxV.detach())
