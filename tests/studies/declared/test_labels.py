"""A study file may give names for people to what it declares; a label of nothing is refused, and no label reruns."""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run.files import make_folder
from studies.declared.loading import declare
from studies.ledger.declared_study import find_study, record_of
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord, LedgerRecord
from studies.reading.labels import Labels
from tests.small_study import Replacement
from tests.studies.conftest import Edit


def labelled(*lines: str) -> Replacement:
    return "[tuning]\n", "[labels]\n" + "\n".join(lines) + "\n\n[tuning]\n"


def test_a_label_names_its_level_its_factor_its_cell_and_its_metric(study_file: Edit) -> None:
    lines = (
        '"objective.n=2" = "two heads"',
        '"model.width" = "width"',
        '"width=16 n=1" = "baseline"',
        'accuracy = "x"',
        '"claim=helps" = "two heads help"',
    )
    study = declare(str(study_file(labelled(*lines))), "cpu", [])
    labels = Labels(study)
    assert [labels.cell(cell) for cell in study.cells] == ["width=8 n=1", "width=8, two heads", "baseline", "width=16, two heads"]  # fmt: skip
    assert (labels.factor("model.width"), labels.factor("objective.n"), labels.metric("accuracy")) == (
        "width",
        "n",
        "x",
    )
    assert (labels.claim("helps"), labels.claim("small_gains")) == ("two heads help", "small gains")
    assert labels.in_text("width=8 n=2 minus width=16 n=1 at n=2") == "width=8, two heads minus baseline at two heads"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('"objective.n=3" = "three"', 'labels."objective.n=3" = "three": no level of objective.n; the nearest is objective.n='),
        ('"objektive.n" = "heads"', 'labels."objektive.n" = "heads": no factor, level, cell, metric, shortcut or claim of the study; the nearest is objective.n'),
        ('"claim=help" = "it helps"', 'labels."claim=help" = "it helps": no claim of the study; the nearest is claim=helps (there are: claim=helps, claim=same)'),
        ('accuracy = ""', 'labels.accuracy = "": should have at least 1 character'),
    ],
)  # fmt: skip
def test_a_label_of_nothing_is_refused_with_the_nearest(study_file: Edit, line: str, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        declare(str(study_file(labelled(line))), "cpu", [])
    assert sentence in str(refused.value)


def test_a_study_without_labels_is_stored_as_by_earlier_versions(study_file: Edit) -> None:
    assert "labels" not in record_of(declare(str(study_file()), "cpu", [])).declaration


def test_labels_do_not_make_another_version_of_a_study(study_file: Edit, tmp_path: Path) -> None:
    """Its runs stay in the ledger, and its file gives the stored study its labels."""
    plain = declare(str(study_file()), "cpu", [])
    folder = StudyFolder(tmp_path / "home", plain.name, "cpu")
    make_folder(folder.path)
    folder.write_study(record_of(plain))
    folder.write_ledger(
        LedgerRecord(cells=[CellRecord(label="width=8 n=1", levels={"model.width": 8, "objective.n": 1})])
    )
    path = study_file(labelled('"objective.n=2" = "two heads"'))
    study = declare(str(path), "cpu", [])
    assert find_study(tmp_path / "home", str(path), None).declaration.labels == {"objective.n=2": "two heads"}
    assert find_study(tmp_path / "home", plain.name, None).declaration.labels == {}
    folder.write_study(record_of(study))
    assert len(folder.read_ledger().cells) == 1
    assert find_study(tmp_path / "home", plain.name, None).declaration.labels == {"objective.n=2": "two heads"}
