"""`lab export` writes all files or nothing; a network that cannot be written as a Llama gives a one-sentence error."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from generators.foundation.errors import UserError, WorkFailed
from lab.export.folder import export, llama_modules
from lab.model.layers import Block
from lab.objectives.objective import NextTokenPath
from lab.run.store import BEST, LAST
from lab.run.stored_run import StoredRun
from tests.conftest import Lab, Spec, tiny_tree
from tests.lab.exported_runs import stored_run


def test_the_command_exports_a_trained_run_and_overwrites_nothing(lab: Lab, tmp_path: Path, tiny: Spec) -> None:
    path = tmp_path / "spec.json"
    tree = tiny_tree()
    path.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in dotted(tree).items()))
    home = ("--home", tmp_path / "home")
    run = json.loads(lab("train", path, "--json", *home).stdout)["run"]
    done = lab("export", run[:6], tmp_path / "out", "--checkpoint", "last", "--json", *home)
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert (answer["run"], answer["step"], answer["checkpoint"]) == (run, 12, "last")
    assert sorted(answer["files"]) == sorted(path.name for path in (tmp_path / "out").iterdir())
    again = lab("export", run, tmp_path / "out", *home)
    assert again.returncode == 2
    assert "is not empty" in again.stderr
    assert "should be best or last" in lab("export", run, tmp_path / "new", "--checkpoint", "first", *home).stderr
    assert lab("export", "zzz", tmp_path / "new", *home).returncode == 2
    assert not (tmp_path / "new").exists()


def dotted(tree: dict[str, Any], stem: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= dotted(value, f"{stem}{key}.") if isinstance(value, dict) else {stem + key: value}
    return flat


def test_a_linear_head_is_refused_because_no_llama_has_one(lab: Lab, tmp_path: Path) -> None:
    stored = stored_run(tmp_path / "home", {"kind": "multi_token", "n": 2, "head": "linear"})
    refused = lab("export", stored.folder.identity, tmp_path / "out", "--home", tmp_path / "home")
    assert refused.returncode == 2
    assert f"run {stored.folder.identity}: its next-token path contains a Linear" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_path_that_only_resembles_a_llama_is_refused(tmp_path: Path) -> None:
    network = stored_run(tmp_path, {"kind": "multi_token", "n": 1}).parts.network
    path = network.next_token_path()

    class OtherBlock(Block):
        pass

    biased = nn.Linear(16, path.unembedding.out_features)
    for changed, reason in (
        (
            NextTokenPath([OtherBlock(16, 2, 44)], path.norm, path.unembedding),
            "run x: its next-token path contains a OtherBlock",
        ),
        (NextTokenPath(path.layers, path.norm, biased), "run x: its unembedding has a bias"),
    ):
        network.next_token_path = lambda changed=changed: changed  # type: ignore[method-assign, misc]
        with pytest.raises(UserError, match=reason):
            llama_modules(network, "run x")


def test_a_full_disk_is_one_sentence_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 2})

    def full(descriptor: int) -> None:
        flushes_left.pop()
        if not flushes_left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for files_that_fit in range(len(export(stored, tmp_path / "whole"))):
        flushes_left = [None] * (files_that_fit + 1)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(WorkFailed, match=r"could not be written \(No space left on device\)"):
            export(stored, tmp_path / str(files_that_fit))
        monkeypatch.undo()
        assert not (tmp_path / str(files_that_fit)).exists()


@pytest.mark.parametrize(("checkpoint", "name"), [("best", BEST), ("last", LAST)])
def test_weights_of_another_network_are_refused(tmp_path: Path, checkpoint: str, name: str) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 2})
    stored.folder.write_tensors(name, {"model.a": torch.ones(2)}, {"step": 7})
    with pytest.raises(UserError, match=rf"{name}: the weights do not fit objective multi_token"):
        StoredRun(tmp_path, stored.folder.identity, checkpoint)
