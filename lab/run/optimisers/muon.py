"""Muon for hidden matrices (Jordan 2024, https://kellerjordan.github.io/posts/muon/), as torch.optim.Muon computes it.

The update of a matrix is its momentum, orthogonalised by five Newton-Schulz iterations. torch's adjustment
"match_rms_adamw" multiplies the rate by 0.2 sqrt(max(rows, columns)), so that an update is about as large as AdamW's
(Liu et al. 2025, arXiv 2502.16982). `training.learning_rate` therefore suits both: Muon's hidden matrices get it with
this adjustment, and embeddings, unembeddings, vectors and all else, which AdamW updates, get it as it is.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from generators.foundation.errors import UserError
from lab.objectives.objective import Objective
from lab.run.optimisers.flat import FlatGroup, FlatRow, UpdateRule

MOMENTUM = 0.95
"""The decay of Muon's mean gradient, with Nesterov's look-ahead (Jordan 2024); beta1 and beta2 are AdamW's."""


class MuonRule(UpdateRule):
    """Muon with decoupled weight decay; its state is the decayed mean of the gradient."""

    name = "muon"
    slots = ("momentum_buffer",)

    def updater(self, group: FlatGroup, rows: Sequence[FlatRow]) -> Callable[[float], None]:
        (row,) = rows  # runs with this rule are not stacked
        matrices = group.shaped(row.values)
        optimiser = torch.optim.Muon(
            matrices, weight_decay=group.weight_decay, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw"
        )
        pieces = (group.shaped(flat) for flat in (row.gradient, row.slots["momentum_buffer"]))
        for matrix, gradient, mean in zip(matrices, *pieces, strict=True):
            matrix.grad = gradient
            optimiser.state[matrix]["momentum_buffer"] = mean

        def update(rate: float) -> None:
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()  # type: ignore[no-untyped-call]
            row.updates.add_(1)

        return update


def require_muon() -> None:
    """Checks that this version of torch has Muon.

    Raises:
        UserError: it is older than 2.9.
    """
    if not hasattr(torch.optim, "Muon"):
        raise UserError(
            f'training.optimiser = "muon" needs torch 2.9 or later, and torch {torch.__version__} is installed; '
            'give "adamw" or "sgd", or install a later torch'
        )


def hidden_matrices(network: nn.Module) -> set[str]:
    """Returns the names of the matrices between the embeddings and the unembeddings.

    An unembedding is that of the next-token path, or a part of the objective whose name in `head_parts` has the word
    "unembedding".
    """
    ends: list[nn.Module] = [part for part in network.modules() if isinstance(part, nn.Embedding)]
    if isinstance(network, Objective):
        parts = network.head_parts().items()
        ends += [network.next_token_path().unembedding, *(part for name, part in parts if "unembedding" in name)]
    outside = {id(parameter) for part in ends for parameter in part.parameters()}
    return {name for name, value in network.named_parameters() if value.dim() == 2 and id(value) not in outside}
