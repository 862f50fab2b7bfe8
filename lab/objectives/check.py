"""Checks of an objective against its interface, for `lab objective check` and for tests of other packages.

`lab/objectives/checks` has the checks; each takes the network and returns the problem, or "".
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.model.config import ModelConfig
from lab.objectives.checks.gradients import (
    check_chunked,
    check_left_out,
    check_micro_batches,
    check_sequential,
    check_term_names,
    check_trained_parameters,
)
from lab.objectives.checks.network import build_network
from lab.objectives.checks.parameters import check_memory, check_parameter_count, check_weights
from lab.objectives.checks.predictions import (
    check_distinct_heads,
    check_loss_values,
    check_next_token_path,
    check_targets,
)
from lab.objectives.checks.reading import check_losses, check_predictions
from lab.objectives.objective import Objective, ObjectiveConfig

CHECKS: dict[str, Callable[[Objective], str]] = {
    "weights depend only on the seed": check_weights,
    "parameters share no memory": check_memory,
    "terms have distinct names": check_term_names,
    "the sequential loss gives the joint gradient": check_sequential,
    "the chunked loss gives the joint gradient": check_chunked,
    "micro-batches give the joint gradient": check_micro_batches,
    "positions that are left out give no gradient": check_left_out,
    "every parameter is trained": check_trained_parameters,
    "no prediction depends on its target or later tokens": check_predictions,
    "no loss_i depends on its target or later tokens": check_losses,
    "loss_i is computed on the targets i ahead": check_targets,
    "loss_i equals the loss of the predictions": check_loss_values,
    "no two heads make the same predictions": check_distinct_heads,
    "next_token_path gives the logits of head 1": check_next_token_path,
    "every parameter is counted in one part": check_parameter_count,
}


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; `problem` is a sentence, or empty if the objective passes."""

    name: str
    problem: str


def check_objective(config: ObjectiveConfig, model: ModelConfig | None = None) -> list[CheckResult]:
    """Runs all checks on an objective with these settings.

    Args:
        model: the settings of the model, by default those of a Llama.

    Raises:
        UserError: the settings do not fit the model and the data of the check.
    """
    network = build_network(config, 0, model)
    return [CheckResult(name, run_check(check, network)) for name, check in CHECKS.items()]


def run_check(check: Callable[[Objective], str], network: Objective) -> str:
    """Runs one check and returns its problem, or ""; an exception is reported as a problem, with its file and line."""
    try:
        return check(network)
    except Exception as error:  # another package's objective can raise anything
        last = traceback.extract_tb(error.__traceback__)[-1]
        message = (str(error).splitlines() or [""])[0]
        return f"{type(error).__name__}: {message} ({Path(last.filename).name}, line {last.lineno})"
    finally:
        network.zero_grad()
