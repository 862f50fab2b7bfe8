"""The frames of a matrix are read from the studies of its rows, each number from the runs and claims it belongs to."""

import json
from pathlib import Path

import pytest

from lab.run.store import RESULT
from reports.frames.matrix.results import MatrixResults, read_matrix
from reports.frames.study_summary import summarise
from studies.declared.catalog import COLLECTIONS, STUDIES
from studies.declared.loading import declare
from studies.reading.judged import read_judged
from studies.running.executors.here import InProcess
from studies.running.sweep import Sweep
from tests.stub_training import stub_attempt
from tests.studies.declared.mini_matrix import write_mini_matrix


@pytest.fixture
def matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MatrixResults:
    """Runs the small matrix without training; each run ends after a single step, which took a second."""
    folder = write_mini_matrix(tmp_path)
    monkeypatch.setattr(COLLECTIONS, "folder", folder / "collections")
    monkeypatch.setattr(STUDIES, "folder", folder)
    monkeypatch.setattr("studies.running.executors.here.attempt", stub_attempt)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    studies = [declare(f"mini-{row}", "smoke") for row in ("heads", "token-order")]
    for study in studies:
        Sweep(study, tmp_path, lambda event: None).run(InProcess(tmp_path))
    for path in tmp_path.glob(f"runs/*/{RESULT}"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"steps": 1}))
    results = read_matrix(tmp_path, "mini", [summarise(read_judged(tmp_path, study), "") for study in studies])
    assert results is not None
    return results


def test_a_square_holds_the_two_claims_of_its_task_each_in_its_place(matrix: MatrixResults) -> None:
    assert list(matrix.squares) == [(row, task) for row in ("heads", "token-order") for task in ("sums", "graphs")]
    for (_, task), square in matrix.squares.items():
        names = (square.solves.claim.name, square.sooner.claim.name)
        assert names == (f"{task}_solves", f"{task}_sooner")


def test_each_run_counts_once_with_the_seconds_of_a_whole_budget(matrix: MatrixResults) -> None:
    """The runs of the baseline are in both rows."""
    assert len(matrix.arms) == 3 * 2
    for arm in matrix.arms.values():
        assert arm.steps > 1
        assert arm.seconds == [arm.steps] * 2
