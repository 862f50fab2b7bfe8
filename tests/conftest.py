"""Fixtures of all tests: one torch thread, a tiny spec, and the command as a user calls it."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generators.foundation.settings import assign_value
from lab.__main__ import main
from lab.objectives.objective import Objective
from lab.run.spec import RunSpec, parse_spec
from tests.fake_package import Install, forget_packages, write_package

torch.set_num_threads(1)
os.environ.pop("LAB_HOME", None)  # tests write to folders of their own, never to the home of whoever runs them

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


def pytest_collection_finish() -> None:
    """Spares the garbage collector what is never freed, torch and pandas above all: it took a tenth of the time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@torch.no_grad()
def logits_of(network: Objective, tokens_BxQ: Tensor, lag: int = 1) -> Tensor:
    """Logits [B, P, V] of the token `lag` ahead of each position that the tokens answer for."""
    return network.unembed(network.hidden(network.trunk(tokens_BxQ), lag, tokens_BxQ), lag)


@pytest.fixture(scope="session")
def tiny() -> Spec:
    """tiny(objective__n=4): a run of a few steps, with some settings changed."""

    def build(**changes: Any) -> RunSpec:
        return parse_spec(tiny_tree(**changes), "the test's spec")

    return build


@pytest.fixture
def lab(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lab:
    """lab("train", path): the command as its entry point runs it, in this process; what it printed and its exit code."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["lab", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        code = end.value.code
        return subprocess.CompletedProcess(
            sys.argv, code if isinstance(code, int) else int(code is not None), *capsys.readouterr()
        )

    return run


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """install("other", "[mtp_lab.tasks]\\nmine = other:Mine", code): a package of one module, for this process."""

    def write(name: str, entry_points: str, code: str) -> Path:
        site = write_package(tmp_path / "installed", name, entry_points, code)
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, name, raising=False)
        forget_packages()
        return site

    yield write
    monkeypatch.undo()
    forget_packages()
