"""A damaged file stops only the command that asks for it alone; commands over several studies name it and go on."""

import json
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from studies.ledger.folder import StudyFolder
from tests.small_study import write_small_study
from tests.studies.home_versions import call, stubbed
from tests.studies.ledger.test_places import STEPS
from tests.studies.workshop import Workshop

Damage = Callable[[Path], None]


def edit(name: str, change: Callable[[Any], Any]) -> Damage:
    """Returns the damage of a JSON file whose content changes."""

    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return damage


def overwrite(name: str, text: str) -> Damage:
    """Returns a damage that overwrites a file with this text."""
    return lambda folder: (folder / name).write_text(text) and None


def without(key: str) -> Callable[[Any], Any]:
    return lambda tree: {name: value for name, value in tree.items() if name != key}


def with_unknown_claim(tree: Any) -> Any:
    tree["declaration"]["claims"][0]["kind"] = "above_average"
    return tree


RUN_DAMAGE: dict[str, tuple[Damage, str]] = {
    "an earlier format": (edit("environment.json", lambda tree: tree | {"format": 1}), "an earlier version of the lab"),
    "no format": (edit("environment.json", without("format")), "an earlier version of the lab (format 1"),
    "a later format": (edit("environment.json", lambda tree: tree | {"format": 99}), "a later version of the lab"),
    "a torn environment": (overwrite("environment.json", "{"), "environment.json: not valid JSON"),
    "a torn result": (overwrite("result.json", "{"), "result.json: not valid JSON"),
    "a result of other form": (edit("result.json", lambda tree: tree | {"scores": 3}), "does not have the form"),
    "a result of another run": (edit("result.json", lambda tree: tree | {"run": "0" * 16}), "the result of run 0000"),
    "a torn log": (overwrite("metrics.jsonl", "{\n"), "metrics.jsonl: line 1 is not JSON"),
    "a log of other form": (overwrite("timing.jsonl", "{}\n"), "timing.jsonl: line 1 has not evaluate_seconds, step"),
    "a log without objects": (overwrite("timing.jsonl", "3\n"), "timing.jsonl: line 1 has not"),
}
STUDY_DAMAGE: dict[str, tuple[Damage, str]] = {
    "a torn ledger": (overwrite("ledger.json", "{"), "ledger.json: not valid JSON"),
    "a ledger of other form": (overwrite("ledger.json", '{"cells": 3}'), "its ledger is damaged"),
    "a torn study": (overwrite("study.json", "{"), "study.json: not valid JSON"),
    "a study of another version": (edit("study.json", without("seeds")), "stored by another version of the lab"),
    "a missing package": (edit("study.json", with_unknown_claim), "'above_average': no such kind of claim"),
    "a renamed folder": (edit("study.json", lambda tree: tree | {"name": "z"}), "its folder has another name"),
}


COMMANDS = (("report",), ("results", "--out", "runs.csv"), ("tensorboard", "--out", "events"))
"""Commands over all studies, or over the one whose name follows."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two studies, x and y, which share no run, and their home."""
    folder = tmp_path_factory.mktemp("ran")
    write_small_study(folder, name="x")
    write_small_study(folder, STEPS, name="y")
    with stubbed(), chdir(folder):
        for name in ("x", "y"):
            command = ("study", "run", f"{name}.toml", "--scale", "smoke", "--executor", "here", "--home", "home")
            assert call(*command).code == 0
    return folder


@pytest.fixture
def two(ran: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A copy of the two studies and their home; TensorBoard need not be installed."""
    monkeypatch.setattr("reports.commands.tensorboard.event_writer", lambda: None)
    monkeypatch.setattr("reports.commands.tensorboard.write_events", lambda results, folder: len(results.runs))
    shutil.copytree(ran, workshop.folder, dirs_exist_ok=True)
    return workshop


def run_of(workshop: Workshop, name: str) -> Path:
    """Returns the folder of a run of a study that has a score."""
    cells = StudyFolder(workshop.home, name, "smoke").read_cells()
    return workshop.home / "runs" / cells[1].runs[-1].identity


def check_left_out(workshop: Workshop, reason: str, *, claims: bool) -> None:
    """Checks every command over both studies, and over the one that cannot be read.

    Args:
        claims: False where `lab claims` does not read what is damaged.
    """
    pages: list[str] = []
    for command in COMMANDS:
        value, errors = workshop.answer(*command)
        pages += value.get("pages", [])
        (name, sentence), *others = value["left_out"].items()
        assert (name.removesuffix("-smoke"), others) == ("y", [])
        assert reason in sentence
        assert f"{name} is left out: {sentence}" in errors
        assert "Traceback" not in errors
        assert reason in workshop.refused(*command, "y")
    assert pages == ["x-smoke.html"]
    assert "y is left out, with its claims: " in (workshop.home / "reports" / "index.html").read_text()
    assert set(pd.read_csv("runs.csv")["study"]) == {"x"}
    value, errors = workshop.answer("claims")
    assert len(value["x"]["verdicts"]) == 2
    if claims:
        assert value["y"]["verdicts"] == []
        assert reason in value["y"]["left_out"]
        assert reason in errors
        assert reason in workshop.refused("claims", "y")
    else:
        assert len(value["y"]["verdicts"]) == 2


@pytest.mark.parametrize("damage", RUN_DAMAGE)
def test_a_run_that_cannot_be_read_leaves_out_its_study_and_no_other(two: Workshop, damage: str) -> None:
    spoil, reason = RUN_DAMAGE[damage]
    spoil(run_of(two, "y"))
    check_left_out(two, reason, claims="format" in damage or "environment" in damage)


@pytest.mark.parametrize("damage", STUDY_DAMAGE)
def test_a_study_that_cannot_be_read_is_left_out_and_no_other(two: Workshop, damage: str) -> None:
    spoil, reason = STUDY_DAMAGE[damage]
    spoil(StudyFolder(two.home, "y", "smoke").path)
    check_left_out(two, reason, claims=True)


def test_where_nothing_can_be_read_the_command_says_so(two: Workshop) -> None:
    for name in ("x", "y"):
        (StudyFolder(two.home, name, "smoke").path / "ledger.json").write_text("{")
    for command in (("claims",), *COMMANDS):
        assert "none of the studies can be read; the first, x" in two.refused(*command)


def test_the_dashboard_shows_what_it_can_read(two: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.commands.dashboard.serve", lambda *_: None)
    (StudyFolder(two.home, "y", "smoke").path / "ledger.json").write_text("{")
    value, errors = two.answer("dashboard", "--port", "0")
    assert [name.partition(",")[0] for name in value["studies"]] == ["x", "x"]
    assert [reason for reason in value["left_out"] if "ledger.json: not valid JSON" in reason]
    assert "ledger.json: not valid JSON" in errors


def test_a_failed_run_with_damaged_files_does_not_hide_its_study(two: Workshop) -> None:
    run = run_of(two, "y")
    (run / "result.json").write_text("{")
    failed = two.lab("study", "run", "y.toml", "--scale", "smoke", "--executor", "here", "--home", two.home)
    assert failed.returncode == 1
    (run / "timing.jsonl").write_text("{\n")
    for command in (("report",), ("results", "--out", "runs.csv")):
        value, errors = two.answer(*command)
        assert (value["left_out"], errors) == ({}, "")
    assert "result.json: not valid JSON" in Path("runs.csv").read_text()
