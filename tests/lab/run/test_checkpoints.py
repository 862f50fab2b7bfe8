"""A checkpoint is trusted only where it is whole, unchanged and of the run that asks; the sentence says the cure."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from generators.foundation.errors import UserError
from lab.run.checkpoints import METADATA_KEY, InvalidCheckpoint, pack_checkpoint, read_checkpoint
from lab.run.store import BEST, LAST, METRICS, RESULT, SPEC, RunFolder
from lab.run.training import train
from tests.conftest import Lab, Spec

Damage = Callable[[Path], Any]
EQUAL = (METRICS, LAST, BEST, RESULT, SPEC)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in EQUAL}


def halve(name: str) -> Damage:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def overwrite(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def flip(name: str) -> Damage:
    """One bit of the last number."""

    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        (folder / name).write_bytes(content)

    return damage


def rewrite(name: str, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], Any]) -> Damage:
    """The same file with other tensors or another header, as somebody else's tool would write it."""

    def damage(folder: Path) -> None:
        with safe_open(folder / name, framework="pt") as file:
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            header = json.loads(file.metadata()[METADATA_KEY])
        change(tensors, header)
        save_file(tensors, folder / name, metadata={METADATA_KEY: json.dumps(header)})

    return damage


def first(tensors: dict[str, torch.Tensor]) -> str:
    return sorted(tensors)[0]


DAMAGES: dict[str, tuple[Callable[[str], Damage], str]] = {
    "cut short": (halve, "is not a whole safetensors file"),
    "empty": (lambda name: overwrite(name, b""), "is not a whole safetensors file"),
    "something else": (lambda name: overwrite(name, b"PK\x03\x04" * 1000), "is not a whole safetensors file"),
    "a bit flipped": (flip, "SHA-256"),
    "another name": (
        lambda name: rewrite(name, lambda tensors, _: tensors.update(other=tensors.pop(first(tensors)))),
        "SHA-256",
    ),
    "another shape": (
        lambda name: rewrite(name, lambda tensors, _: tensors.update({first(tensors): torch.zeros(3)})),
        "SHA-256",
    ),
    "a step that is no number": (
        lambda name: rewrite(name, lambda _, header: header.update(step=float("nan"))),
        "SHA-256",
    ),
    "no header": (lambda name: rewrite(name, lambda _, header: header.clear()), "not a checkpoint of this lab"),
    "another run's": (
        lambda name: rewrite(name, lambda _, header: header.update(run="0123456789abcdef")),
        "is a checkpoint of run 0123456789abcdef",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [LAST, BEST])
def test_a_damaged_checkpoint_is_refused_and_the_sentence_cures_it(
    tiny: Spec, usual: dict[str, bytes], broken: Path, lab: Lab, tmp_path: Path, name: str, damage: str
) -> None:
    make, why = DAMAGES[damage]
    make(name)(broken)
    home = tmp_path / "home"
    with pytest.raises(UserError) as error:
        train(tiny(), home)
    sentence = str(error.value)
    assert sentence.startswith(str(broken / name))
    assert why in sentence
    assert sentence.endswith(f"delete {LAST} there and train the run again from its start")
    scored = lab("score", tiny().identity, "--checkpoint", name.partition(".")[0], "--home", home)
    exported = lab("export", tiny().identity, tmp_path / "out", "--checkpoint", name.partition(".")[0], "--home", home)
    for ended in (scored, exported):
        assert (ended.returncode, ended.stderr) == (2, f"lab: {sentence}\n")
    assert not (tmp_path / "out").exists()
    if damage == "cut short":  # it is the same cure for all
        (broken / LAST).unlink()
        train(tiny(), home)
        assert contents(broken) == usual


def test_a_checkpoint_copied_from_another_run_is_refused(tiny: Spec, broken: Path, tmp_path: Path) -> None:
    """Same names, same shapes: nothing but the identity in the header tells them apart."""
    other = tiny(seed=1)
    train(other, tmp_path / "other")
    for name in (LAST, BEST):
        shutil.copy(tmp_path / "other" / "runs" / other.identity / name, broken / name)
        with pytest.raises(UserError, match=f"{name}: is a checkpoint of run {other.identity}"):
            RunFolder(tmp_path / "home", tiny().identity).read_tensors(name)


def test_a_damaged_checkpoint_of_a_complete_run_asks_for_the_result_to_go_too(
    tiny: Spec, whole: Path, lab: Lab, tmp_path: Path
) -> None:
    before = contents(whole)
    flip(BEST)(whole)
    ended = lab("score", tiny().identity, "--home", tmp_path / "home")
    assert ended.returncode == 2
    assert f"delete {LAST} and {RESULT} there and train the run again" in ended.stderr
    for name in (LAST, RESULT):
        (whole / name).unlink()
    train(tiny(), tmp_path / "home")
    assert contents(whole) == before


def test_a_best_checkpoint_that_was_written_must_be_there(tiny: Spec, broken: Path, lab: Lab, tmp_path: Path) -> None:
    (broken / BEST).unlink()
    with pytest.raises(UserError, match=rf"{BEST}: is missing, though {LAST} says it was written; delete {LAST}"):
        train(tiny(), tmp_path / "home")
    assert "is missing" in lab("score", tiny().identity, "--home", tmp_path / "home").stderr


def test_a_best_checkpoint_of_another_step_is_refused(tiny: Spec, broken: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "home", tiny().identity)
    stored = folder.read_tensors(BEST)
    assert stored is not None
    folder.write_tensors(BEST, stored[0], {"step": 1})
    with pytest.raises(UserError, match=rf"{BEST}: is of step 1, but {LAST} has it at \d+; delete {LAST}"):
        train(tiny(), tmp_path / "home")


def test_weights_of_an_objective_that_has_changed_since_are_refused(tiny: Spec, broken: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "home", tiny().identity)
    stored = folder.read_tensors(LAST)
    assert stored is not None
    renamed = {name.replace("trunk", "stem"): value for name, value in stored[0].items()}
    assert renamed.keys() != stored[0].keys()
    folder.write_tensors(LAST, renamed, stored[1])
    with pytest.raises(UserError, match="weights do not fit objective multi_token as it is now; delete"):
        train(tiny(), tmp_path / "home")


def test_a_checkpoint_gives_back_what_was_packed_and_equal_ones_are_equal_bytes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tensors = {
        "matrix": torch.from_numpy(random.normal(size=(3, 4))).T,
        "half": torch.ones(2, dtype=torch.bfloat16),
        "number": torch.tensor(7.0),
        "none": torch.zeros(0, 3),
        "whole": torch.arange(3),
    }
    progress = {"step": 3, "best_score": 0.1}
    content = pack_checkpoint(tensors, "a", progress)
    assert content == pack_checkpoint(dict(reversed(tensors.items())), "a", progress)
    (tmp_path / "file").write_bytes(content)
    found, told = read_checkpoint(tmp_path / "file", "a")
    assert told == progress
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert (found[name] == value).all()
    with pytest.raises(InvalidCheckpoint, match="a checkpoint of run a"):
        read_checkpoint(tmp_path / "file", "b")


def test_no_byte_of_a_checkpoint_can_change_unnoticed(tmp_path: Path) -> None:
    content = pack_checkpoint({"a": torch.arange(6.0), "b": torch.ones(2, 2)}, "0123456789abcdef", {"step": 3})
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        (tmp_path / "file").write_bytes(changed)
        with pytest.raises(InvalidCheckpoint):
            read_checkpoint(tmp_path / "file", "0123456789abcdef")
