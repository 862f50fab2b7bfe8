"""Which runs are trained as a stack and in which of its rows, and the reasons why others are not."""

import json
from functools import lru_cache
from itertools import islice

import torch

from generators.foundation.outside import BREAKAGE
from generators.table import build_task
from lab.objectives.objective import Objective
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


def stack_row(seed: int, size: int) -> int:
    """Returns the row of a run with some seed in a stack of some size; two runs with the same row cannot share one."""
    return seed % size


def stack_key(spec: RunSpec) -> str:
    """Returns a text that is the same for all runs that can be trained as one stack; empty if a run is trained alone.

    These runs differ in seed and learning rate alone.
    """
    return json.dumps(without_seed(spec).canonical(), sort_keys=True) if is_stacked(spec) else ""


def without_seed(spec: RunSpec) -> RunSpec:
    """Returns a spec that all runs share which differ in seed and learning rate alone."""
    changes = {"seed": 0, "training": spec.training.model_copy(update={"learning_rate": 1.0})}
    if spec.start is not None:
        changes["start"] = spec.start.model_copy(update={"run": without_seed(spec.start.run)})
    return spec.model_copy(update=changes)


def stacking_problem(spec: RunSpec) -> str:
    """Returns the reason why the runs of a spec cannot be trained as a stack, or an empty text if they can.

    Seed and learning rate do not matter.

    Raises:
        UserError: the network of the spec cannot be built.
    """
    if spec.training.optimiser == "muon":
        return 'training.optimiser = "muon" updates one matrix after the other'
    return _stacking_problem(without_seed(spec), meta_network(spec))


@lru_cache(maxsize=64)
def _stacking_problem(spec: RunSpec, network: Objective) -> str:
    """Tries the network without data, and compares the first training batches."""
    kept = network.state_dict().keys() - dict(network.named_parameters()).keys()
    if kept:
        return f"objective {spec.objective.kind} keeps {min(kept)}, which is no parameter"
    drawn = list(islice(drawn_batches(build_task(spec.task), spec, 0), STEPS_DRAWN_AT_ONCE))
    step, indices, batch = drawn[0]
    try:
        with torch.no_grad():
            NetworkStack(network, 2).losses(BatchStack.of([batch, batch], torch.device("meta"), indices, step))
    except BREAKAGE as error:
        reason = (str(error).splitlines() or [""])[0][:REASON_LENGTH]
        return (
            f'torch cannot compute objective {spec.objective.kind} on model.kind = "{spec.model.kind}" for several '
            f"runs at once: {reason}"
        )
    if len({(batch.loss.shape, batch.loss.tobytes()) for _, _, batch in drawn}) > 1:
        return f"the targets of task {spec.task.kind} are not at the same positions in every batch"
    return ""
