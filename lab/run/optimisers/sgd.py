"""Stochastic gradient descent with plain momentum, as torch.optim.SGD computes it.

The momentum is `training.beta1`; it is not Nesterov's. Weight decay is added to the gradient, after clipping, and so
passes through the momentum, unlike the decoupled decay of AdamW and Muon.
"""

from collections.abc import Callable, Sequence

from torch.optim.sgd import sgd

from lab.run.optimisers.flat import FlatGroup, FlatRow, UpdateRule


class SGDRule(UpdateRule):
    """SGD with momentum; its state is the decayed sum of the gradients."""

    name = "sgd"
    slots = ("momentum_buffer",)

    def updater(self, group: FlatGroup, rows: Sequence[FlatRow]) -> Callable[[float], None]:
        def update(rate: float) -> None:
            sgd(
                [row.values for row in rows],
                [row.gradient for row in rows],
                [row.slots["momentum_buffer"] for row in rows],
                foreach=len(rows) > 1,
                weight_decay=group.weight_decay,
                momentum=self.training.beta1,
                lr=rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
            for row in rows:
                row.updates.add_(1)

        return update
