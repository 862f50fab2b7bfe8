"""The file that a stored study came from. A name in a home belongs to one file."""

import os
from pathlib import Path

from studies.declared.catalog import STUDIES, Catalog
from studies.declared.names import run_command_line, stem_of
from studies.ledger.folder import StudyFolder
from studies.ledger.records import catalog_source


def is_shipped(source: Path) -> bool:
    """Tells whether the source of a study, loaded or stored, is a file of the catalog."""
    return STUDIES.ships(source) or (source == Path(catalog_source(stem_of(source))) and not source.exists())


def origin_of(home: Path, source: Path, catalog: Catalog = STUDIES) -> str | None:
    """Returns the path of a file relative to the home, as in state.json; None for a file of the catalog."""
    shipped = is_shipped(source) if catalog is STUDIES else catalog.ships(source)
    return None if shipped else os.path.relpath(source.resolve(), home.resolve())


def is_of_catalog(folder: StudyFolder) -> bool:
    """Tells whether a stored study is the catalog study of the same name."""
    return folder.read_state().origin is None and folder.read_study().is_of_catalog


def is_from(folder: StudyFolder, source: Path) -> bool:
    """Tells whether a stored study is known to have come from a file."""
    origin = origin_of(folder.home, source)
    return is_of_catalog(folder) if origin is None else folder.read_state().origin == origin


def origin_text(folder: StudyFolder) -> str:
    """Returns the origin of a stored study, worded for error messages."""
    origin = folder.read_state().origin
    if origin:
        return os.path.relpath(folder.home.resolve() / origin)
    return f"the catalog's {folder.name}" if is_of_catalog(folder) else "an archive, or an earlier version of the lab"


def remedy(folder: StudyFolder, path: Path) -> str:
    """Returns what a user can do if the content of a file differs from what is stored under its name."""
    by_name = f"give the name {folder.name} to read what is stored"
    if is_from(folder, path):
        command = run_command_line(str(path), folder.scale, folder.home)
        return f"it was edited since it ran: run it again ({command}), or {by_name}"
    return f"the stored study came from {origin_text(folder)}: rename the file or give another --home, or {by_name}"
