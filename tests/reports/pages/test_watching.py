"""A watched page is written anew when more is stored, and ends as the plain command writes it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reports.commands.reports import app
from reports.pages import watching
from studies.ledger.folder import LEDGER, VERDICTS, StudyFolder
from tests.reports.conftest import Stored, ledger


@pytest.fixture
def running(broken_store: Stored, tmp_path: Path) -> Stored:
    """A study that has not ended, in a home of its own."""
    shutil.copytree(broken_store.home, tmp_path / "home")
    return Stored(tmp_path / "home", broken_store.study)


def looks(monkeypatch: pytest.MonkeyPatch, *happens: Callable[[], None]) -> list[int]:
    """What happens between a look and the next; how often was waited."""
    waited: list[int] = []
    then: Iterator[Callable[[], None]] = iter(happens)

    def sleep(seconds: float) -> None:
        waited.append(1)
        next(then)()

    monkeypatch.setattr(watching.time, "sleep", sleep)
    return waited


def report(stored: Stored, *arguments: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        app(["report", "small", "--home", str(stored.home), *arguments], prog_name="lab")
    assert stopped.value.code == 0


def test_a_page_is_renewed_as_runs_end_and_no_longer_once_the_study_was_judged(
    running: Stored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = StudyFolder(running.home, "small", "cpu").path
    page = running.home / "reports" / "small-cpu.html"
    cells = ledger(running)
    seen: list[str] = []

    def one_run_ends() -> None:
        seen.append(page.read_text())
        entry = next(each for each in cells[2]["entries"] if each["score"] is None and each["failure"] is None)
        entry["failure"] = "it was ended"
        (folder / LEDGER).write_text(json.dumps({"cells": cells}))

    def nothing() -> None:
        seen.append(page.read_text())

    def judged() -> None:
        seen.append(page.read_text())
        (folder / VERDICTS).write_text('{"verdicts": []}')

    waited = looks(monkeypatch, one_run_ends, nothing, judged)
    report(running, "--watch", "--json")
    told = capsys.readouterr()
    assert len(waited) == 3
    assert told.err.count("written anew") == 2
    assert json.loads(told.out)["report"] == str(page)
    assert all('<meta http-equiv="refresh" content="5">' in text for text in seen)
    assert "it was ended" not in seen[0]
    assert "it was ended" in seen[1]
    assert seen[2] == seen[1]
    last = page.read_text()
    assert "refresh" not in last
    report(running)
    assert page.read_text() == last


def test_ctrl_c_ends_watching_with_the_page_in_place(
    running: Stored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    looks(monkeypatch, interrupt)
    report(running, "--watch")
    assert "no longer watched" in capsys.readouterr().err
    assert "refresh" not in (running.home / "reports" / "small-cpu.html").read_text()
