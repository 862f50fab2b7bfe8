"""Files that `lab new` writes pass their checks as they stand; names that cannot be used are refused in one sentence."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from generators.check import check_task
from generators.table import TASKS, build_task
from lab.model.table import MODELS
from lab.objectives.check import check_model, check_objective
from lab.objectives.table import OBJECTIVES
from lab.run.spec import read_spec
from studies.declared.loading import declare
from tests.conftest import Lab
from tests.fake_package import Install

PARTS = ("objective", "task", "trunk")


@pytest.fixture(autouse=True)
def inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")


def installed_beginning(kind: str, name: str, lab: Lab, install: Install) -> Path:
    assert lab("new", kind, name).returncode == 0
    folder = Path(name).absolute()
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    ((group, rows),) = project["entry-points"].items()
    points = "".join(f"{key} = {target}\n" for key, target in rows.items())
    install(name, f"[{group}]\n{points}", (folder / f"{name}.py").read_text())
    return folder


def test_a_new_objective_passes_its_check_and_its_run_can_be_read(lab: Lab, install: Install) -> None:
    folder = installed_beginning("objective", "my_objective", lab, install)
    checks = check_objective(OBJECTIVES.config({"kind": "my_objective", "weight": 0.5}, "the test"))
    assert [check for check in checks if check.problem] == []
    assert read_spec(folder / "run.toml", []).objective.kind == "my_objective"


def test_a_new_task_passes_its_check_and_its_run_can_be_read(lab: Lab, install: Install) -> None:
    folder = installed_beginning("task", "my_task", lab, install)
    assert check_task(build_task(TASKS.config({"kind": "my_task"}, "the test")), 500).problems == []
    assert read_spec(folder / "run.toml", []).task.kind == "my_task"


def test_a_new_trunk_passes_its_check_and_its_run_can_be_read(lab: Lab, install: Install) -> None:
    folder = installed_beginning("trunk", "my_trunk", lab, install)
    checks = check_model(MODELS.config({"kind": "my_trunk", "width": 16, "layers": 4}, "the test"))
    assert [check for check in checks if check.problem] == []
    assert read_spec(folder / "run.toml", []).model.kind == "my_trunk"


def test_a_new_study_can_be_loaded_at_each_of_its_scales(lab: Lab) -> None:
    assert lab("new", "study", "two-tokens").returncode == 0
    assert [declare("./two-tokens.toml", scale, []).seeds for scale in ("smoke", "cpu")] == [2, 6]


@pytest.mark.parametrize("kind", PARTS)
def test_a_new_package_is_formatted_and_free_of_lint(kind: str, lab: Lab) -> None:
    assert lab("new", kind, "my_part").returncode == 0
    options = ("--isolated", "--no-cache", "--line-length", "120")
    for command in (("check", "--select", "B,E,F,I,PT,RUF,UP"), ("format", "--check")):
        ruff = [sys.executable, "-m", "ruff", *command, *options, "my_part"]
        assert subprocess.run(ruff, capture_output=True, text=True).stdout.strip().endswith(("passed!", "formatted"))


@pytest.mark.parametrize("kind", [*PARTS, "study"])
def test_no_file_is_overwritten_and_none_is_written_beside_one_that_exists(kind: str, lab: Lab) -> None:
    folder = Path("there")
    existing = folder / "my_part.toml" if kind == "study" else folder / "my_part" / "run.toml"
    existing.parent.mkdir(parents=True)
    existing.write_text("mine")
    refused = lab("new", kind, "my_part", "--to", folder)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert f"{existing}: exists and stays as it is" in refused.stderr
    assert [path.read_text() for path in folder.rglob("*") if path.is_file()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("objetive", "my_part"), "the nearest is objective"),
        (("objective", "MyPart"), "such as my_part"),
        (("task", "my-part"), "such as my_part"),
        (("task", "class"), "such as my_class"),
        (("task", "setup"), "such as my_setup"),
        (("objective", "token_order"), "objective token_order of mtp-lab has this name"),
        (("task", "numpy"), "an installed module has this name"),
        (("task", "mtp_lab"), "an installed package has this name"),
        (("objective", "term"), "its class Term would hide another Term of its module"),
        (("study", "star-quick"), "a study of the lab has this name"),
        (("study", "a/b"), "separates the parts of paths"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_in_one_sentence(
    arguments: tuple[str, str], reason: str, lab: Lab
) -> None:
    refused = lab("new", *arguments)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert reason in refused.stderr
    assert list(Path().iterdir()) == []
