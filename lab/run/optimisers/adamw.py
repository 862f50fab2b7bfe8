"""AdamW (Loshchilov and Hutter 2019), the optimiser of the paper."""

from collections.abc import Callable, Sequence

from torch.optim.adamw import adamw

from lab.run.optimisers.flat import FlatGroup, FlatRow, UpdateRule

EPSILON = 1e-8


class AdamWRule(UpdateRule):
    """AdamW with decoupled weight decay; its state is the decayed means of the gradient and of its square."""

    name = "adam"
    slots = ("exp_avg", "exp_avg_sq")

    def updater(self, group: FlatGroup, rows: Sequence[FlatRow]) -> Callable[[float], None]:
        def update(rate: float) -> None:
            adamw(
                [row.values for row in rows],
                [row.gradient for row in rows],
                [row.slots["exp_avg"] for row in rows],
                [row.slots["exp_avg_sq"] for row in rows],
                [],
                [row.updates for row in rows],
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
