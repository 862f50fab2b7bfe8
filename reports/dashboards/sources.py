"""All studies and searches that a board can display."""

from pathlib import Path
from typing import Literal

from generators.foundation.settings import read_toml
from reports.dashboards.board import TrialSource
from reports.dashboards.searches import SearchSource
from reports.dashboards.studies import StudySource
from studies.declared.catalog import name_of
from studies.declared.names import is_path
from studies.ledger.arguments import checked_name
from studies.ledger.folder import StudyFolder
from studies.ledger.search_places import check_search_file

Kind = Literal["study", "search"]


def shown(home: Path, argument: str | None, scale: str | None) -> tuple[str | None, Kind | None]:
    """Returns the name of the study or search that an argument means and, for a path, which of the two its file
    declares.

    Raises:
        UserError: the content of the file differs from what is stored under its name.
    """
    if argument is None:
        return None, None
    if not is_path(argument):
        return checked_name(home, argument, scale), None
    path = Path(argument)
    if "space" in read_toml(path):
        check_search_file(home, path, scale)
        return name_of(path), "search"
    for folder in StudyFolder.all_stored(home, name_of(path), scale):
        checked_name(home, argument, folder.scale)
    return name_of(path), "study"


def sources(home: Path, name: str | None, scale: str | None, kind: Kind | None = None) -> list[TrialSource]:
    """Returns the stored studies, then the stored searches, sorted by name.

    Args:
        home: the lab's home.
        name: of one study or search; None for all.
        scale: None for all.
        kind: None for both.
    """
    studies = StudyFolder.all_stored(home, name, scale) if kind != "search" else []
    searches = StudyFolder.all_searches(home, name, scale) if kind != "study" else []
    return [
        *(StudySource(home, folder.name, folder.scale) for folder in studies),
        *(SearchSource(home, folder.name, folder.scale) for folder in searches),
    ]
