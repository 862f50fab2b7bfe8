"""All studies and searches that a board can display."""

from pathlib import Path

from generators.foundation.settings import read_toml
from reports.dashboards.board import TrialSource
from reports.dashboards.searches import SearchSource
from reports.dashboards.studies import StudySource
from studies.declared.catalog import name_of
from studies.declared.names import is_path
from studies.ledger.arguments import checked_name
from studies.ledger.folder import StudyFolder
from studies.ledger.search_places import check_search_file


def shown_name(home: Path, argument: str, scale: str | None) -> str:
    """Returns the name that a command's argument shows: a name as it is, or that of a file that says what is stored.

    Raises:
        UserError: the file says something else than what is stored under its name.
    """
    path = Path(argument)
    if not is_path(argument):
        return checked_name(home, argument, scale)
    if "space" in read_toml(path):
        check_search_file(home, path, scale)
    else:
        for folder in StudyFolder.all_stored(home, name_of(path), scale):
            checked_name(home, argument, folder.scale)
    return name_of(path)


def sources(home: Path, name: str | None, scale: str | None) -> list[TrialSource]:
    """Returns the stored studies, then the stored searches, sorted by name.

    Args:
        home: the lab's home.
        name: of one study or search; None for all.
        scale: None for all.
    """
    studies = StudyFolder.all_stored(home, name, scale)
    searches = StudyFolder.all_searches(home, name, scale)
    return [
        *(StudySource(home, folder.name, folder.scale) for folder in studies),
        *(SearchSource(home, folder.name, folder.scale) for folder in searches),
    ]
