"""The place of a search in a home, with the same rule as for studies (`places.py`)."""

import os
from collections.abc import Iterator
from pathlib import Path

from generators.foundation.errors import UserError
from studies.declared.catalog import SEARCHES, name_of
from studies.declared.search import Search, load_search
from studies.ledger.folder import StudyFolder
from studies.ledger.origins import origin_of
from studies.ledger.search_records import SearchRecord
from studies.ledger.versions import differing_keys, listed, search_content


def remarks_on_search(home: Path, search: Search) -> Iterator[str]:
    """Yields notes on the search that is stored in the place of a search that is about to run.

    Raises:
        UserError: the name belongs to another file.
    """
    origin = origin_of(home, Path(search.source), SEARCHES)
    for folder in StudyFolder.all_searches(home, search.name):
        here = folder.scale == search.scale
        try:
            record = read_record(folder)
            same_file = record.origin == origin
            if same_file and not here:
                continue
            other = search if here else load_search(search.source, folder.scale, [])
            keys = differing_keys(record.content, search_content(other))
        except UserError as error:
            if here:
                yield f"{search.source}: {folder.path} is overwritten, because it cannot be read: {error}"
            continue
        if keys and not same_file:
            raise UserError(
                f"{search.source}: the name {search.name!r} belongs to {origin_text(home, record)} under {home}, which "
                f"differs ({listed(keys)}); rename the file or give another --home"
            )
        if keys:
            yield f"{search.source}: was edited since it last ran ({listed(keys)})"


def read_record(folder: StudyFolder) -> SearchRecord:
    """Returns a stored search with its content.

    Raises:
        UserError: it is damaged, or an earlier version of the lab stored it without its content.
    """
    record = folder.read_search()
    if record is None or not record.content:
        raise UserError(f"{folder.path}: an earlier version of the lab stored this search; search again")
    return record


def check_search_file(home: Path, path: Path, scale: str | None) -> None:
    """Checks that the searches stored under a file's name, at one scale or at all scales, have the content of the file.

    Raises:
        UserError: a search differs.
    """
    for folder in StudyFolder.all_searches(home, name_of(path), scale):
        record = read_record(folder)
        keys = differing_keys(record.content, search_content(load_search(str(path), folder.scale, [])))
        if keys:
            raise UserError(
                f"{path}: differs from what is stored in {folder.path} ({listed(keys)}), from "
                f"{origin_text(home, record)}; search again, or give the name {folder.name} to show it"
            )


def origin_text(home: Path, record: SearchRecord) -> str:
    """Returns where a stored search came from, as an error message names it."""
    return os.path.relpath(home.resolve() / record.origin) if record.origin else f"the catalog's {record.name}"
