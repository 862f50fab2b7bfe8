"""What all tests share: one torch thread, a tiny spec, and the command as a user calls it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from generators.settings import assign_value
from lab.spec import RunSpec, parse_spec

torch.set_num_threads(1)

TINY: dict[str, Any] = {
    "task": {
        "kind": "induction",
        "characters": 3,
        "name_parts": 6,
        "length_tokens": 32,
        "validation_samples": 16,
        "test_samples": 24,
    },
    "model": {"width": 16, "layers": 4, "attention_heads": 2},
    "objective": {"kind": "multi_token", "n": 2},
    "training": {
        "steps": 12,
        "batch_size": 4,
        "learning_rate": 0.01,
        "warmup_steps": 3,
        "evaluate_every_steps": 4,
    },
}

Spec = Callable[..., RunSpec]
Lab = Callable[..., subprocess.CompletedProcess[str]]


def tiny_tree(**changes: Any) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(json.dumps(TINY))
    for key, value in changes.items():
        assign_value(tree, key.replace("__", "."), value)
    return tree


@pytest.fixture(scope="session")
def tiny() -> Spec:
    """tiny(objective__n=4): a run of a few steps, with some settings changed."""

    def build(**changes: Any) -> RunSpec:
        return parse_spec(tiny_tree(**changes), "the test's spec")

    return build


@pytest.fixture(scope="session")
def lab() -> Lab:
    """lab("train", path): the command in a process of its own."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lab", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)

    return run
