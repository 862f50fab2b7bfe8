"""AdamW (Loshchilov and Hutter 2019), the optimiser of the paper."""

from collections.abc import Callable

from torch.optim.adamw import adamw

from lab.run.optimisers.flat import FlatGroup, UpdateRule

EPSILON = 1e-8


class AdamWRule(UpdateRule):
    """AdamW with decoupled weight decay; its state is the decayed means of the gradient and of its square."""

    name = "adam"
    slots = ("exp_avg", "exp_avg_sq")

    def updater(self, group: FlatGroup) -> Callable[[float], None]:
        def update(rate: float) -> None:
            adamw(
                [group.values],
                [group.gradient],
                [group.slots["exp_avg"]],
                [group.slots["exp_avg_sq"]],
                [],
                [group.updates],
                fused=True,
                amsgrad=False,
                beta1=self.training.beta1,
                beta2=self.training.beta2,
                lr=rate,
                weight_decay=group.weight_decay,
                eps=EPSILON,
                maximize=False,
            )

        return update
