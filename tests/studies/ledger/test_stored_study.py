"""A study as it is stored: read back whole, or refused with the reason."""

import json
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run.files import make_folder
from studies.declared.study import Study
from studies.ledger.declared_study import find_study, record_of
from studies.ledger.folder import StudyFolder


def stored(home: Path, study: Study) -> StudyFolder:
    """Writes a study into its folder, and returns the folder."""
    folder = StudyFolder(home, study.name, study.scale)
    make_folder(folder.path)
    folder.write_study(record_of(study))
    return folder


def test_a_stored_study_is_read_back_as_it_was(small: Study, tmp_path: Path) -> None:
    stored(tmp_path, small)
    assert find_study(tmp_path, "small", None) == small


def test_a_stored_kind_of_claim_that_is_not_installed_is_named(small: Study, tmp_path: Path) -> None:
    path = stored(tmp_path, small).path / "study.json"
    tree = json.loads(path.read_text())
    tree["declaration"]["claims"][0]["kind"] = "above_average"
    path.write_text(json.dumps(tree))
    with pytest.raises(
        UserError, match=r"with a package that is missing here .*'above_average': no such kind of claim"
    ):
        find_study(tmp_path, "small", None)
