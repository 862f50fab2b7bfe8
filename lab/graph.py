"""How the graph of a loss is built: whole, cut where several terms read one hidden state, or never with all logits.

An objective says what is shared and what is predicted; these three decide how much of it is alive at once.
Peak memory of logits and of their gradient is n N V when the graph is whole, N V when it is cut, and a small
constant when the unembedding is fused into the cross-entropy.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lab.batches import Targets

ROWS_AT_ONCE = 512
"""Hidden states whose logits are alive together where a fused graph has to go piece by piece, on a CPU."""
GPU_ROWS_AT_ONCE = 2048
"""The same on a GPU, which smaller pieces leave idle (docs/gpu.md)."""
FUSED = nn.LinearCrossEntropyOptions() if hasattr(nn, "LinearCrossEntropyOptions") else None
"""Options of torch's own chunked loss, or None before torch 2.13, which has none: pieces are then recomputed here."""

RowsLoss = Callable[..., Tensor]
ReadOut = Callable[[Tensor, nn.RMSNorm | None, Tensor, Tensor], Tensor]


def read_out(hidden_NxD: Tensor, norm: nn.RMSNorm | None, unembedding_VxD: Tensor, tokens_N: Tensor) -> Tensor:
    """Norm, unembedding and the sum of cross-entropies."""
    normed_NxD = hidden_NxD if norm is None else norm(hidden_NxD)
    return F.cross_entropy(F.linear(normed_NxD, unembedding_VxD), tokens_N, reduction="sum")


@cache
def compiled_read_out() -> ReadOut:
    """`read_out` as one piece of code, for every head of every network of this process."""
    return torch.compile(read_out)


class Graph:
    """Whole: every term's graph is kept until one backward pass.

    Args:
        compiled: whether norm, unembedding and cross-entropy go through torch's compiler.
    """

    def __init__(self, compiled: bool = False) -> None:
        self.read_out: ReadOut = compiled_read_out() if compiled else read_out

    def share(self, hidden: Tensor) -> Tensor:
        """A hidden state that more than one term reads: what they are to read instead."""
        return hidden

    def cross_entropy(
        self, hidden_BxPxD: Tensor, unembedding_VxD: Tensor, targets: Targets, norm: nn.RMSNorm | None = None
    ) -> Tensor:
        """Cross-entropy in nats summed over the targets and divided by their count; no other position is unembedded.

        Args:
            hidden_BxPxD: normed hidden states, or with `norm` those that it is to norm.
        """
        return self.read_out(targets.of(hidden_BxPxD), norm, unembedding_VxD, targets.tokens_N) / max(1, targets.count)

    def rows(self, loss: RowsLoss, hidden_NxD: Tensor, *others: Tensor) -> Tensor:
        """The sum over N rows of a loss of one's own large in memory: loss(hidden_NxD, *others), others [N, ...]."""
        return loss(hidden_NxD, *others)


class CutGraph(Graph):
    """Cut at what is shared: a term's graph is freed by its own backward pass, and gradients wait at the cuts.

    The paper's sequence of forward and backward passes (section 2, figure 2; appendix B for chains): what waits at
    a cut goes further down when `finish` undoes the cuts, the one furthest from the trunk first.
    """

    def __init__(self, compiled: bool = False) -> None:
        super().__init__(compiled)
        self.cuts: list[tuple[Tensor, Tensor]] = []

    def share(self, hidden: Tensor) -> Tensor:
        leaf = hidden.detach().requires_grad_()
        self.cuts.append((hidden, leaf))
        return leaf

    def finish(self) -> None:
        """Send on the gradients that wait at the cuts."""
        while self.cuts:
            hidden, leaf = self.cuts.pop()
            if leaf.grad is not None and hidden.requires_grad:
                hidden.backward(leaf.grad)  # type: ignore[no-untyped-call]


class FusedGraph(CutGraph):
    """Cut, and the logits of all targets never exist together.

    torch's own chunked unembedding and cross-entropy where there is one; before torch 2.13, pieces whose
    logits the backward pass computes again.
    """

    def cross_entropy(
        self, hidden_BxPxD: Tensor, unembedding_VxD: Tensor, targets: Targets, norm: nn.RMSNorm | None = None
    ) -> Tensor:
        hidden_NxD = targets.of(hidden_BxPxD)
        if not len(targets.tokens_N):
            return super().cross_entropy(hidden_BxPxD, unembedding_VxD, targets, norm)
        if FUSED is None:

            def piece(hidden_NxD: Tensor, tokens_N: Tensor) -> Tensor:
                return self.read_out(hidden_NxD, norm, unembedding_VxD, tokens_N)

            return self.rows(piece, hidden_NxD, targets.tokens_N) / max(1, targets.count)
        if norm is not None:
            hidden_NxD = norm(hidden_NxD)
        if torch.is_autocast_enabled(hidden_NxD.device.type):
            kind = torch.get_autocast_dtype(hidden_NxD.device.type)
            hidden_NxD, unembedding_VxD = hidden_NxD.to(kind), unembedding_VxD.to(kind)
        loss: Tensor = F.linear_cross_entropy(
            hidden_NxD, unembedding_VxD, targets.tokens_N, reduction="sum", options=FUSED
        )
        return loss / max(1, targets.count)

    def rows(self, loss: RowsLoss, hidden_NxD: Tensor, *others: Tensor) -> Tensor:
        total = hidden_NxD.new_zeros(())
        rows = ROWS_AT_ONCE if hidden_NxD.device.type == "cpu" else GPU_ROWS_AT_ONCE
        for piece in zip(*(torch.split(each, rows) for each in (hidden_NxD, *others)), strict=True):
            total = total + checkpoint(loss, *piece, use_reentrant=False)
        return total
