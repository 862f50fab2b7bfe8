"""Every fault in a run's folder gives a one-sentence error, nothing stored is lost, and nothing damaged is trusted."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from generators.foundation.errors import UserError, WorkFailed
from lab.run.files import json_bytes, lock_folder
from lab.run.loop.training_run import TrainingRun
from lab.run.store import BEST, ENVIRONMENT, FORMAT, LAST, METRICS, RESULT, SPEC, TIMING, RunFolder
from lab.run.training import train
from tests.conftest import Lab, Spec
from tests.lab.killed_runs import EQUAL_FILES, contents


@pytest.mark.parametrize("log", [METRICS, TIMING])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            lambda content: content[: len(content) // 2],
            r"has \d whole lines, but last.safetensors was written after",
        ),
        (lambda content: content[:-1], r"has \d whole lines, but last.safetensors was written after"),
        (lambda content: b"", "has 0 whole lines"),
        (lambda content: content.replace(b'"step": 8', b"\0\0\0\0\0\0\0\0\0"), r"line \d is not JSON"),
        (None, "has 0 whole lines"),
    ],
    ids=["half", "last line torn", "empty", "zeros inside", "missing"],
)
def test_a_log_that_lost_lines_is_refused_with_the_remedy(
    tiny: Spec,
    complete_contents: dict[str, bytes],
    interrupted_folder: Path,
    tmp_path: Path,
    log: str,
    damage: Any,
    reason: str,
) -> None:
    kept = {name: (interrupted_folder / name).read_bytes() for name in (LAST, BEST)}
    if damage is None:
        (interrupted_folder / log).unlink()
    else:
        (interrupted_folder / log).write_bytes(damage((interrupted_folder / log).read_bytes()))
    with pytest.raises(UserError, match=rf"{log}: {reason}.*delete {LAST} there and train the run again"):
        train(tiny(), tmp_path / "home")
    assert {name: (interrupted_folder / name).read_bytes() for name in kept} == kept
    if damage is None:  # the remedy is the same for every damage
        (interrupted_folder / LAST).unlink()
        train(tiny(), tmp_path / "home")
        assert contents(interrupted_folder) == complete_contents


def test_lines_after_the_checkpoint_are_cut_off_even_torn_ones(
    tiny: Spec, complete_contents: dict[str, bytes], interrupted_folder: Path, tmp_path: Path
) -> None:
    for log in (METRICS, TIMING):
        with (interrupted_folder / log).open("ab") as file:
            file.write(b'{"step": 99, "split": "train"}\n{"step": 9')
    train(tiny(), tmp_path / "home")
    assert contents(interrupted_folder) == complete_contents


def test_a_log_damaged_inside_is_one_sentence_to_its_readers(tiny: Spec, complete_folder: Path, tmp_path: Path) -> None:
    content = (complete_folder / METRICS).read_bytes()
    (complete_folder / METRICS).write_bytes(content.replace(b"{", b"\0", 1))
    with pytest.raises(UserError, match=f"{METRICS}: line 1 is not JSON; delete {LAST} and {RESULT} there"):
        RunFolder(tmp_path / "home", tiny().identity).lines(METRICS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"),
        (b'{"status": "comp', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"null", "not a JSON object"),
        (b"{}", "not a run's result"),
        (json_bytes({"run": "0123456789abcdef", "status": "complete"}), "the result of run 0123456789abcdef"),
    ],
)
def test_an_invalid_result_is_refused_and_written_again_without_training(
    tiny: Spec, complete_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, reason: str
) -> None:
    before = contents(complete_folder)
    (complete_folder / RESULT).write_bytes(content)
    with pytest.raises(UserError, match=rf"{RESULT}: {reason}.*delete it and train the run again, which resumes"):
        train(tiny(), tmp_path / "home")
    (complete_folder / RESULT).unlink()
    monkeypatch.setattr(TrainingRun, "take_step", None)
    train(tiny(), tmp_path / "home")
    assert contents(complete_folder) == before


@pytest.mark.parametrize("number", [1, FORMAT + 1])
def test_a_folder_of_another_format_is_refused_by_every_command(
    tiny: Spec, complete_folder: Path, lab: Lab, tmp_path: Path, number: int
) -> None:
    environment = json.loads((complete_folder / ENVIRONMENT).read_text())
    assert environment["format"] == FORMAT
    environment["format"] = number
    if number == 1:
        del environment["format"]  # format 1 stored no number
    (complete_folder / ENVIRONMENT).write_bytes(json_bytes(environment))
    before = {path.name: path.read_bytes() for path in complete_folder.iterdir()}
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
            (complete_folder / RESULT).unlink()
            del before[RESULT]
    assert {path.name: path.read_bytes() for path in complete_folder.iterdir()} == before


def test_a_spec_of_another_run_is_refused_and_written_again_by_training(
    tiny: Spec, complete_contents: dict[str, bytes], interrupted_folder: Path, lab: Lab, tmp_path: Path
) -> None:
    tree = tiny().tree()
    tree["seed"] = 1
    for content, reason in (
        (json_bytes(tree), f"describes run {tiny(seed=1).identity}"),
        (b'{"task"', "not valid JSON"),
    ):
        (interrupted_folder / SPEC).write_bytes(content)
        ended = lab("score", tiny().identity, "--home", tmp_path / "home")
        assert ended.returncode == 2
        assert f"{SPEC}: {reason}" in ended.stderr
        assert "train the run again, which writes it again" in ended.stderr
    train(tiny(), tmp_path / "home")
    assert contents(interrupted_folder) == complete_contents


def test_a_run_whose_corpus_changed_is_refused_with_that_reason_until_the_text_is_restored(
    tiny: Spec, tmp_path: Path, lab: Lab
) -> None:
    corpus = tmp_path / "tales.txt"
    text = "\n\n".join(f"{number} came before {number + 1}, and {number + 2} after it." for number in range(80))
    corpus.write_text(text)
    task = {"kind": "text", "corpus": str(corpus), "separator": "\n\n", "length_tokens": 16}
    spec = tiny(task={**task, "validation_samples": 4, "test_samples": 4}, training__steps=1, training__warmup_steps=0)
    train(spec, tmp_path)
    run = spec.identity  # a spec's identity follows the text
    corpus.write_text(f"{text} The end.")
    ended = lab("score", run, "--home", tmp_path)
    assert ended.returncode == 2
    assert "the text of task.corpus has changed (restore it), or it was edited" in ended.stderr
    corpus.write_text(text)
    assert lab("score", run, "--home", tmp_path).returncode == 0


def test_temporary_files_of_a_killed_process_are_harmless_and_removed(
    tiny: Spec, complete_contents: dict[str, bytes], interrupted_folder: Path, tmp_path: Path
) -> None:
    for name in EQUAL_FILES:
        (interrupted_folder / f"{name}.tmp").write_bytes(b"half a fi")
    train(tiny(), tmp_path / "home")
    assert not list(interrupted_folder.glob("*.tmp"))
    assert contents(interrupted_folder) == complete_contents


def test_a_disk_that_fills_up_at_any_write_is_one_sentence_and_loses_nothing(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first, second, ... flush fails half-way, as on a disk with little space left."""
    spec = tiny(training__steps=4, training__evaluate_every_steps=2)
    train(spec, tmp_path / "complete")
    expected = contents(RunFolder(tmp_path / "complete", spec.identity).path)
    flushed: list[int] = []
    fails_at = 0

    def full(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) > fails_at:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - 7)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    failed: set[str] = set()
    while True:
        home = tmp_path / str(fails_at)
        flushed.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                train(spec, home)
            except WorkFailed as error:
                path, _, reason = str(error).partition(": ")
                failed.add(Path(path).name)
                assert reason.startswith("could not be written (No space left on device); ")
                assert reason.endswith("intact")
            else:
                break
        folder = RunFolder(home, spec.identity)
        assert not list(folder.path.glob("*.tmp"))
        for name in (LAST, BEST):
            if (folder.path / name).exists():
                assert folder.read_tensors(name) is not None
        train(spec, home)
        assert contents(folder.path) == expected
        fails_at += 1
    assert failed == {SPEC, ENVIRONMENT, METRICS, TIMING, LAST, BEST, RESULT}
    assert fails_at >= 2 + 2 * 4 + 2  # spec, environment; two evaluations: three lines, a checkpoint; line, result


