"""Checks of a trunk against its contract, for `lab model check` and for tests of other packages."""

from collections.abc import Callable

from lab.model.config import AttentionConfig, ModelConfig, SizedConfig
from lab.model.table import MODELS
from lab.objectives.check import CHECKS, CheckResult, run_check
from lab.objectives.checks.network import build_network
from lab.objectives.checks.trunk import (
    check_cache,
    check_causality,
    check_embedding,
    check_head_layer,
    check_length,
    check_masks,
    check_parts,
    check_repetition,
    check_shapes,
)
from lab.objectives.multi_token import MultiTokenConfig
from lab.objectives.objective import Objective

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
    "run_at, if any, gives the latents of the plain forward pass": check_masks,
}


def small_model(kind: str, assignments: list[str] | None, source: str) -> ModelConfig:
    """Returns settings of a kind of model for its check: small ones, unless `--set` assignments give others.

    Raises:
        UserError: the kind is unknown, or a setting is wrong.
    """
    config = MODELS.config_of(kind, source)
    small = {"width": 16, "layers": 4} if issubclass(config, SizedConfig) else {}
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
