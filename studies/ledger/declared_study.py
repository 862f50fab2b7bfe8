"""Turns a declared study into its stored record and back; reads its cells with the version that wrote them."""

from dataclasses import fields, replace
from pathlib import Path

from generators.foundation.errors import UserError
from generators.foundation.settings import validate
from studies.declared.catalog import name_of
from studies.declared.checks.labels import check_labels
from studies.declared.loading import read_study_file, study_at_scale
from studies.declared.names import is_path
from studies.declared.study import Study
from studies.declared.study_file import StudyDeclaration
from studies.ledger.folder import StudyFolder
from studies.ledger.origins import is_shipped, remedy
from studies.ledger.records import CellRecord, LedgerRecord, StudyRecord, catalog_source
from studies.ledger.versions import differing_keys, listed, study_content


def record_of(study: Study) -> StudyRecord:
    """Returns the record from which a study can be read and run again."""
    plain = {field.name: getattr(study, field.name) for field in fields(study)}
    if is_shipped(Path(study.source)):
        plain["source"] = catalog_source(study.name)
    plain |= {"assignments": list(study.assignments), "declaration": study.declaration.model_dump(mode="json")}
    return StudyRecord(**plain, runs=study.runs)


def find_study(home: Path, argument: str, scale: str | None) -> Study:
    """Returns a study as it last ran; without a scale, at the scale that ran last. A file gives it its labels.

    Args:
        argument: the study's name, or the path of its file, which must have the stored content.

    Raises:
        UserError: the study never ran; or neither this version of the lab nor an installed package can read it; or the
            content of the file differs from the stored one.
    """
    if not is_path(argument):
        return study_in(StudyFolder.latest(home, argument, scale))
    path = Path(argument)
    declaration = read_study_file(path)
    folder = StudyFolder.latest(home, name_of(path), scale, argument)
    stored = study_in(folder)
    keys = [f"scales.{folder.scale}"]
    if folder.scale in declaration.scales:
        study = study_at_scale(path, declaration, folder.scale, list(stored.assignments))
        keys = differing_keys(study_content(stored), study_content(study))
    if keys:
        raise UserError(
            f"{path}: differs from what is stored in {folder.path} ({listed(keys)}); {remedy(folder, path)}"
        )
    check_labels([study_at_scale(path, declaration, scale, list(stored.assignments)) for scale in declaration.scales])
    return replace(stored, declaration=stored.declaration.model_copy(update={"labels": declaration.labels}))


def study_in(folder: StudyFolder) -> Study:
    """Returns the study in a folder as it last ran.

    Raises:
        UserError: neither this version of the lab nor an installed package can read it.
    """
    record = folder.read_study()
    plain = {field: getattr(record, field) for field in StudyRecord.model_fields if field != "runs"}
    try:
        declaration = validate(StudyDeclaration, record.declaration, str(folder.path))
    except UserError as error:
        raise folder.of_another_version(str(error)) from None
    return Study(**plain | {"declaration": declaration, "assignments": tuple(record.assignments)})


def cells_of(home: Path, study: Study) -> list[CellRecord]:
    """Returns the cells of a study's ledger; raises as `ledger_of`."""
    return ledger_of(home, study).cells


def ledger_of(home: Path, study: Study) -> LedgerRecord:
    """Returns the ledger of a study as last written, with the cells of its grid in the order of the grid.

    Raises:
        UserError: what is stored under the study's name is another version of it, or another study.
    """
    folder = StudyFolder(home, study.name, study.scale)
    if not folder.is_stored:
        return LedgerRecord(cells=[])
    ledger = folder.read_ledger()
    cells = {cell.label: cell for cell in ledger.cells}
    # Afterwards, because a ledger is emptied before another version is written.
    if keys := differing_keys(study_content(study_in(folder)), study_content(study)):
        raise UserError(
            f"{study.source}: differs from what is stored in {folder.path} ({listed(keys)}); give the name "
            f"{study.name} to read what is stored, or run the study as it is now"
        )
    return ledger.model_copy(update={"cells": [cells[cell.label] for cell in study.cells if cell.label in cells]})