def test_a_read_only_folder_is_one_sentence_for_those_who_write(
    tiny: Spec, complete_folder: Path, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a file for writing fails, as it does in a read-only folder for a user who is not root."""
    opened = Path.open

    def read_only(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if set(mode) & set("wax+"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", read_only)
    assert lab("score", tiny().identity, "--home", tmp_path / "home").returncode == 0
    assert train(tiny(), tmp_path / "home")["status"] == "complete"
    monkeypatch.undo()
    (complete_folder / RESULT).unlink()
    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(UserError, match=r"cannot be written to \(Permission denied\); choose another --home"):
        train(tiny(), tmp_path / "home")


def test_a_home_that_is_a_file_is_refused_with_a_sentence(tiny: Spec, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(UserError, match="the folder cannot be created"):
        train(tiny(), tmp_path / "home")


def test_a_locked_folder_is_refused_to_others_and_free_again_afterwards(tmp_path: Path) -> None:
    with lock_folder(tmp_path, "writing"):
        (tmp_path / "x.tmp").write_text("the holder is still writing this")
        with pytest.raises(UserError, match="another process is writing"), lock_folder(tmp_path, "writing"):
            pass
        assert (tmp_path / "x.tmp").exists()
    with lock_folder(tmp_path, "writing"):
        assert not (tmp_path / "x.tmp").exists()
