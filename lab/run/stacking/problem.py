"""Whether the runs of a spec can be trained as a stack."""

from functools import lru_cache
from itertools import islice

import torch

from generators.foundation.outside import BREAKAGE
from generators.table import build_task
from lab.run.finetuning import meta_network
from lab.run.spec import RunSpec
from lab.run.stacking.batch_stack import BatchStack
from lab.run.stacking.network_stack import NetworkStack
from lab.run.training_data import STEPS_DRAWN_AT_ONCE, drawn_batches

REASON_LENGTH = 120
"""Characters of torch's message that are shown."""


def is_stacked(spec: RunSpec) -> bool:
    """Returns whether a run is trained in a stack."""
    return spec.training.stack > 1 and not stacking_problem(spec)


def stacking_problem(spec: RunSpec) -> str:
    """Returns the reason why the runs of a spec cannot be trained as a stack, or an empty text if they can.

    The seed of the spec does not matter, as far as the first training batches show.

    Raises:
        UserError: the network of the spec cannot be built.
    """
    if spec.training.optimiser == "muon":
        return 'training.optimiser = "muon" updates one matrix after the other'
    if problem := network_problem(spec):
        return problem
    first = islice(drawn_batches(build_task(spec.task), spec, 0), STEPS_DRAWN_AT_ONCE)
    if len({(batch.loss.shape, batch.loss.tobytes()) for _, _, batch in first}) > 1:
        return f"the targets of task {spec.task.kind} are not at the same positions in every batch"
    return ""


def network_problem(spec: RunSpec) -> str:
    """Returns the reason why torch cannot compute the loss of several networks together; it is tried without data."""
    return _network_problem(spec.model_copy(update={"seed": 0}))


@lru_cache(maxsize=64)
def _network_problem(spec: RunSpec) -> str:
    network, task = meta_network(spec), build_task(spec.task)
    kept = network.state_dict().keys() - dict(network.named_parameters()).keys()
    if kept:
        return f"objective {spec.objective.kind} keeps {min(kept)}, which is no parameter"
    step, indices, batch = next(drawn_batches(task, spec, 0))
    stack = NetworkStack(network, 2)
    try:
        with torch.no_grad():
            stack.losses(BatchStack.of([batch, batch], torch.device("meta"), indices, step))
    except BREAKAGE as error:
        reason = (str(error).splitlines() or [""])[0][:REASON_LENGTH]
        return (
            f'torch cannot compute objective {spec.objective.kind} on model.kind = "{spec.model.kind}" for several '
            f"runs at once: {reason}"
        )
    return ""
