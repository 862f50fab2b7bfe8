"""Where the useful gradient of the trunk comes from: parts of a loss that add up, and what a step along each gives.

g_p is the gradient of a part p of the weighted loss that is descended, with respect to the trunk (embedding and
layers): the cross-entropy of one head at one kind of target, divided by the number of targets the head has. All g_p
add up to the trunk's whole gradient. Of each, against the gradient g_1 of head 1's loss on other samples:

    norm      |g_p|, nats per unit of weight
    cosine    g_p . g_1 / (|g_p| |g_1|)
    useful    how much a small step along -g_p lowers head 1's loss on the other samples, per unit of learning rate:
              g_p . g_1 to first order

Useful is measured for a kind of target (the sum over heads) by taking the step e both ways, [L_1(w + e g) -
L_1(w - e g)] / 2e. A part of which it is negative makes the next token worse: alone, plain descent on it would raise
head 1's loss. Everything comes from `SPLITS` pairs of independent batches. Norms and cosines are of the gradients of
batches that size, sampling noise included: it raises norms and draws cosines towards zero. The products are unbiased.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from generators.material.entropy import Floats
from generators.task import Batch, Mask
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective

SPLITS = 8
"""Pairs of batches: intervals have 7 degrees of freedom."""
STEP = 1e-3
"""Length of the step along the whole gradient, as a share of the trunk's weights'; every part has the same e."""

Kinds = Callable[[Batch, int], dict[str, Mask]]
"""Batch and lag -> kinds of targets [B, T] by name, each of one kind at most; the same names for every batch."""
Pair = tuple[str, int]
"""A kind of target and a lag."""


@dataclass(frozen=True)
class Gradients:
    """What `SPLITS` pairs of batches gave, an array [SPLITS] each.

    Attributes:
        norm, cosine, product: of each kind of target for each lag.
        norm_of_kind, cosine_of_kind, product_of_kind: of each kind, all heads together.
        useful, downhill: of each kind, all heads together: measured by the step both ways, and by the step down alone.
    """

    norm: dict[Pair, Floats]
    cosine: dict[Pair, Floats]
    product: dict[Pair, Floats]
    norm_of_kind: dict[str, Floats]
    cosine_of_kind: dict[str, Floats]
    product_of_kind: dict[str, Floats]
    useful: dict[str, Floats]
    downhill: dict[str, Floats]


def token_losses(network: Objective, batch: TensorBatch, latent: Tensor, lag: int) -> Tensor:
    """Cross-entropy in nats of the tokens lag .. T-1 by the head that looks `lag` ahead [B, T - lag]."""
    hidden = network.hidden(latent, lag, batch.inputs_BxP)
    logits = network.unembed(hidden.flatten(0, 1), lag).float()
    loss = F.cross_entropy(logits, batch.tokens_BxT[:, lag:].reshape(-1), reduction="none")
    return loss.view(len(batch.tokens_BxT), -1)


def measure(
    network: Objective,
    pairs: list[tuple[Batch, Batch]],
    kinds: Kinds,
    weights: dict[int, float],
    device: torch.device,
) -> Gradients:
    """Gradients of every kind and lag on the first batch of each pair, against head 1 on the second.

    Args:
        weights: of each lag's loss in what is descended.
    """
    found = [_measure_pair(network, mine, other, kinds, weights, device) for mine, other in pairs]

    def gather(name: str) -> dict[Pair, Floats]:
        keys = dict.fromkeys(key for each in found for key in each[name])
        return {key: np.array([each[name].get(key, 0.0) for each in found]) for key in keys}

    def gather_kind(name: str) -> dict[str, Floats]:
        return {kind: values for (kind, _), values in gather(name).items()}

    return Gradients(
        gather("norm"),
        gather("cosine"),
        gather("product"),
        *map(gather_kind, ("norm_of_kind", "cosine_of_kind", "product_of_kind", "useful", "downhill")),
    )


def _measure_pair(
    network: Objective, mine: Batch, other: Batch, kinds: Kinds, weights: dict[int, float], device: torch.device
) -> dict[str, dict[Pair, float]]:
    trunk = list(network.trunk.parameters())
    batch, held_out = (TensorBatch.from_batch(each, device, np.arange(len(each))) for each in (mine, other))

    def flat(loss: Tensor) -> Tensor:
        parts = torch.autograd.grad(loss, trunk, retain_graph=True, allow_unused=True, materialize_grads=True)
        return torch.cat([part.flatten() for part in parts])

    def head_1() -> Tensor:
        losses = token_losses(network, held_out, network.trunk(held_out.inputs_BxP), 1)
        return losses[torch.from_numpy(other.loss[:, 1:]).to(device)].double().mean()

    g_1 = flat(head_1())
    latent = network.trunk(batch.inputs_BxP)
    result: dict[str, dict[Pair, float]] = {
        name: {}
        for name in (
            "norm",
            "cosine",
            "product",
            "norm_of_kind",
            "cosine_of_kind",
            "product_of_kind",
            "useful",
            "downhill",
        )
    }
    whole: dict[str, Tensor] = {}
    for lag, weight in weights.items():
        losses = token_losses(network, batch, latent, lag)
        count = max(1, int(mine.loss[:, lag:].sum()))
        for kind, mask in kinds(mine, lag).items():
            where = mask[:, lag:] & mine.loss[:, lag:]
            if not where.any():
                continue
            g = flat(weight / count * losses[torch.from_numpy(where).to(device)].sum())
            result["norm"][kind, lag] = float(g.norm())
            result["cosine"][kind, lag] = cosine(g, g_1)
            result["product"][kind, lag] = float(g @ g_1)
            whole[kind] = whole[kind] + g if kind in whole else g
    del latent, losses
    size = float(torch.cat([weight.detach().flatten() for weight in trunk]).norm())
    e = STEP * size / max(float(sum(whole.values(), torch.zeros_like(g_1)).norm()), 1e-12)
    with torch.no_grad():
        here = float(head_1())
        for kind, g in whole.items():
            up, down = (float(_moved(trunk, sign * e * g, head_1)) for sign in (1, -1))
            result["norm_of_kind"][kind, 0] = float(g.norm())
            result["cosine_of_kind"][kind, 0] = cosine(g, g_1)
            result["product_of_kind"][kind, 0] = float(g @ g_1)
            result["useful"][kind, 0] = (up - down) / (2 * e)
            result["downhill"][kind, 0] = (here - down) / e
    return result


def _moved(trunk: list[torch.nn.Parameter], step: Tensor, loss: Callable[[], Tensor]) -> Tensor:
    """The loss a step further; the weights are put back bit for bit."""
    before = [weight.clone() for weight in trunk]
    for weight, part in zip(trunk, torch.split(step, [weight.numel() for weight in trunk]), strict=True):
        weight.add_(part.view_as(weight))
    value = loss()
    for weight, old in zip(trunk, before, strict=True):
        weight.copy_(old)
    return value


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of two vectors [N], 0 where one is zero."""
    return float(F.cosine_similarity(a, b, dim=0))
