"""`lab doctor` finds nothing wrong here, and marks what is absent or wrong elsewhere."""

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from torch import nn

from lab.doctor import machine
from lab.doctor.extras import install_command
from lab.doctor.machine import check_package, check_torch_features
from tests.conftest import Lab


def test_the_doctor_finds_nothing_wrong_here(tmp_path: Path, lab: Lab) -> None:
    done = lab("doctor", "--json", "--home", tmp_path)
    assert done.returncode == 0
    checks = json.loads(done.stdout)
    assert checks["training"]["finding"].startswith("two runs of one tiny spec gave the same results")
    assert checks["home"]["finding"] == str(tmp_path.resolve())


def test_a_torch_without_chunked_cross_entropy_is_named_and_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(nn, "LinearCrossEntropyOptions", raising=False)
    check = check_torch_features()
    assert check.mark == "absent"
    assert "torch before 2.13 has no chunked cross-entropy" in check.finding


def test_a_missing_package_is_wrong_if_it_is_required_and_absent_if_it_belongs_to_an_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find_nothing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(machine, "version", find_nothing)
    assert check_package("numpy").mark == "WRONG"
    ray = check_package("ray")
    assert ray.mark == "absent"
    assert ray.finding == f"not installed; {install_command('ray')}"


def test_a_home_that_cannot_be_written_is_wrong_and_exits_with_1(
    tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "train_twice", lambda: "not trained here")
    monkeypatch.setattr(machine, "compare_figures", lambda: "not trained here")
    (tmp_path / "file").write_text("")
    done = lab("doctor", "--home", tmp_path / "file" / "home")
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert line.endswith(f"{tmp_path}/file/home: cannot be written to (Not a directory); choose another --home")
