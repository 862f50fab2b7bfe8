"""Equal budgets: every objective gets the operations that the baseline has on a task, and therefore its own steps.

Evaluations, the warm-up and with them the schedule are stretched or shrunk with the steps. An arm is evaluated as often
as the baseline, after the same shares of its budget, so that budgets until a task is solved can be compared.
"""

import json
from functools import lru_cache

from generators.foundation.settings import Tree
from lab.bench.operations import flops_of_sample
from lab.run.spec import RunSpec, parse_spec


def step_operations(spec: RunSpec) -> float:
    """Returns the operations of one optimiser step of a run."""
    return _operations_of_sample(json.dumps({**spec.tree(), "seed": 0})) * spec.training.batch_size


@lru_cache(maxsize=4096)
def _operations_of_sample(text: str) -> float:
    return flops_of_sample(parse_spec(json.loads(text)))[0]


def budget_settings(spec: RunSpec, baseline: RunSpec) -> Tree:
    """Returns the settings that give a run nearly the operations of the baseline: dotted key -> value.

    Both have the baseline's steps so far. The interval of evaluations is rounded to whole steps, which is why budgets
    are equal to about half a step in each interval.
    """
    training, share = spec.training, step_operations(baseline) / step_operations(spec)
    every = max(1, round(training.evaluate_every_steps * share))
    steps = every * -(-training.steps // training.evaluate_every_steps)
    return {
        "training.steps": steps,
        "training.evaluate_every_steps": every,
        "training.warmup_steps": min(steps, round(training.warmup_steps * share)),
    }
