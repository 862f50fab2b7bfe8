"""Three ways to hold the graph of a loss: whole, cut at shared hidden states, or cut and without all logits.

An objective says which hidden states are shared and which targets they predict; the graph decides how much of that
is alive at once. Peak memory of the logits and their gradient, for n heads, N targets and V tokens in the vocabulary:

    Graph        n N V
    CutGraph     N V
    FusedGraph   a small constant: the unembedding is fused into the cross-entropy
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lab.model.batches import Targets

ROWS_AT_ONCE = 512
"""Hidden states whose logits a fused graph computes together on a CPU, without torch's own chunked loss."""
GPU_ROWS_AT_ONCE = 2048
"""The same on a GPU, which smaller pieces leave idle (docs/gpu.md)."""
FUSED = nn.LinearCrossEntropyOptions() if hasattr(nn, "LinearCrossEntropyOptions") else None
"""Options of torch's own chunked loss; None before torch 2.13, which does not have it."""

RowsLoss = Callable[..., Tensor]
"""(hidden_NxD, *others [N, ...]) -> the loss summed over the N rows."""
Readout = Callable[[Tensor, nn.Module | None, Tensor, Tensor], Tensor]


def rows_at_once(device: torch.device) -> int:
    """Returns the hidden states whose logits are computed together where those of all would take too much memory."""
    return ROWS_AT_ONCE if device.type == "cpu" else GPU_ROWS_AT_ONCE


def readout_loss(hidden_NxD: Tensor, norm: nn.Module | None, unembedding_VxD: Tensor, tokens_N: Tensor) -> Tensor:
    """Computes norm, unembedding and the sum of the cross-entropies, in nats."""
    normed_NxD = hidden_NxD if norm is None else norm(hidden_NxD)
    logits_NxV = F.linear(normed_NxD, unembedding_VxD).to(unembedding_VxD.dtype)  # the loss is not rounded to bfloat16
    return F.cross_entropy(logits_NxV, tokens_N, reduction="sum")


@cache
def compiled_readout_loss() -> Readout:
    """Returns `readout_loss` compiled once, for every head of every network in this process."""
    return torch.compile(readout_loss)


class Graph:
    """A graph that keeps the part of every term until a single backward pass.

    Args:
        compiled: sends norm, unembedding and cross-entropy through torch's compiler.
    """

    def __init__(self, compiled: bool = False) -> None:
        self.readout_loss: Readout = compiled_readout_loss() if compiled else readout_loss

    def share(self, hidden: Tensor) -> Tensor:
        """Takes a hidden state that several terms read, and returns the hidden state that they must read instead."""
        return hidden

    def cross_entropy(
        self, hidden_BxPxD: Tensor, unembedding_VxD: Tensor, targets: Targets, norm: nn.Module | None = None
    ) -> Tensor:
        """Returns the cross-entropy in nats, summed over the targets and divided by their count.

        Positions without a target are not unembedded.

        Args:
            hidden_BxPxD: hidden states, already normed if `norm` is None.
            norm: the norm to apply first.
        """
        total = self.readout_loss(targets.select(hidden_BxPxD), norm, unembedding_VxD, targets.tokens_N)
        return total / max(1, targets.count)

    def sum_over_rows(self, loss: RowsLoss, hidden_NxD: Tensor, *others: Tensor) -> Tensor:
        """Returns an objective's own loss, summed over N rows, whose intermediate values may be large in memory.

        Args:
            loss: called with `hidden_NxD` and `others`, or with pieces of them.
            others: tensors [N, ...].
        """
        return loss(hidden_NxD, *others)


class CutGraph(Graph):
    """A graph cut at shared states: a term's backward pass frees its part, and gradients collect at the cuts.

    This is the paper's sequence of forward and backward passes (section 2, figure 2; appendix B for chains). `finish`
    sends the collected gradients on, from the cut furthest from the trunk to the nearest.
    """

    def __init__(self, compiled: bool = False) -> None:
        super().__init__(compiled)
        self.cuts: list[tuple[Tensor, Tensor]] = []

    def share(self, hidden: Tensor) -> Tensor:
        leaf = hidden.detach().requires_grad_()
        self.cuts.append((hidden, leaf))
        return leaf

    def finish(self) -> None:
        """Sends the gradients at the cuts on towards the trunk."""
        while self.cuts:
            hidden, leaf = self.cuts.pop()
            if leaf.grad is not None and hidden.requires_grad:
                hidden.backward(leaf.grad)  # type: ignore[no-untyped-call]


class FusedGraph(CutGraph):
    """A cut graph in which the logits of all targets never exist together.

    It uses torch's own chunked unembedding and cross-entropy. Before torch 2.13 it splits the targets into pieces,
    whose logits the backward pass computes again.
    """

    def cross_entropy(
        self, hidden_BxPxD: Tensor, unembedding_VxD: Tensor, targets: Targets, norm: nn.Module | None = None
    ) -> Tensor:
        hidden_NxD = targets.select(hidden_BxPxD)
        if not len(targets.tokens_N):
            return super().cross_entropy(hidden_BxPxD, unembedding_VxD, targets, norm)
        if FUSED is None:

            def piece_loss(hidden_NxD: Tensor, tokens_N: Tensor) -> Tensor:
                return self.readout_loss(hidden_NxD, norm, unembedding_VxD, tokens_N)

            return self.sum_over_rows(piece_loss, hidden_NxD, targets.tokens_N) / max(1, targets.count)
        if norm is not None:
            hidden_NxD = norm(hidden_NxD)
        if torch.is_autocast_enabled(hidden_NxD.device.type):
            dtype = torch.get_autocast_dtype(hidden_NxD.device.type)
            hidden_NxD, unembedding_VxD = hidden_NxD.to(dtype), unembedding_VxD.to(dtype)
        loss: Tensor = F.linear_cross_entropy(
            hidden_NxD, unembedding_VxD, targets.tokens_N, reduction="sum", options=FUSED
        )
        return loss / max(1, targets.count)

    def sum_over_rows(self, loss: RowsLoss, hidden_NxD: Tensor, *others: Tensor) -> Tensor:
        total = hidden_NxD.new_zeros(())
        rows = rows_at_once(hidden_NxD.device)
        for pieces in zip(*(torch.split(tensor, rows) for tensor in (hidden_NxD, *others)), strict=True):
            total = total + checkpoint(loss, *pieces, use_reentrant=False)
        return total
