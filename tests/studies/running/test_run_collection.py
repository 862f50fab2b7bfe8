"""A collection runs its studies in turn; one that fails stops no other, and every failure is reported."""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run.files import lock_folder
from studies.declared.collection import Collection, CollectionChapter, CollectionDeclaration, Member
from studies.ledger.folder import StudyFolder
from studies.running.executors.executor import Outcome, RunRequest
from studies.running.executors.table import ExecutorChoice
from studies.running.run_collection import run_collection
from studies.running.run_study import StudyResult
from tests.small_study import write_small_study
from tests.stub_training import stub_attempt


def collection_of(*files: str) -> Collection:
    """Returns a collection of study files, all in one chapter."""
    chapter = CollectionChapter(title="Chapter", text="Text.", studies=[Member(study=file) for file in files])
    return Collection("files", CollectionDeclaration(title="Files", question="Which?", chapters=[chapter]))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Writes the small study under three names; every run of the second one at n = 2 diverges."""

    def attempt(request: RunRequest, home: Path) -> Outcome:
        if request.tree["training"]["batch_size"] == 3 and request.tree["objective"]["n"] == 2:
            return Outcome({"status": "diverged", "reason": "not finite"})
        return stub_attempt(request, home)

    monkeypatch.setattr("studies.running.executors.here.attempt", attempt)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    sizes = {"a": 2, "b": 3, "c": 4}
    return [
        str(write_small_study(tmp_path, ("batch_size = 2", f"batch_size = {size}"), name=name))
        for name, size in sizes.items()
    ]


def test_failed_runs_of_a_study_are_its_failure_and_the_next_study_runs(files: list[str], tmp_path: Path) -> None:
    finished: list[StudyResult] = []
    choice = ExecutorChoice("here", tmp_path / "home")
    result = run_collection(collection_of(*files), "smoke", [], choice, finished.append)
    assert list(result.studies) == ["a", "b", "c"]
    assert [study.trained for study in finished] == [12, 8, 12]
    first, second = (f"width={width} n=2, tune seed 1073741824: not finite" for width in (8, 16))
    assert result.failures == {"b": f"2 runs failed: {first}; {second}"}


def test_a_study_that_cannot_run_is_a_failure_and_the_next_study_runs(files: list[str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    finished: list[StudyResult] = []
    with lock_folder(StudyFolder(home, "b", "smoke").path, "running this study"):
        result = run_collection(collection_of(*files), "smoke", [], ExecutorChoice("here", home), finished.append)
    assert list(result.studies) == ["a", "c"]
    assert len(finished) == 2
    assert list(result.failures) == ["b"]
    assert "another process is running this study" in result.failures["b"]


def test_no_study_runs_where_the_file_of_one_is_wrong(files: list[str], tmp_path: Path) -> None:
    wrong = write_small_study(tmp_path, ("seeds = 5", "seeds = 5"), name="d")
    wrong.write_text(wrong.read_text().replace("seeds = 5", "seed = 5"))
    choice = ExecutorChoice("here", tmp_path / "home")
    with pytest.raises(UserError, match="seed = 5: no such key; the nearest is seeds"):
        run_collection(collection_of(*files, str(wrong)), "smoke", [], choice, lambda result: None)
    assert not (tmp_path / "home").exists()
