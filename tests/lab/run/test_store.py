"""A run's folder: every fault is one sentence, nothing stored is lost, nothing damaged is trusted."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from generators.foundation.errors import UserError, WorkFailed
from lab.run.files import json_bytes, lock_folder
from lab.run.store import BEST, ENVIRONMENT, FORMAT, LAST, METRICS, RESULT, SPEC, TIMING, RunFolder
from lab.run.training import TrainingRun, train
from tests.conftest import Lab, Spec

EQUAL = (METRICS, LAST, BEST, RESULT, SPEC)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in EQUAL}


@pytest.mark.parametrize("log", [METRICS, TIMING])
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda content: content[: len(content) // 2], r"has \d whole lines, but last.safetensors was written after"),
        (lambda content: content[:-1], r"has \d whole lines, but last.safetensors was written after"),
        (lambda content: b"", "has 0 whole lines"),
        (lambda content: content.replace(b'"step": 8', b"\0\0\0\0\0\0\0\0\0"), r"line \d is not JSON"),
        (None, "has 0 whole lines"),
    ],
    ids=["half", "last line torn", "empty", "zeros inside", "missing"],
)
def test_a_log_that_lost_lines_is_refused_and_the_sentence_cures_it(
    tiny: Spec, usual: dict[str, bytes], broken: Path, tmp_path: Path, log: str, damage: Any, why: str
) -> None:
    kept = {name: (broken / name).read_bytes() for name in (LAST, BEST)}
    if damage is None:
        (broken / log).unlink()
    else:
        (broken / log).write_bytes(damage((broken / log).read_bytes()))
    with pytest.raises(UserError, match=rf"{log}: {why}.*delete {LAST} there and train the run again"):
        train(tiny(), tmp_path / "home")
    assert {name: (broken / name).read_bytes() for name in kept} == kept
    if damage is None:  # it is the same cure for all
        (broken / LAST).unlink()
        train(tiny(), tmp_path / "home")
        assert contents(broken) == usual


def test_lines_behind_the_checkpoint_are_cut_off_also_torn_ones(
    tiny: Spec, usual: dict[str, bytes], broken: Path, tmp_path: Path
) -> None:
    for log in (METRICS, TIMING):
        with (broken / log).open("ab") as file:
            file.write(b'{"step": 99, "split": "train"}\n{"step": 9')
    train(tiny(), tmp_path / "home")
    assert contents(broken) == usual


def test_a_log_damaged_inside_is_a_sentence_to_its_readers(tiny: Spec, whole: Path, tmp_path: Path) -> None:
    content = (whole / METRICS).read_bytes()
    (whole / METRICS).write_bytes(content.replace(b"{", b"\0", 1))
    with pytest.raises(UserError, match=f"{METRICS}: line 1 is not JSON; delete {LAST} and {RESULT} there"):
        RunFolder(tmp_path / "home", tiny().identity).lines(METRICS)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not valid JSON"),
        (b'{"status": "comp', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"null", "not a JSON object"),
        (b"{}", "not a run's result"),
        (json_bytes({"run": "0123456789abcdef", "status": "complete"}), "the result of run 0123456789abcdef"),
    ],
)
def test_a_result_that_is_none_is_refused_and_comes_back_without_training(
    tiny: Spec, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, why: str
) -> None:
    before = contents(whole)
    (whole / RESULT).write_bytes(content)
    with pytest.raises(UserError, match=rf"{RESULT}: {why}.*delete it and train the run again, which resumes"):
        train(tiny(), tmp_path / "home")
    (whole / RESULT).unlink()
    monkeypatch.setattr(TrainingRun, "take_step", None)
    train(tiny(), tmp_path / "home")
    assert contents(whole) == before


@pytest.mark.parametrize("number", [1, FORMAT + 1])
def test_a_folder_of_another_format_is_refused_whatever_is_asked_of_it(
    tiny: Spec, whole: Path, lab: Lab, tmp_path: Path, number: int
) -> None:
    environment = json.loads((whole / ENVIRONMENT).read_text())
    assert environment["format"] == FORMAT
    environment["format"] = number
    if number == 1:
        del environment["format"]  # it had none
    (whole / ENVIRONMENT).write_bytes(json_bytes(environment))
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    age = "an earlier" if number < FORMAT else "a later"
    sentence = rf"written by {age} version of the lab \(format {number}, this version has {FORMAT}\)"
    for result in ("complete", "not complete"):
        with pytest.raises(UserError, match=sentence):
            train(tiny(), tmp_path / "home")
        for command in (["score"], ["export"]):
            where = [tmp_path / "out"] if command == ["export"] else []
            ended = lab(*command, tiny().identity, *where, "--home", tmp_path / "home")
            assert ended.returncode == 2
            assert f"written by {age} version" in ended.stderr
        if result == "complete":
            (whole / RESULT).unlink()
            del before[RESULT]
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before


def test_a_spec_that_is_not_the_folders_is_refused_and_written_anew_by_training(
    tiny: Spec, usual: dict[str, bytes], broken: Path, lab: Lab, tmp_path: Path
) -> None:
    tree = tiny().tree()
    tree["seed"] = 1
    for content, why in ((json_bytes(tree), f"describes run {tiny(seed=1).identity}"), (b'{"task"', "not valid JSON")):
        (broken / SPEC).write_bytes(content)
        ended = lab("score", tiny().identity, "--home", tmp_path / "home")
        assert ended.returncode == 2
        assert f"{SPEC}: {why}" in ended.stderr
        assert "train the run again, which writes it anew" in ended.stderr
    train(tiny(), tmp_path / "home")
    assert contents(broken) == usual


def test_what_a_kill_left_under_a_temporary_name_is_harmless_and_removed(
    tiny: Spec, usual: dict[str, bytes], broken: Path, tmp_path: Path
) -> None:
    for name in EQUAL:
        (broken / f"{name}.tmp").write_bytes(b"half a fi")
    train(tiny(), tmp_path / "home")
    assert not list(broken.glob("*.tmp"))
    assert contents(broken) == usual


def test_a_disk_that_fills_up_at_any_write_is_a_sentence_and_nothing_is_lost(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write fails half-way, as it does on a disk with a little room, at the first, second, ... flush."""
    spec = tiny(training__steps=4, training__evaluate_every_steps=2)
    train(spec, tmp_path / "usual")
    usual = contents(RunFolder(tmp_path / "usual", spec.identity).path)
    flushed: list[int] = []
    fails_at = 0

    def full(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) > fails_at:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - 7)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    said: set[str] = set()
    while True:
        home = tmp_path / str(fails_at)
        flushed.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                train(spec, home)
            except WorkFailed as error:
                path, _, why = str(error).partition(": ")
                said.add(Path(path).name)
                assert why.startswith("could not be written (No space left on device); ")
                assert why.endswith("intact")
            else:
                break
        folder = RunFolder(home, spec.identity)
        assert not list(folder.path.glob("*.tmp"))
        for name in (LAST, BEST):
            if (folder.path / name).exists():
                assert folder.read_tensors(name) is not None
        train(spec, home)
        assert contents(folder.path) == usual
        fails_at += 1
    assert said == {SPEC, ENVIRONMENT, METRICS, TIMING, LAST, BEST, RESULT}
    assert fails_at >= 2 + 2 * 4 + 2  # spec, environment; two evaluations: three lines, a checkpoint; line, result


