"""Specs of the tiny run that start from another run, and what such a run is as its training begins."""

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from generators.foundation.settings import Tree
from lab.run.loop.training_run import TrainingRun
from lab.run.spec import RunSpec, parse_spec
from lab.run.store import RunFolder
from lab.run.stored_run import load_weights
from lab.run.training import train
from tests.conftest import TINY, tiny_tree
from tests.lab.killed_runs import Killed


def multi_token(n: int, **settings: Any) -> Tree:
    return {"kind": "multi_token", "n": n, **settings}


def finetuned(objective: Tree, start: Tree, **changes: Any) -> RunSpec:
    """Returns the tiny run on an objective, started from 8 steps on another.

    Changes with "__" in their key are of the run, the others of its start.
    """
    tree = tiny_tree(objective=objective, **{key: value for key, value in changes.items() if "__" in key})
    training = {**TINY["training"], "steps": 8}
    tree["start"] = {"objective": start, "training": training, **{k: v for k, v in changes.items() if "__" not in k}}
    return parse_spec(tree, "the test's spec")


def start_of(spec: RunSpec) -> RunSpec:
    assert spec.start is not None
    return spec.start.run


def start_weights(spec: RunSpec, home: Path) -> dict[str, Tensor]:
    """Returns the stored weights that a run starts from."""
    assert spec.start is not None
    return load_weights(RunFolder(home, spec.start.run.identity), spec.start.checkpoint)[0]


def at_step_0(spec: RunSpec, home: Path) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Returns the validation metrics and weights of a run as its training begins."""
    observed: dict[str, Any] = {}

    def observe(run: TrainingRun, progress: object) -> None:
        observed["metrics"] = run.validation(run.network)
        observed["weights"] = {name: value.clone() for name, value in run.network.state_dict().items()}
        raise Killed

    train(start_of(spec), home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "train", observe)
        with pytest.raises(Killed):
            train(spec, home)
    return observed["metrics"], observed["weights"]
