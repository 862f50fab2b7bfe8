"""Runs that different code made: refused, kept or trained again, and killed at any moment of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generators.foundation.errors import UserError
from lab.run.files import json_bytes
from lab.run.loop.training_run import TrainingRun
from lab.run.other_code.replacing import put_in_place
from lab.run.other_code.standing import OtherCode, OtherCodeError, standing_result
from lab.run.store import BEST, CODE, ENVIRONMENT, LAST, RESULT, RunFolder
from lab.run.training import train
from tests.conftest import Lab, Spec
from tests.lab.killed_runs import Killed, contents, contents_at

PART = "lab.model.layers"


def made_by(folder: Path, code: str | None) -> None:
    """Makes the stored environment say that different code made a run; None for a run made before that was stored."""
    environment = json.loads((folder / ENVIRONMENT).read_text())
    if code is None:
        del environment[CODE]
    else:
        environment[CODE][PART] = code
    (folder / ENVIRONMENT).write_bytes(json_bytes(environment))


def other_result(folder: Path) -> bytes:
    """Makes a complete run one of different code, with a result of its own; returns that result."""
    made_by(folder, "0/0")
    result = json.loads((folder / RESULT).read_text())
    result["scores"]["best"]["test"]["accuracy"] = 0.123
    (folder / RESULT).write_bytes(json_bytes(result))
    return (folder / RESULT).read_bytes()


def test_a_result_of_other_code_is_refused_and_can_be_kept(tiny: Spec, complete_folder: Path, tmp_path: Path) -> None:
    old = other_result(complete_folder)
    with pytest.raises(OtherCodeError, match=rf"{PART} differs\): its result in .*{RESULT} is that of the old code"):
        train(tiny(), tmp_path / "home")
    kept = train(tiny(), tmp_path / "home", other_code="keep")
    assert kept["scores"]["best"]["test"]["accuracy"] == 0.123
    assert (complete_folder / RESULT).read_bytes() == old


@pytest.mark.parametrize("other_code", ["renew", "retrain"])
def test_a_run_that_is_trained_again_has_the_bytes_of_a_new_one(
    tiny: Spec, complete_folder: Path, complete_contents: dict[str, bytes], tmp_path: Path, other_code: OtherCode
) -> None:
    other_result(complete_folder)
    for name in ("analysis-step-best.json", "weights-8.safetensors"):
        (complete_folder / name).write_text("{}")
    train(tiny(), tmp_path / "home", other_code=other_code)
    assert contents(complete_folder) == complete_contents
    assert not list(complete_folder.glob("analysis-*"))
    assert not list(complete_folder.glob("weights-*"))
    assert not (complete_folder / "anew").exists()
    train(tiny(), tmp_path / "home")


def test_a_run_of_unknown_code_stands_and_can_be_trained_again(
    tiny: Spec, complete_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by(complete_folder, None)
    folder = RunFolder(tmp_path / "home", tiny().identity)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "take_step", None)
        for other_code in ("refuse", "keep"):
            train(tiny(), tmp_path / "home", other_code=other_code)
        assert folder.code() is None
    train(tiny(), tmp_path / "home", other_code="renew")
    assert folder.code() is not None


def test_a_run_that_resumes_keeps_the_code_that_it_began_with(
    tiny: Spec, interrupted_folder: Path, tmp_path: Path
) -> None:
    made_by(interrupted_folder, None)
    train(tiny(), tmp_path / "home")
    assert RunFolder(tmp_path / "home", tiny().identity).code() is None


def test_a_run_that_other_code_began_is_refused_or_begins_again(
    tiny: Spec, interrupted_folder: Path, complete_contents: dict[str, bytes], tmp_path: Path
) -> None:
    made_by(interrupted_folder, "0/0")
    checkpoint = (interrupted_folder / LAST).read_bytes()
    with pytest.raises(
        OtherCodeError, match=r"was begun by code other than .* it has not ended; --retrain begins it again"
    ):
        train(tiny(), tmp_path / "home")
    assert (interrupted_folder / LAST).read_bytes() == checkpoint
    steps: list[int] = []
    train(tiny(), tmp_path / "home", steps.append, other_code="keep")
    assert steps == [4, 8, 12]
    assert contents(interrupted_folder) == complete_contents


def test_old_results_are_kept_until_the_new_ones_are_whole_and_the_training_is_continued(
    tiny: Spec, complete_folder: Path, complete_contents: dict[str, bytes], tmp_path: Path
) -> None:
    old = other_result(complete_folder)
    before = {path.name: path.read_bytes() for path in complete_folder.iterdir() if path.is_file()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "finish", _killed)
        with pytest.raises(Killed):
            train(tiny(), tmp_path / "home", other_code="retrain")
    assert {path.name: path.read_bytes() for path in complete_folder.iterdir() if path.is_file()} == before
    assert (complete_folder / RESULT).read_bytes() == old
    steps: list[int] = []
    train(tiny(), tmp_path / "home", steps.append)
    assert steps == []
    assert contents(complete_folder) == complete_contents


def _killed(run: TrainingRun) -> None:
    raise Killed


def test_a_training_anew_that_other_code_began_begins_again(
    tiny: Spec, complete_folder: Path, complete_contents: dict[str, bytes], tmp_path: Path
) -> None:
    other_result(complete_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "finish", _killed)
        with pytest.raises(Killed):
            train(tiny(), tmp_path / "home", other_code="retrain")
    made_by(complete_folder / "anew", "1/1")
    steps: list[int] = []
    train(tiny(), tmp_path / "home", steps.append, other_code="renew")
    assert steps == [4, 8, 12]
    assert contents(complete_folder) == complete_contents


def test_a_kill_while_results_are_replaced_leaves_the_old_the_new_or_none(
    tiny: Spec, complete_folder: Path, complete_contents: dict[str, bytes], tmp_path: Path
) -> None:
    new = shutil.copytree(complete_folder, tmp_path / "new", ignore=shutil.ignore_patterns("lock", "spec.json"))
    old = other_result(complete_folder)
    (complete_folder / BEST).write_bytes(b"old weights")
    (complete_folder / "analysis-step-best.json").write_text("old analysis")
    original = shutil.copytree(complete_folder, tmp_path / "old")
    folder, moments = RunFolder(tmp_path / "home", tiny().identity), 0
    while True:
        shutil.rmtree(complete_folder)
        shutil.copytree(original, complete_folder)
        shutil.copytree(new, folder.anew.path)
        if not _stopped_after(moments, lambda: put_in_place(folder)):
            break
        result = (complete_folder / RESULT).read_bytes() if (complete_folder / RESULT).exists() else None
        assert result in (old, None, complete_contents[RESULT])
        weights = (complete_folder / BEST).read_bytes() if (complete_folder / BEST).exists() else None
        assert weights != (b"old weights" if result != old else complete_contents[BEST])
        if result != complete_contents[RESULT]:
            with folder.locked(tiny()):
                put_in_place(folder)
        assert contents(complete_folder) == complete_contents
        assert not (complete_folder / "analysis-step-best.json").exists()
        moments += 1
    assert moments > 8


def _stopped_after(count: int, work: Callable[[], None]) -> bool:
    """Does some work, with a kill before the file operation after `count` others; tells whether it came to that."""
    operations = 0

    def counted(method: Any) -> Any:
        def wrapped(path: Path, *arguments: Any) -> Any:
            nonlocal operations
            if operations == count:
                raise Killed
            operations += 1
            return method(path, *arguments)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        try:
            work()
        except Killed:
            return True
    return False


def test_a_start_that_other_code_made_is_refused_and_trained_again_with_the_run(
    tiny: Spec, complete_folder: Path, tmp_path: Path
) -> None:
    other_result(complete_folder)
    spec, home = tiny(objective__n=1, start={"objective": {"kind": "multi_token", "n": 2}}), tmp_path / "home"
    assert spec.start is not None
    assert spec.start.run.identity == tiny().identity
    for other_code in ("refuse", "keep"):
        with pytest.raises(OtherCodeError, match=f"run {tiny().identity} was trained by code other than"):
            train(spec, home, other_code=other_code)
        assert RunFolder(home, spec.identity).result() is None
    train(spec, home, other_code="retrain")
    assert RunFolder(home, tiny().identity).changed_code() == []
    assert contents_at(home, tiny()) == contents(complete_folder)


def test_a_damaged_record_of_the_code_is_read_as_unknown(tiny: Spec, complete_folder: Path, tmp_path: Path) -> None:
    environment = json.loads((complete_folder / ENVIRONMENT).read_text())
    for damaged in (3, ["lab"], {"lab.run.step": 3}):
        (complete_folder / ENVIRONMENT).write_bytes(json_bytes({**environment, CODE: damaged}))
        folder = RunFolder(tmp_path / "home", tiny().identity)
        assert folder.code() is None
        assert standing_result(folder, "refuse") is not None


def test_two_processes_cannot_train_a_run_again_at_once(tiny: Spec, complete_folder: Path, tmp_path: Path) -> None:
    other_result(complete_folder)
    folder = RunFolder(tmp_path / "home", tiny().identity)
    with folder.locked(tiny()), pytest.raises(UserError, match="another process is training this run"):
        train(tiny(), tmp_path / "home", other_code="retrain")


def test_commands_that_compute_from_old_weights_say_so(
    tiny: Spec, complete_folder: Path, tmp_path: Path, lab: Lab
) -> None:
    other_result(complete_folder)
    for arguments in (["score"], ["decode", "--samples", "2", "--count", "4"]):
        command, *options = arguments
        done = lab(command, tiny().identity, *options, "--home", tmp_path / "home", "--json")
        assert done.returncode == 0
        assert done.stderr.startswith(
            f"run {tiny().identity} was trained by code other than the installed code ({PART}"
        )
        assert json.loads(done.stdout)["changed_code"] == [PART]
