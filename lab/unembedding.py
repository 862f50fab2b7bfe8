"""From hidden states to the cross-entropy of the targets that carry loss."""

from torch import Tensor
from torch.nn import functional as F

from lab.batches import TensorBatch


def cross_entropy(hidden_BxPxD: Tensor, weight_VxD: Tensor, batch: TensorBatch, lag: int) -> Tensor:
    """Mean cross-entropy in nats of the targets `lag` tokens ahead that carry loss; no other is unembedded.

    Args:
        hidden_BxPxD: normed hidden states of the first P = T - lag positions.
        weight_VxD: the unembedding.
    """
    positions, tokens_N = batch.targets(lag)
    hidden_NxD = hidden_BxPxD.flatten(0, 1)
    if positions is not None:
        hidden_NxD = hidden_NxD[positions]
    return F.cross_entropy(F.linear(hidden_NxD, weight_VxD), tokens_N)
