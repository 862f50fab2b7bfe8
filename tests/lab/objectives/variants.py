"""Settings of every shipped objective, with several wirings of multi_token."""

from typing import Any

VARIANTS: list[dict[str, Any]] = [
    {"kind": "multi_token", "n": 4},
    {"kind": "multi_token", "n": 4, "topology": "causal"},
    {"kind": "multi_token", "n": 4, "topology": "anticausal"},
    {"kind": "multi_token", "n": 4, "head": "linear"},
    {"kind": "multi_token", "n": 4, "head": "none", "unembedding": "replicated"},
    {"kind": "multi_token", "n": 3, "stride": 2},
    {"kind": "multi_token", "n": 4, "curriculum": "forward", "stage_steps": 60},
    {"kind": "sequential_modules", "n": 3},
    {"kind": "token_order"},
    {"kind": "registers"},
    {"kind": "next_latent"},
    {"kind": "future_summary"},
    {"kind": "joint"},
    {"kind": "teacherless"},
    {"kind": "masked_teacher"},
    {"kind": "belief_state"},
]


def name_of(objective: dict[str, Any]) -> str:
    return " ".join(map(str, objective.values()))
