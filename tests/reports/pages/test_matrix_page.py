"""The page of a matrix: a square for each objective and task, and what holds across tasks."""

import json
from pathlib import Path

import pytest

from reports.exhibits.matrix.counts import SolvedCounts
from reports.exhibits.matrix.solved import SolvedMap
from reports.exhibits.matrix.sooner import SoonerMap
from reports.frames.matrix.results import MatrixResults, read_matrix
from reports.frames.study_summary import summarise
from studies.declared.catalog import COLLECTIONS, STUDIES
from studies.declared.loading import declare
from studies.declared.matrix.equal_operations import step_operations
from studies.reading.judged import read_judged
from tests.conftest import Lab
from tests.studies.declared.mini_matrix import write_mini_matrix


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Path:
    """Runs the small matrix at scale smoke."""
    folder = write_mini_matrix(tmp_path)
    monkeypatch.setattr(COLLECTIONS, "folder", folder / "collections")
    monkeypatch.setattr(STUDIES, "folder", folder)
    monkeypatch.setattr("reports.pages.study.render_study", lambda judged, *_: "a page")
    monkeypatch.setattr("reports.pages.writing.controls_in", lambda home: [])
    home = folder / "home"
    ran = lab("study", "run", "mini", "--scale", "smoke", "--executor", "here", "--home", home)
    assert ran.returncode == 0, ran.stderr
    return home


def test_the_page_has_a_square_for_each_objective_and_task_and_links_to_the_studies(home: Path, lab: Lab) -> None:
    written = lab("report", "mini", "--home", home, "--json")
    assert written.returncode == 0, written.stderr
    page = Path(json.loads(written.stdout)["index"]).read_text()
    assert page.count('class="square heat') == 2 * 2 * 2
    assert page.count('href="mini-heads-smoke.html"') >= 4
    for heading in ("Probability of improvement", "Performance profiles", "Ranks", "Cost beside gain", "The tasks"):
        assert heading in page
    assert "Scoreboard" not in page
    assert "https://" not in page
    assert "src=" not in page.replace("script-src", "")

    studies = [declare(f"mini-{row}", "smoke") for row in ("heads", "token-order")]
    matrix = read_matrix(home, "mini", [summarise(read_judged(home, study), f"{study.name}.html") for study in studies])
    assert matrix is not None
    check_arms(matrix)
    counts = SolvedCounts(matrix).table()
    assert [row[0].text for row in counts.rows] == ["next token", "heads", "token order"]
    for row, objective in zip(counts.rows, matrix.objectives, strict=True):
        for entry, task in zip(row[1:], matrix.tasks, strict=True):
            assert entry.text.startswith(f"{sum(matrix.arms[objective, task].solved.values())} of 2")
    for exhibit in (SolvedMap(matrix), SoonerMap(matrix)):
        table = exhibit.table()
        assert [column.title for column in table.columns] == ["objective", "sums", "graphs", "mean"]
        assert [row[0].text for row in table.rows] == ["heads", "token order"]
        for row in table.rows:
            assert all(
                square.verdict == "not tested" and square.link and square.heat is not None for square in row[1:3]
            )


def check_arms(matrix: MatrixResults) -> None:
    """Checks that each arm has its own steps, nearly equal operations, and the runs of the first seeds."""
    assert (matrix.baseline, matrix.seeds, len(matrix.arms)) == ("next-token", 2, 6)
    assert matrix.tasks == {"sums": "sums", "graphs": "graphs"}
    heads, baseline = matrix.arms["heads", "sums"], matrix.arms["next-token", "sums"]
    assert heads.steps < baseline.steps
    assert heads.parameters > baseline.parameters
    assert (heads.solved_at, matrix.arms["heads", "graphs"].solved_at) == (0.01, 0.9)
    assert baseline.shortcut >= 0
    study = declare("mini-heads", "smoke")
    spec = study.spec(study.cells[1], study.middle, 0)
    assert heads.operations == step_operations(spec) * spec.training.steps
    assert all(seconds > 0 for seconds in heads.seconds)
