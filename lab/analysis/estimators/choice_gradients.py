"""Sources of the trunk's useful gradient: parts of the loss that add up, and the effect of a step along each.

g_p is the gradient of a part p of the weighted training loss with respect to the trunk (embedding and layers). A part
is the cross-entropy of one head at one kind of target, divided by the number of targets of the head, so all g_p add up
to the whole gradient of the trunk. Each is compared with the gradient g_1 of head 1's loss on other samples:

    norm      |g_p|, nats per unit of weight
    cosine    g_p . g_1 / (|g_p| |g_1|)
    useful    the decrease of head 1's loss on the other samples after a small step along -g_p, per unit of learning
              rate;
              g_p . g_1 to first order

`useful` is measured for a kind of target (the sum over heads) by taking the step e both ways, [L_1(w + e g) - L_1(w - e
g)] / 2e. A part with a negative value makes the next token worse: plain descent on it alone would raise head 1's loss.
All numbers come from `SPLITS` pairs of independent batches. Sampling noise in batches of that size raises norms and
pulls cosines towards zero. The products are unbiased.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from generators.foundation.randomness import Floats
from generators.task import Batch, Mask
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective

SPLITS = 8
"""Pairs of batches; intervals have 7 degrees of freedom."""
STEP = 1e-3
"""Length of the step along the whole gradient, as a share of the trunk's weights; all parts share its e."""

TargetKinds = Callable[[Batch, int], dict[str, Mask]]
"""Batch and lag -> masks of targets [B, T] by kind. Kinds are disjoint; their names are the same for all batches."""
KindAndLag = tuple[str, int]


@dataclass(frozen=True)
class GradientParts:
    """Gradients of the parts of the loss, an array [SPLITS] each.

    Attributes:
        norm, cosine, product: by kind of target and lag.
        norm_of_kind, cosine_of_kind, product_of_kind: by kind of target, over all heads.
        useful, downhill: by kind of target, over all heads, measured by the step both ways and by the step down alone.
    """

    norm: dict[KindAndLag, Floats]
    cosine: dict[KindAndLag, Floats]
    product: dict[KindAndLag, Floats]
    norm_of_kind: dict[str, Floats]
    cosine_of_kind: dict[str, Floats]
    product_of_kind: dict[str, Floats]
    useful: dict[str, Floats]
    downhill: dict[str, Floats]


@dataclass(frozen=True)
class PairGradients:
    """The quantities of `GradientParts`, measured on one pair of batches."""

    norm: dict[KindAndLag, float] = field(default_factory=dict)
    cosine: dict[KindAndLag, float] = field(default_factory=dict)
    product: dict[KindAndLag, float] = field(default_factory=dict)
    norm_of_kind: dict[str, float] = field(default_factory=dict)
    cosine_of_kind: dict[str, float] = field(default_factory=dict)
    product_of_kind: dict[str, float] = field(default_factory=dict)
    useful: dict[str, float] = field(default_factory=dict)
    downhill: dict[str, float] = field(default_factory=dict)


def token_losses(network: Objective, batch: TensorBatch, latent: Tensor, lag: int) -> Tensor:
    """Returns the cross-entropy in nats of the tokens lag .. T-1 by the head with this lag [B, T - lag]."""
    hidden = network.hidden(latent, lag, batch.inputs_BxP)
    logits = network.unembed(hidden.flatten(0, 1), lag).float()
    loss = F.cross_entropy(logits, batch.tokens_BxT[:, lag:].reshape(-1), reduction="none")
    return loss.view(len(batch.tokens_BxT), -1)


def measure_gradients(
    network: Objective,
    pairs: Sequence[tuple[Batch, Batch]],
    kinds: TargetKinds,
    weights: Mapping[int, float],
    device: torch.device,
) -> GradientParts:
    """Measures the gradient of every kind and lag on the first batch of each pair, against head 1 on the second.

    Args:
        weights: lag -> the weight of its loss in the training loss.
    """
    measured = [measure_pair(network, batch, held_out, kinds, weights, device) for batch, held_out in pairs]

    def gather(name: str) -> dict[object, Floats]:
        keys = dict.fromkeys(key for pair in measured for key in getattr(pair, name))
        return {key: np.array([getattr(pair, name).get(key, 0.0) for pair in measured]) for key in keys}

    return GradientParts(**{part.name: gather(part.name) for part in fields(GradientParts)})  # type: ignore[arg-type]


def measure_pair(
    network: Objective,
    batch: Batch,
    held_out: Batch,
    kinds: TargetKinds,
    weights: Mapping[int, float],
    device: torch.device,
) -> PairGradients:
    """Measures the gradient of every kind and lag on one batch, against head 1 on another."""
    trunk = list(network.trunk.parameters())
    tensors, held_out_tensors = (
        TensorBatch.from_batch(samples, device, np.arange(len(samples))) for samples in (batch, held_out)
    )

    def flat_gradient(loss: Tensor) -> Tensor:
        parts = torch.autograd.grad(loss, trunk, retain_graph=True, allow_unused=True, materialize_grads=True)
        return torch.cat([part.flatten() for part in parts])

    def head_1_loss() -> Tensor:
        losses = token_losses(network, held_out_tensors, network.trunk(held_out_tensors.inputs_BxP), 1)
        return losses[torch.from_numpy(held_out.loss[:, 1:]).to(device)].double().mean()

    g_1 = flat_gradient(head_1_loss())
    latent = network.trunk(tensors.inputs_BxP)
    result = PairGradients()
    sums: dict[str, Tensor] = {}
    for lag, weight in weights.items():
        losses = token_losses(network, tensors, latent, lag)
        count = max(1, int(batch.loss[:, lag:].sum()))
        for kind, mask in kinds(batch, lag).items():
            where = mask[:, lag:] & batch.loss[:, lag:]
            if not where.any():
                continue
            g = flat_gradient(weight / count * losses[torch.from_numpy(where).to(device)].sum())
            result.norm[kind, lag] = float(g.norm())
            result.cosine[kind, lag] = cosine(g, g_1)
            result.product[kind, lag] = float(g @ g_1)
            sums[kind] = sums[kind] + g if kind in sums else g
    del latent, losses
    size = float(torch.cat([weight.detach().flatten() for weight in trunk]).norm())
    e = STEP * size / max(float(sum(sums.values(), torch.zeros_like(g_1)).norm()), 1e-12)
    with torch.no_grad():
        here = float(head_1_loss())
        for kind, g in sums.items():
            up, down = (float(loss_after_step(trunk, sign * e * g, head_1_loss)) for sign in (1, -1))
            result.norm_of_kind[kind] = float(g.norm())
            result.cosine_of_kind[kind] = cosine(g, g_1)
            result.product_of_kind[kind] = float(g @ g_1)
            result.useful[kind] = (up - down) / (2 * e)
            result.downhill[kind] = (here - down) / e
    return result


def loss_after_step(trunk: list[torch.nn.Parameter], step: Tensor, loss: Callable[[], Tensor]) -> Tensor:
    """Returns the loss after a step and restores the weights bit for bit."""
    before = [weight.clone() for weight in trunk]
    for weight, part in zip(trunk, torch.split(step, [weight.numel() for weight in trunk]), strict=True):
        weight.add_(part.view_as(weight))
    value = loss()
    for weight, old in zip(trunk, before, strict=True):
        weight.copy_(old)
    return value


def cosine(a: Tensor, b: Tensor) -> float:
    """Returns the cosine of two vectors [N], 0 if one of them is zero."""
    return float(F.cosine_similarity(a, b, dim=0))
