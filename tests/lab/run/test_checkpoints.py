"""A checkpoint is trusted only if it is whole, unchanged and of the right run; the error says how to go on."""

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
from lab.run.store import BEST, LAST, RESULT, RunFolder
from lab.run.training import train
from tests.conftest import Lab, Spec
from tests.lab.killed_runs import contents

Damage = Callable[[Path], Any]


def halve(name: str) -> Damage:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def overwrite(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def flip(name: str) -> Damage:
    """Flips one bit of the last number."""

    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        (folder / name).write_bytes(content)

    return damage


def rewrite(name: str, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], Any]) -> Damage:
    """Returns a damage that rewrites a file with other tensors or another header, as another tool might."""

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
    "a step that is not a number": (
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
def test_a_damaged_checkpoint_is_refused_with_the_remedy(
    tiny: Spec,
    complete_contents: dict[str, bytes],
    interrupted_folder: Path,
    lab: Lab,
    tmp_path: Path,
    name: str,
    damage: str,
) -> None:
    damage_file, reason = DAMAGES[damage]
    damage_file(name)(interrupted_folder)
    home = tmp_path / "home"
    with pytest.raises(UserError) as error:
        train(tiny(), home)
    sentence = str(error.value)
    assert sentence.startswith(str(interrupted_folder / name))
    assert reason in sentence
    assert sentence.endswith(f"delete {LAST} there and train the run again from its start")
    scored = lab("score", tiny().identity, "--checkpoint", name.partition(".")[0], "--home", home)
    exported = lab("export", tiny().identity, tmp_path / "out", "--checkpoint", name.partition(".")[0], "--home", home)
    for ended in (scored, exported):
        assert (ended.returncode, ended.stderr) == (2, f"lab: {sentence}\n")
    assert not (tmp_path / "out").exists()
    if damage == "cut short":  # the remedy is the same for every damage
        (interrupted_folder / LAST).unlink()
        train(tiny(), home)
        assert contents(interrupted_folder) == complete_contents


def test_a_checkpoint_copied_from_another_run_is_refused(tiny: Spec, interrupted_folder: Path, tmp_path: Path) -> None:
    """Names and shapes are the same; only the identity in the header tells the runs apart."""
    other = tiny(seed=1)
    train(other, tmp_path / "other")
    for name in (LAST, BEST):
        shutil.copy(tmp_path / "other" / "runs" / other.identity / name, interrupted_folder / name)
        with pytest.raises(UserError, match=f"{name}: is a checkpoint of run {other.identity}"):
            RunFolder(tmp_path / "home", tiny().identity).read_tensors(name)


def test_a_damaged_checkpoint_of_a_complete_run_asks_to_delete_the_result_too(
    tiny: Spec, complete_folder: Path, lab: Lab, tmp_path: Path
) -> None:
    before = contents(complete_folder)
    flip(BEST)(complete_folder)
    ended = lab("score", tiny().identity, "--home", tmp_path / "home")
    assert ended.returncode == 2
    assert f"delete {LAST} and {RESULT} there and train the run again" in ended.stderr
    for name in (LAST, RESULT):
        (complete_folder / name).unlink()
    train(tiny(), tmp_path / "home")
    assert contents(complete_folder) == before


def test_a_missing_best_checkpoint_is_noticed(tiny: Spec, interrupted_folder: Path, lab: Lab, tmp_path: Path) -> None:
    (interrupted_folder / BEST).unlink()
    with pytest.raises(UserError, match=rf"{BEST}: is missing, though {LAST} says it was written; delete {LAST}"):
        train(tiny(), tmp_path / "home")
    assert "is missing" in lab("score", tiny().identity, "--home", tmp_path / "home").stderr


def test_a_best_checkpoint_of_another_step_is_refused(tiny: Spec, interrupted_folder: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "home", tiny().identity)
    stored = folder.read_tensors(BEST)
    assert stored is not None
    folder.write_tensors(BEST, stored[0], {"step": 1})
    with pytest.raises(UserError, match=rf"{BEST}: is of step 1, but {LAST} has it at \d+; delete {LAST}"):
        train(tiny(), tmp_path / "home")


def test_weights_of_an_objective_that_has_changed_since_are_refused(
    tiny: Spec, interrupted_folder: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "home", tiny().identity)
    stored = folder.read_tensors(LAST)
    assert stored is not None
    renamed = {name.replace("trunk", "stem"): value for name, value in stored[0].items()}
    assert renamed.keys() != stored[0].keys()
    folder.write_tensors(LAST, renamed, stored[1])
    with pytest.raises(UserError, match="weights do not fit objective multi_token as it is now; delete"):
        train(tiny(), tmp_path / "home")


def test_a_checkpoint_is_read_back_as_packed_and_equal_ones_have_equal_bytes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tensors = {
        "matrix": torch.from_numpy(random.normal(size=(3, 4))).T,
        "half": torch.ones(2, dtype=torch.bfloat16),
        "number": torch.tensor(7.0),
        "empty": torch.zeros(0, 3),
        "integers": torch.arange(3),
    }
    progress = {"step": 3, "best_score": 0.1}
    content = pack_checkpoint(tensors, "a", progress)
    assert content == pack_checkpoint(dict(reversed(tensors.items())), "a", progress)
    (tmp_path / "file").write_bytes(content)
    stored, stored_progress = read_checkpoint(tmp_path / "file", "a")
    assert stored_progress == progress
    assert stored.keys() == tensors.keys()
    for name, value in tensors.items():
        assert stored[name].dtype == value.dtype
        assert stored[name].shape == value.shape
        assert (stored[name] == value).all()
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
