"""Checks of objectives and trunks against their interfaces, for `lab objective check`, `lab model check` and tests
of other packages.

`lab/objectives/checks` has the checks; each takes the network and returns the problem, or "". A trunk is checked in a
network with two heads.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.model.config import AttentionConfig, ModelConfig, SizedConfig
from lab.model.table import MODELS
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
from lab.objectives.checks.trunk import (
    check_cache,
    check_causality,
    check_embedded,
    check_embedding,
    check_head_layer,
    check_length,
    check_masks,
    check_parts,
    check_repetition,
    check_shapes,
)
from lab.objectives.multi_token import MultiTokenConfig
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
TWO_HEADS = MultiTokenConfig(n=2, match="none")
"""The objective of the checks: its second head is one more layer of the trunk's kind."""
TRUNK_CHECKS: dict[str, Callable[[Objective], str]] = {
    "a latent [B, T, D] for every token": check_shapes,
    "no latent depends on a later token": check_causality,
    "equal tokens give equal latents": check_repetition,
    "samples may have any length up to that of the data": check_length,
    "embed_tokens embeds every token of the vocabulary": check_embedding,
    "a new layer is one more layer of the trunk's kind": check_head_layer,
    "every parameter of the trunk is counted once": check_parts,
    "the cache, if any, gives the latents of the plain forward pass": check_cache,
    "forward_embedded, if it fits, gives the latents of the plain forward pass": check_embedded,
    "run_at, if any, gives the latents of the plain forward pass": check_masks,
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


def small_model(kind: str, assignments: list[str] | None, source: str, layers: int = 4) -> ModelConfig:
    """Returns settings of a kind of model for a check: small ones, unless `--set` assignments give others.

    Args:
        layers: the layers of a model that has this setting.

    Raises:
        UserError: the kind is unknown, or a setting is wrong.
    """
    config = MODELS.config_of(kind, source)
    small = {"width": 16, "layers": layers} if issubclass(config, SizedConfig) else {}
    small |= {"attention_heads": 2} if issubclass(config, AttentionConfig) else {}
    changed = [assignment.partition("=")[0].strip().removeprefix("model.") for assignment in assignments or []]
    kept = [] if "size" in changed else [f"{key}={value}" for key, value in small.items() if key not in changed]
    model: ModelConfig = MODELS.configured(kind, [*kept, *(assignments or [])], source)
    return model


def check_model(config: ModelConfig) -> list[CheckResult]:
    """Runs all checks on a trunk with these settings, and those of an objective on two heads above it.

    Raises:
        UserError: the trunk cannot be built, or it has too few layers for a head.
    """
    network = build_network(TWO_HEADS, 0, config)
    results = [CheckResult(name, run_check(check, network)) for name, check in TRUNK_CHECKS.items()]
    return results + [CheckResult(f"two heads: {name}", run_check(check, network)) for name, check in CHECKS.items()]
