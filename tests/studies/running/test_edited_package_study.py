"""A package is edited between two runs of a study with worker processes, which agree on the code that made a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.edited_package import EditedPackage
from tests.outside_package import STUDY

PART = "mtp_lab_example.previous_token"


def codes_of(home: Path) -> dict[str, list[Any]]:
    """Returns kind of objective -> the different versions of the code that made its runs."""
    versions: dict[str, list[Any]] = {}
    for path in home.glob("runs/*/spec.json"):
        code = json.loads((path.parent / "environment.json").read_text())["code"]
        of_kind = versions.setdefault(json.loads(path.read_text())["objective"]["kind"], [])
        of_kind += [code] if code not in of_kind else []
    return versions


@pytest.mark.slow
def test_worker_processes_agree_on_the_code_and_an_edit_voids_the_runs_of_its_own_arm(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(STUDY)
    run = ("study", "run", "./mine.toml", "--scale", "smoke", "--executor", "here")
    with EditedPackage(tmp_path, "studies.commands.study", "studies.running.run_study") as package:
        first, _ = package.answer(*run[:-2], "--workers", "2")
        assert (first["trained"], first["failed"]) == (6, [])
        versions = codes_of(tmp_path / "home")
        assert {kind: len(different) for kind, different in versions.items()} == {"multi_token": 1, "previous_token": 1}
        assert PART in versions["previous_token"][0]
        assert PART not in versions["multi_token"][0]

        package.edit("previous_token", ('"""Settings of `previous_token`."""', '"""Its settings."""'))
        again, notes = package.answer(*run)
        assert (again["trained"], again["old_runs"]) == (0, {})

        package.edit("previous_token", ('Term("recall", value', 'Term("recall", 100 * value'))
        package.release("0.2.0")
        kept, notes = package.answer(*run)
        assert (kept["trained"], kept["old_runs"]) == (0, {"objective=mine": 3})
        assert f"3 runs of 1 cell were made by code other than the installed code ({PART})" in notes
        assert package.answer("study", "status", "mine")[0]["old_runs"] == {"objective=mine": 3}

        retrained, notes = package.answer(*run, "--retrain")
        assert (retrained["trained"], retrained["old_runs"]) == (3, {})
        assert len(codes_of(tmp_path / "home")["previous_token"]) == 1
