"""Stored studies that the tests of this room share."""

import pytest

from tests.reports.stored_study import STUDY_FILE, Outcome, StoredStudy, StudyStore, usual_outcome


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> StudyStore:
    """store(outcomes, ...): stores a study in a separate home."""
    return StudyStore(lambda: tmp_path_factory.mktemp("stored"))


@pytest.fixture(scope="session")
def usual_store(store: StudyStore) -> StoredStudy:
    """All runs complete; both claims supported. Not to be changed."""
    return store()


@pytest.fixture(scope="session")
def later_store(store: StudyStore) -> StoredStudy:
    """The usual study with seeds from 100 on. Not to be changed."""
    return store(text=STUDY_FILE.replace("seeds = 5\n", "seeds = 5\nfirst_seed = 100\n"))


@pytest.fixture(scope="session")
def broken_store(store: StudyStore) -> StoredStudy:
    """Half done: a seed and a trial failed, one seed and one trial have not ended. Not to be changed."""

    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        if cell == "width=8 n=2" and (phase, number) == ("confirm", 3):
            return "the loss was not a finite number by step 10 <script>alert(1)</script>"
        if cell == "width=16 n=1" and (phase, number) == ("tune", 0):
            return "MemoryError: out of memory"
        if cell == "width=16 n=1" and (phase, number) == ("confirm", 4):
            return None
        if cell == "width=16 n=2" and (phase == "confirm" or number == 1):
            return None
        return usual_outcome(cell, phase, number)

    return store(outcomes)
