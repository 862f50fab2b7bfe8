"""Packages that `lab new` writes, installed by pip beside each other, checked, tested and trained as a user does it."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = ("pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
SOLVED = re.compile(r"test, best checkpoint: .*exact (\S+),")

pytestmark = pytest.mark.slow


def run(folder: Path, *arguments: object, site: Path | None = None) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [ROOT, site or folder]))}
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_new_packages_are_installed_beside_each_other_checked_and_trained(tmp_path: Path) -> None:
    site = tmp_path / "site"
    names = {
        "skip_ahead": ("objective", "objective check"),
        "carries": ("task", "data check"),
        "averages": ("trunk", "model check"),
    }
    for name, (kind, _) in names.items():
        run(tmp_path, "lab", "new", kind, name)
        (tmp_path / name / "second_module.py").write_text("")
    run(tmp_path, *PIP, "--target", site, *(f"./{name}" for name in names))
    assert {path.name for path in site.glob("*.py")} == {f"{name}.py" for name in names}
    for name, (_, check) in names.items():
        run(tmp_path, "lab", *check.split(), name, site=site)
        assert "passed" in run(tmp_path / name, "pytest", "-q", "-p", "no:cacheprovider", site=site)
        trained = run(tmp_path, "lab", "train", f"{name}/run.toml", site=site)
        (exact,) = SOLVED.findall(trained)
        assert float(exact) > 0.7
    short = ("--set", "training.steps=2", "--set", "training.warmup_steps=1")
    settings = tmp_path / "carries" / "run.toml"
    settings.write_text(re.sub(r"\[objective\][^[]*", '[objective]\nkind = "skip_ahead"\n\n', settings.read_text()))
    assert "complete" in run(tmp_path, "lab", "train", settings, *short, site=site)


def test_a_new_study_runs(tmp_path: Path) -> None:
    run(tmp_path, "lab", "new", "study", "two-tokens")
    assert "NOT TESTED" in run(tmp_path, "lab", "study", "run", "./two-tokens.toml", "--scale", "smoke").upper()


def test_an_editable_package_is_imported_in_the_folder_above_it(tmp_path: Path) -> None:
    """Python takes the folder `carries` there for a package of that name, unless an earlier place has the module."""
    run(tmp_path, "lab", "new", "task", "carries")
    run(tmp_path, *PIP, "--target", tmp_path / "site", "--editable", "./carries")
    (path_file,) = (tmp_path / "site").glob("*.pth")
    assert Path(path_file.read_text().strip()) == tmp_path / "carries"


def test_the_package_of_the_document_installs_with_a_second_module_beside_its_own(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "your-own-objective.md").read_text(encoding="utf-8")
    (pyproject,) = re.findall(r"```toml\n(\[project\]\n.*?)```", document, re.DOTALL)
    (module,) = tomllib.loads(pyproject)["tool"]["setuptools"]["py-modules"]
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(pyproject)
    for name in (module, "second"):
        (folder / f"{name}.py").write_text("")
    run(tmp_path, *PIP, "--target", tmp_path / "site", folder)
    assert {path.name for path in (tmp_path / "site").glob("*.py")} == {f"{module}.py"}
