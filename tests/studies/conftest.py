"""The small study file as fixtures, and its scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studies.declared.loading import declare
from studies.declared.study import Study
from tests.conftest import Lab
from tests.small_study import Replacement, write_small_study
from tests.stub_training import stub_attempt
from tests.studies.workshop import Workshop

Edit = Callable[..., Path]


@pytest.fixture
def study_file(tmp_path: Path) -> Edit:
    """Returns a function that writes the small study file with pieces of its text replaced."""

    def write(*replacements: Replacement) -> Path:
        return write_small_study(tmp_path, *replacements)

    return write


@pytest.fixture
def small(study_file: Edit) -> Study:
    """Loads the small study at scale cpu."""
    return declare(str(study_file()), "cpu", [])


@pytest.fixture
def workshop(tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setattr("studies.running.executors.here.attempt", stub_attempt)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    monkeypatch.setattr("reports.pages.study.render_study", lambda judged, *_: f"a page of {judged.study.source}")
    monkeypatch.setattr("reports.exhibits.index.scoreboard.effects_figure", lambda lines, name: "<svg></svg>")
    monkeypatch.chdir(tmp_path)
    return Workshop(tmp_path, lab)


def scores_of(study: Study, by_cell: dict[str, list[float]]) -> dict[str, dict[int, Any]]:
    """Returns cell label -> seed -> score; a cell that is not named scores 0.5 in every seed."""
    default = {cell.label: [0.5] * study.seeds for cell in study.cells}
    return {label: dict(enumerate(values)) for label, values in (default | by_cell).items()}
