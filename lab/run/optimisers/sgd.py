"""Stochastic gradient descent with plain momentum, as torch.optim.SGD computes it.

The momentum is `training.beta1`; it is not Nesterov's. Weight decay is added to the gradient, after clipping, and so
passes through the momentum, unlike the decoupled decay of AdamW and Muon.
"""

from collections.abc import Callable

from torch.optim.sgd import sgd

from lab.run.optimisers.flat import FlatGroup, UpdateRule


class SGDRule(UpdateRule):
    """SGD with momentum; its state is the decayed sum of the gradients."""

    name = "sgd"
    slots = ("momentum_buffer",)

    def updater(self, group: FlatGroup) -> Callable[[float], None]:
        def update(rate: float) -> None:
            sgd(
                [group.values],
                [group.gradient],
                [group.slots["momentum_buffer"]],
                foreach=False,
                weight_decay=group.weight_decay,
                momentum=self.training.beta1,
                lr=rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
            group.updates.add_(1)

        return update
