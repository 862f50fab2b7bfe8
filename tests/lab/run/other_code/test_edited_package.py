"""A package is edited between two commands: no score of the old code is passed off as one of the new."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.edited_package import EditedPackage

SPEC = """
[task]
kind = "reverse"
validation_samples = 20
test_samples = 40
[model]
width = 8
layers = 2
attention_heads = 1
[objective]
kind = "previous_token"
[training]
steps = 4
batch_size = 4
learning_rate = 0.01
evaluate_every_steps = 2
"""
NEW_LOSS = ('Term("recall", value', 'Term("recall", 100 * value')


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EditedPackage]:
    with EditedPackage(tmp_path_factory.mktemp("edited")) as package:
        (package.folder / "run.toml").write_text(SPEC)
        package.answer("train", "run.toml")
        shutil.copytree(package.folder / "home", package.folder / "trained")
        yield package


@pytest.fixture
def package(started: EditedPackage) -> EditedPackage:
    """The package as released, and its run, trained by it."""
    started.restore()
    shutil.rmtree(started.folder / "home")
    shutil.copytree(started.folder / "trained", started.folder / "home")
    return started


def stored(package: EditedPackage, name: str) -> Any:
    (path,) = package.folder.glob(f"home/runs/*/{name}")
    return json.loads(path.read_text())


def test_a_run_of_an_edited_objective_is_refused_until_it_is_trained_again(package: EditedPackage) -> None:
    old = stored(package, "result.json")
    package.edit("previous_token", NEW_LOSS)
    package.release("0.2.0")
    refused = package.lab("train", "run.toml", "--json")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "(mtp_lab_example.previous_token differs; mtp-lab-example was 0.1.0 and is 0.2.0)" in refused.stderr
    assert "--retrain trains it again" in refused.stderr
    assert stored(package, "result.json") == old

    scores, remark = package.answer("score", old["run"], "--split", "validation")
    assert "was trained by code other than the installed code (mtp_lab_example.previous_token differs" in remark
    assert scores["changed_code"] == ["mtp_lab_example.previous_token"]

    new, remark = package.answer("train", "run.toml", "--retrain")
    assert new["scores"] != old["scores"]
    assert "is the same" not in remark
    assert stored(package, "result.json")["scores"] == new["scores"]
    assert stored(package, "environment.json")["mtp-lab-example"] == "0.2.0"
    again, _ = package.answer("train", "run.toml")
    assert again == new
    assert package.answer("score", old["run"])[0]["changed_code"] == []


def test_comments_docstrings_and_files_that_the_run_does_not_use_void_nothing(package: EditedPackage) -> None:
    old, _ = package.answer("train", "run.toml")
    package.edit(
        "previous_token",
        ('"""Settings of `previous_token`."""', '"""Its settings."""'),
        ('description="weight of the recall loss in the sum"', 'description="its weight"'),
        ("        count = ", "        # A sample of T tokens.\n        count = "),
    )
    package.edit("reverse", ('"""A random string, ', '"""A string, '))
    package.edit("calibration", ("SAMPLES = 200", "SAMPLES = 300"))
    package.release("0.1.1")
    new, remark = package.answer("train", "run.toml")
    assert new == old
    assert remark == "mtp-lab-example was 0.1.0 and is 0.1.1; the code that makes this run is the same\n"


def test_the_task_of_a_package_counts_as_its_objective_does(package: EditedPackage) -> None:
    package.edit("reverse", ("string[:, ::-1]), axis=1)", "string[:, ::1]), axis=1)"))
    refused = package.lab("train", "run.toml")
    assert refused.returncode == 2
    assert "(mtp_lab_example.reverse differs)" in refused.stderr


def test_an_entry_point_that_leads_elsewhere_and_a_package_that_is_gone_are_changes(package: EditedPackage) -> None:
    (path,) = package.site.glob("*.dist-info/entry_points.txt")
    text = path.read_text()
    copy = package.site / "mtp_lab_example" / "later.py"
    copy.write_text((package.site / "mtp_lab_example" / "previous_token.py").read_text())
    path.write_text(text.replace("mtp_lab_example.previous_token:", "mtp_lab_example.later:"))
    refused = package.lab("train", "run.toml")
    assert refused.returncode == 2
    assert "(objectives previous_token differs)" in refused.stderr


def test_a_score_of_what_the_package_imports_counts(package: EditedPackage, tmp_path: Path) -> None:
    folder = package.site / "mtp_lab_example"
    (folder / "scale.py").write_text("SCALE = 1.0\n")
    (folder / "other.py").write_text("OTHER = 1.0\n")
    (folder / "__init__.py").write_text("from mtp_lab_example.other import OTHER\nfrom .scale import SCALE\n")
    package.edit(
        "previous_token", ("class PreviousToken(", "from mtp_lab_example import SCALE\n\n\nclass PreviousToken(")
    )
    package.edit("previous_token", ("self.config.weight)", "SCALE * self.config.weight)"))
    package.answer("train", "run.toml", "--retrain")
    (folder / "other.py").write_text("OTHER = 2.0\n")
    package.answer("train", "run.toml")
    (folder / "scale.py").write_text("SCALE = 2.0\n")
    refused = package.lab("train", "run.toml")
    assert refused.returncode == 2
    assert "(mtp_lab_example.scale differs)" in refused.stderr
