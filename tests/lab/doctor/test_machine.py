"""`lab doctor` finds nothing wrong here, and marks what is absent or wrong elsewhere."""

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from torch import nn

from lab.doctor import machine
from lab.doctor.extras import install_command
from lab.doctor.machine import check_package
from lab.doctor.torch_features import check_torch_features
from tests.conftest import Lab


def test_the_doctor_finds_nothing_wrong_here(tmp_path: Path, lab: Lab) -> None:
    done = lab("doctor", "--json", "--home", tmp_path)
    assert done.returncode == 0
    checks = json.loads(done.stdout)
    assert checks["training"]["finding"].startswith("two runs of one tiny spec gave the same results")
    assert checks["home"]["finding"] == str(tmp_path.resolve())


def test_features_that_this_torch_or_machine_lacks_are_named_and_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(nn, "LinearCrossEntropyOptions", raising=False)
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CXX", "absent")
    checks = {check.name: check for check in check_torch_features()}
    assert {(check.mark, check.prevents_work) for check in checks.values()} == {("absent", False)}
    assert "torch before 2.13 has no chunked cross-entropy" in checks["chunked loss"].finding
    assert 'training.optimiser = "muon" needs torch 2.9 or later' in checks["muon"].finding
    assert "training.compile = true: needs a C++ compiler" in checks["compiled steps"].finding
    assert "this CPU has no AVX-512" in checks["bf16"].finding


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
