"""A declared study to its stored record, and back."""

from dataclasses import fields
from pathlib import Path

from generators.foundation.errors import UserError
from generators.foundation.settings import validate
from studies.declared.catalog import STUDIES
from studies.declared.study import Study
from studies.declared.study_file import StudyDeclaration
from studies.ledger.folder import StudyFolder
from studies.ledger.records import StudyRecord


def record_of(study: Study) -> StudyRecord:
    """Returns the record from which a study can be read and run again."""
    plain = {field.name: getattr(study, field.name) for field in fields(study)}
    if Path(study.source).parent == STUDIES.folder:
        plain["source"] = f"studies/catalog/{study.name}.toml"  # wherever the lab is installed
    plain |= {"assignments": list(study.assignments), "declaration": study.declaration.model_dump(mode="json")}
    return StudyRecord(**plain, runs=study.runs)


def find_study(home: Path, name: str, scale: str | None) -> Study:
    """Returns a study as it last ran; without a scale, at the scale that ran last.

    Raises:
        UserError: the study never ran, or neither this version of the lab nor an installed package can read it.
    """
    folder = StudyFolder.latest(home, name, scale)
    record = folder.read_study()
    plain = {field: getattr(record, field) for field in StudyRecord.model_fields if field != "runs"}
    try:
        declaration = validate(StudyDeclaration, record.declaration, str(folder.path))
    except UserError as error:
        raise folder.of_another_version(str(error)) from None
    return Study(**plain | {"declaration": declaration, "assignments": tuple(record.assignments)})
