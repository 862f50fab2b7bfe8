"""The losses of objectives on a next-token model, written out target by target from their definitions."""

import torch
from torch import Tensor

from lab.model.batches import TensorBatch
from lab.objectives.belief_state import BeliefState, draw_pairs
from lab.objectives.future_summary import FutureSummary
from lab.objectives.joint import Joint
from lab.objectives.next_latent import NextLatent
from lab.objectives.objective import NextTokenModel
from lab.objectives.teacherless import ReplacedInputs
from tests.lab.objectives.tiny_networks import cross_entropy, mean, trunk_of

Naive = tuple[dict[str, Tensor], Tensor]
"""The mean of each term by name, and their weighted sum."""


def next_token_losses(network: NextTokenModel, h: Tensor, sample: Tensor, carries: Tensor) -> list[Tensor]:
    return [cross_entropy(network.lm_head.weight @ h[t], sample[t + 1]) for t in range(9) if carries[t + 1]]


def naive_next_latent(network: NextLatent, batch: TensorBatch) -> Naive:
    """The rollout from each position on its own; distances end with a sample, divergences have the mask of targets."""
    config, U = network.config, network.lm_head.weight.detach()
    norm, first, _, second, _, third = network.dynamics
    next_token: list[Tensor] = []
    distances: list[list[Tensor]] = [[] for _ in range(config.horizon)]
    divergences: list[list[Tensor]] = [[] for _ in range(config.horizon)]
    for tokens, carries in zip(batch.tokens_BxT, torch.from_numpy(batch.loss), strict=True):
        h = network.norm(trunk_of(network, tokens[:-1]))
        next_token += next_token_losses(network, h, tokens, carries)
        end = int(carries.nonzero().max()) if carries.any() else 0
        for t in range(9):
            z = h[t]
            for i in range(1, min(config.horizon, 8 - t) + 1):
                x = torch.cat([z, network.trunk.embed_tokens.weight[tokens[t + i]]])
                x = norm.weight * (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt() + norm.bias
                for layer in (first, second):
                    x = layer.weight @ x + layer.bias
                    x = x * (1 + torch.erf(x / 2**0.5)) / 2
                z = z + third.weight @ x + third.bias
                true = h[t + i].detach()
                off = (z - true).abs()
                if t + i < end:
                    distances[i - 1].append(torch.where(off < 1, off**2 / 2, off - 0.5).mean())
                if carries[t + i + 1]:
                    log_p, log_q = (U @ true).log_softmax(0), (U @ z).log_softmax(0)
                    divergences[i - 1].append((log_p.exp() * (log_p - log_q)).sum())
    means = {"loss_1": mean(next_token)}
    total = means["loss_1"]
    for i in range(config.horizon):
        a, b = mean(distances[i]), mean(divergences[i])
        means |= {f"latent_{i + 1}": a, f"kl_{i + 1}": b}
        total = total + (config.latent_weight * a + config.kl_weight * b) / config.horizon
    return means, total


def naive_summary(network: FutureSummary, batch: TensorBatch) -> Naive:
    """The bag of each target is a Python set."""
    next_token: list[Tensor] = []
    summaries: list[Tensor] = []
    for tokens, carries in zip(batch.tokens_BxT, torch.from_numpy(batch.loss), strict=True):
        h = network.norm(trunk_of(network, tokens[:-1]))
        next_token += next_token_losses(network, h, tokens, carries)
        for t in range(9):
            if carries[t + 1]:
                places = range(t + 2, min(t + network.config.window, 9) + 1)
                bag = {int(tokens[place]) for place in places if carries[place]}
                share = torch.sigmoid(network.summary_head.weight @ h[t])
                summaries.append(mean([-(share[v] if v in bag else 1 - share[v]).log() for v in range(7)]))
    means = {"loss_1": mean(next_token), "loss_summary": mean(summaries)}
    return means, means["loss_1"] + network.config.weight * means["loss_summary"]


def naive_joint(network: Joint, batch: TensorBatch) -> Naive:
    """Attends from o_i to u_0 .. u_i head by head; a rotation by the place in the window is a complex number."""
    config, attention = network.config, network.window_attention
    losses: dict[int, list[Tensor]] = {lag: [] for lag in range(1, config.n + 1)}
    for tokens, carries in zip(batch.tokens_BxT, torch.from_numpy(batch.loss), strict=True):
        h = network.norm(trunk_of(network, tokens[:-1]))
        losses[1] += next_token_losses(network, h, tokens, carries)
        for t in range(9):
            u = [config.latent_scale * h[t] + e for e in network.trunk.embed_tokens(tokens[t:])]
            for i in range(1, min(config.n - 1, 8 - t) + 1):
                if carries[t + i + 1]:
                    o = h[t] + attention.o_proj.weight @ attended_by_hand(attention, u[: i + 1])
                    losses[i + 1].append(cross_entropy(network.lm_head.weight @ o, tokens[t + i + 1]))
    means = {f"loss_{lag}": mean(values) for lag, values in losses.items()}
    return means, torch.stack(list(means.values())).sum()


def attended_by_hand(attention: torch.nn.Module, u: list[Tensor]) -> Tensor:
    """Returns the values that the last input attends to, by two heads of width 4."""

    def rotated(x_D: Tensor, j: int) -> Tensor:
        angles = j * 10000.0 ** (-torch.arange(0, 4, 2) / 4)
        rotations = torch.complex(angles.cos().to(x_D.dtype), angles.sin().to(x_D.dtype))  # rounded to single precision
        pairs_Ax2 = torch.complex(*x_D.view(2, 2, 2).unbind(1)) * rotations
        return torch.cat((pairs_Ax2.real, pairs_Ax2.imag), 1)

    q = rotated(attention.q_proj.weight @ u[-1], len(u) - 1)
    keys = torch.stack([rotated(attention.k_proj.weight @ x, j) for j, x in enumerate(u)])
    values = torch.stack([(attention.v_proj.weight @ x).view(2, 4) for x in u])
    share_JxA = ((keys * q).sum(2) / 2).softmax(0)
    return (share_JxA[..., None] * values).sum(0).flatten()


def naive_replaced(network: ReplacedInputs, batch: TensorBatch) -> Naive:
    """Embeds the row with dummies input by input; which inputs are drawn is tested elsewhere."""
    losses: dict[str, list[Tensor]] = {"loss_1": [], network.term: []}
    answer = batch.loss[:, :-1].copy()
    answer[:, 0] = False
    chosen = network.choose(answer, batch.indices)
    for tokens, carries, dummies in zip(batch.tokens_BxT, torch.from_numpy(batch.loss), chosen, strict=True):
        h = network.norm(trunk_of(network, tokens[:-1]))
        losses["loss_1"] += next_token_losses(network, h, tokens, carries)
        embedding = network.trunk.embed_tokens.weight
        x = torch.stack([network.dummy_embedding.weight[0] if dummies[t] else embedding[tokens[t]] for t in range(9)])[
            None
        ]
        for layer in network.trunk.layers:
            x = layer(x, network.trunk.rotary(9))
        losses[network.term] += next_token_losses(network, network.norm(x[0]), tokens, carries)
    means = {name: mean(values) for name, values in losses.items()}
    return means, means["loss_1"] + network.config.weight * means[network.term]


def naive_belief_state(network: BeliefState, batch: TensorBatch) -> Naive:
    """Reads the suffix of each pair by itself; which pairs are drawn is tested elsewhere."""
    losses: dict[str, list[Tensor]] = {"loss_1": [], "pair_next": [], "pair_previous": []}
    sample_N, first_N, last_N, _ = draw_pairs(batch.loss, batch.indices, network.config.pairs)
    first, _, second = network.pair_network
    for sample, (tokens, carries) in enumerate(zip(batch.tokens_BxT, torch.from_numpy(batch.loss), strict=True)):
        h = network.norm(trunk_of(network, tokens[:-1]))
        losses["loss_1"] += next_token_losses(network, h, tokens, carries)
        end = int(carries.nonzero().max()) if carries.any() else 0
        for u, v in zip(first_N[sample_N == sample], last_N[sample_N == sample], strict=True):
            suffix = tokens[v + 1 : end + 1].flip(0)
            x = torch.cat((network.end_embedding.weight, network.trunk.embed_tokens(suffix)))[None]
            for layer in network.backward_layers:
                x = layer(x, network.trunk.rotary(len(suffix) + 1))
            x = first.weight @ torch.cat((h[u - 1], network.backward_norm(x[0, -1]))) + first.bias
            x = second.weight @ (x * (1 + torch.erf(x / 2**0.5)) / 2) + second.bias
            losses["pair_next"].append(cross_entropy(network.lm_head.weight @ x[:8], tokens[u]))
            losses["pair_previous"].append(cross_entropy(network.lm_head.weight @ x[8:], tokens[v]))
    means = {name: mean(values) for name, values in losses.items()}
    both = (means["pair_next"] + means["pair_previous"]) / 2
    return means, means["loss_1"] + network.config.weight * both
