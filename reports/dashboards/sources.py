"""All studies and searches that a board can display."""

from pathlib import Path

from reports.dashboards.board import TrialSource
from reports.dashboards.searches import SearchSource
from reports.dashboards.studies import StudySource
from studies.ledger.folder import StudyFolder


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
