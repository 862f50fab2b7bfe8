"""Parts from another package, installed as a user installs it.

The example package has a task, a trunk, an objective, an analysis, a kind of claim, an exhibit and an executor, each in one file
with one entry point.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generators.check import check_task
from lab.objectives.check import check_objective
from tests.example_package.mtp_lab_example.previous_token import PreviousTokenConfig
from tests.example_package.mtp_lab_example.reverse import Reverse, ReverseConfig
from tests.outside_package import EXAMPLE, ROOT, STUDY, install_example

Outside = Callable[..., subprocess.CompletedProcess[str]]


def test_the_example_task_passes_its_check_and_its_shortcut_is_right_at_one_position_in_six() -> None:
    task = Reverse(ReverseConfig(symbols=20))
    assert check_task(task, 500).passed
    assert task.text(task.batch("train", [0]).tokens[0]).replace(" ", "") == "".join(
        [
            *(string := [task.vocabulary[token] for token in task.batch("train", [0]).tokens[0][:6]]),
            "|",
            *reversed(string),
        ]
    )
    right = task.shortcut_scores(task.batch("test", range(500)))["last_letter"].reshape(500, 6)
    assert right[:, 0].all()
    assert right[:, 1:].mean() == pytest.approx(1 / 20, abs=0.02)


def test_the_example_objective_passes_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.objectives.table import OBJECTIVES

    target = "tests.example_package.mtp_lab_example.previous_token:PreviousToken"
    monkeypatch.setitem(OBJECTIVES.rows, "previous_token", target)  # type: ignore[arg-type]
    assert [check for check in check_objective(PreviousTokenConfig(weight=0.5)) if check.problem] == []


def python_blocks(document: str) -> list[str]:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_document_on_your_own_objective_builds_the_example() -> None:
    blocks = python_blocks("your-own-objective.md")
    lines = {line for block in blocks for line in block.splitlines()}
    example = (EXAMPLE / "mtp_lab_example" / "previous_token.py").read_text(encoding="utf-8").splitlines()
    replaced_later = '        return {"norm": self.norm, "unembedding": self.lm_head}'
    assert len(blocks) == 4
    assert lines - {replaced_later} == set(example)


def test_the_document_on_your_own_parts_shows_the_files_of_the_example() -> None:
    names = ("reverse", "calibration", "above_average", "score_by_seconds", "logged")
    files = [(EXAMPLE / "mtp_lab_example" / f"{name}.py").read_text(encoding="utf-8") for name in names]
    assert python_blocks("your-own-parts.md") == files


def test_the_document_on_your_own_parts_shows_every_entry_point() -> None:
    pyproject = (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    document = (ROOT / "docs" / "your-own-parts.md").read_text(encoding="utf-8")
    points = pyproject[pyproject.index("[project.entry-points") :]
    assert points in document
    assert points.count("[project.entry-points") == 7


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """outside("data", "list"): runs the command in a separate process, with the example installed or without it."""
    site = install_example(tmp_path)

    def run(*arguments: object, installed: bool = True) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(map(str, [ROOT, site] if installed else [ROOT]))
        environment = {**os.environ, "PYTHONPATH": path, "LAB_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-m", "lab", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    return run


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_study_of_another_package_runs_and_is_refused_in_one_sentence_once_it_is_uninstalled(
    outside: Outside, tmp_path: Path
) -> None:
    assert answer(outside("data", "list", "--json"))["reverse"].endswith("(mtp-lab-example 0.1.0)")
    assert answer(outside("data", "check", "reverse", "--count", 200, "--json"))["unconfirmed"] == 0
    assert answer(outside("objective", "list", "--json"))["previous_token"].endswith("(mtp-lab-example 0.1.0)")
    assert set(answer(outside("objective", "check", "previous_token", "--json")).values()) == {"ok"}

    study = tmp_path / "mine.toml"
    study.write_text(STUDY)
    run = ("study", "run", study, "--scale", "smoke", "--workers", 1, "--json")
    first, again = answer(outside(*run)), answer(outside(*run))
    assert (first["trained"], again["trained"]) == (6, 0)
    assert first["failed"] == []
    assert first["verdicts"] == again["verdicts"]
    page = Path(answer(outside("report", "mine", "--json"))["report"]).read_text()
    assert "objective=mine" in page
    assert "mtp-lab-example" in page

    runs = {path.parent.name: json.loads(path.read_text()) for path in (tmp_path / "home").glob("runs/*/spec.json")}
    mine = next(name for name, spec in runs.items() if spec["objective"]["kind"] == "previous_token")
    environment = json.loads((tmp_path / "home" / "runs" / mine / "environment.json").read_text())
    assert environment["mtp-lab-example"] == "0.1.0"
    assert "accuracy" in answer(outside("score", mine, "--json"))["scores"]

    answer(outside("export", mine, tmp_path / "exported", "--json"))
    exported = {path.name for path in (tmp_path / "exported").iterdir()}
    assert exported >= {"model.safetensors", "extra_heads.safetensors"}, (
        "the Llama, and the other network in a file of its own"
    )

    for command in (("score", mine), run):
        done = outside(*command, installed=False)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "no such task" in done.stderr
        assert "no other installed package provides that name" in done.stderr
    without = Path(answer(outside("report", "mine", "--json", installed=False))["report"]).read_text()
    assert "objective=mine" in without
    exhibit = "Score against seconds of training"
    assert (exhibit in page, exhibit in without) == (True, False)