def test_a_validation_loss_that_is_not_a_number_is_a_divergence(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.run.training.Evaluator.__call__", lambda *_: {"loss_1": float("nan"), "accuracy": 0.5})
    assert train(tiny(), tmp_path)["status"] == "diverged"


def test_a_folder_that_cannot_be_written_to_is_a_sentence(
    tiny: Spec, whole: Path, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read-only to this process: every opening for writing fails, as it does for a user who is not root."""
    opened = Path.open

    def read_only(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if set(mode) & set("wax+"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", read_only)
    assert lab("score", tiny().identity, "--home", tmp_path / "home").returncode == 0
    assert train(tiny(), tmp_path / "home")["status"] == "complete"
    monkeypatch.undo()
    (whole / RESULT).unlink()
    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(UserError, match=r"cannot be written to \(Permission denied\); choose another --home"):
        train(tiny(), tmp_path / "home")


def test_a_home_that_is_a_file_is_a_sentence(tiny: Spec, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(UserError, match="the folder cannot be created"):
        train(tiny(), tmp_path / "home")


def test_a_folder_is_held_by_one_and_free_again_afterwards(tmp_path: Path) -> None:
    with lock_folder(tmp_path, "at it"):
        (tmp_path / "x.tmp").write_text("of the process that holds it")
        with pytest.raises(UserError, match="another process is at it"), lock_folder(tmp_path, "at it"):
            pass
        assert (tmp_path / "x.tmp").exists()
    with lock_folder(tmp_path, "at it"):
        assert not (tmp_path / "x.tmp").exists()
