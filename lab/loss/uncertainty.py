"""Leaves out targets of a loss if the text is uncertain between a position and its target.

A boundary is a target whose next-token prediction, by the network in training, has an entropy above a limit.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.loss.graph import rows_at_once
from lab.model.batches import Targets, TensorBatch

LEFT_OUT = -100
"""The token to which torch's cross-entropies give neither a loss nor a gradient."""


def limit_in_training(batch: TensorBatch, entropy_at_most: float | None) -> float | None:
    """Returns the limit at the step of a batch, None in evaluation; compiled code must not read the step itself."""
    return batch.once(("entropy limit", entropy_at_most), lambda: None if batch.step is None else entropy_at_most)


@torch.no_grad()
def count_boundaries(
    hidden: Callable[[Tensor, int, Tensor], Tensor],
    unembedding_VxD: Tensor,
    latent_BxSxD: Tensor,
    batch: TensorBatch,
    limit: float,
) -> Tensor:
    """Counts the boundaries [B, T] of each sample up to and including each of its tokens.

    Args:
        hidden: computes normed hidden states from the latent, as `Objective.hidden` does.
        unembedding_VxD: the unembedding of the next token.
        limit: the largest entropy, in nats, of a token that is no boundary.
    """
    targets, (samples, length) = batch.targets(1), batch.tokens_BxT.shape
    hidden_NxD = targets.select(hidden(latent_BxSxD, 1, batch.inputs_BxP))
    flags_N = (entropies(hidden_NxD, unembedding_VxD) > limit).long()
    if targets.positions_N is not None:
        flags_N = flags_N.new_zeros(samples * (length - 1)).index_copy(0, targets.positions_N, flags_N)
    return F.pad(flags_N.view(samples, length - 1).cumsum(dim=1), (1, 0))


def entropies(hidden_NxD: Tensor, unembedding_VxD: Tensor) -> Tensor:
    """Computes the entropies of predictions in nats [N], a piece at a time, as their logits may be large in memory."""
    pieces = []
    for piece in torch.split(hidden_NxD, rows_at_once(hidden_NxD.device)):
        log_p = F.linear(piece, unembedding_VxD).to(unembedding_VxD.dtype).log_softmax(dim=-1)
        pieces.append(-(log_p.exp() * log_p).sum(dim=-1))
    return torch.cat(pieces)


def without_crossings(in_rows: Targets, targets: Targets, lag: int, boundaries_BxT: Tensor) -> Targets:
    """Leaves out the targets of a lag to which a boundary lies on the way, or that are one.

    The count of the targets stays the same, so those that remain gain no weight.

    Args:
        in_rows: the targets of the lag, with positions in the hidden states that predict them.
        targets: the same targets, with positions in [B, T - lag].
        boundaries_BxT: the result of `count_boundaries`.
    """
    crosses_M = (boundaries_BxT[:, lag:] > boundaries_BxT[:, :-lag]).flatten()
    crosses_N = crosses_M if targets.positions_N is None else crosses_M[targets.positions_N]
    return Targets(in_rows.positions_N, in_rows.tokens_N.masked_fill(crosses_N, LEFT_OUT), in_rows.count)
