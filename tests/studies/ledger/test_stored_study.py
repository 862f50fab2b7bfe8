"""A study as it is stored: read back whole, or refused with the reason."""

import json
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.declared.study import Study
from studies.ledger.declared_study import find_study, record_of
from studies.ledger.folder import StudyFolder


def test_a_stored_study_is_read_back_as_it_was(small: Study, tmp_path: Path) -> None:
    StudyFolder(tmp_path, small.name, small.scale).write_study(record_of(small))
    assert find_study(tmp_path, "small", None) == small


def test_a_stored_kind_of_claim_that_is_not_installed_is_named(small: Study, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, small.name, small.scale)
    folder.write_study(record_of(small))
    path = folder.path / "study.json"
    stored = json.loads(path.read_text())
    stored["declaration"]["claims"][0]["kind"] = "above_average"
    path.write_text(json.dumps(stored))
    with pytest.raises(
        UserError, match=r"with a package that is missing here .*'above_average': no such kind of claim"
    ):
        find_study(tmp_path, "small", None)
