"""The exhibits of a study's page as figures for a paper: the same drawing, at the width of a column or a page."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from re import sub
from typing import Any

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.outside import guarded, note_once
from generators.foundation.settings import suggestion
from lab.run.files import write_atomically
from reports.drawing.paper import PaperPanel, collect_panels
from reports.drawing.paper_files import Arrangement, file_of
from reports.exhibits.exhibit import Exhibit
from reports.exhibits.table import EXHIBITS
from studies.reading.judged import JudgedStudy

WIDTHS = {"column": 3.25, "page": 6.75}
"""Name -> inches. 3.25 is a column of ICML (IEEE has 3.5, ACL 3.03); 6.75 is the text of ICML (IEEE 7.16, ACL 6.3)."""
INCHES = (2.0, 12.0)
"""The least and the greatest width of a figure."""


@dataclass(frozen=True)
class PaperExhibit:
    """An exhibit of a study that can be drawn for a paper.

    Attributes:
        name: the name of its class, followed by its key if the study has several exhibits of that class.
        row: the name of its class in `EXHIBITS`.
        exhibit: the exhibit.
    """

    name: str
    row: str
    exhibit: Exhibit[Any]

    def panels(self, inches: float) -> tuple[list[PaperPanel], int]:
        """Returns its panels, and the number that stand side by side; no panels if it draws on no sheet.

        Raises:
            PartFailed: it comes from another package, and raised an error.
        """
        if self.row in EXHIBITS.rows:
            return collect_panels(self._draw, inches)
        with guarded(EXHIBITS.subject(self.row)):
            return collect_panels(self._draw, inches)

    def _draw(self) -> None:
        if not self.exhibit.placeholder():
            self.exhibit.figures()


def paper_exhibits(judged: JudgedStudy) -> Iterator[PaperExhibit]:
    """Yields the exhibits of a study's page; some of them may be tables or texts, which have no panels.

    Exhibits of other packages that fail are named on standard error and left out.
    """
    classes, left_out = EXHIBITS.usable()
    for sentence in left_out:
        note_once(sentence)
    for row, kind in classes.items():
        if kind.page != "study":
            continue
        try:
            instances = _instances(row, kind, judged)
        except (UserError, WorkFailed) as error:
            note_once(str(error))
            continue
        for exhibit in instances:
            suffix = "" if len(instances) == 1 else "/" + sub("[^a-z0-9]+", "-", exhibit.key().lower()).strip("-")
            yield PaperExhibit(row + suffix, row, exhibit)


def _instances(row: str, kind: type[Exhibit[Any]], judged: JudgedStudy) -> list[Exhibit[Any]]:
    """Returns the exhibits of a class; one of another package gets a copy of the data.

    Raises:
        PartFailed: the class comes from another package, and raised an error.
    """
    if row in EXHIBITS.rows:
        return list(kind.instances(judged))
    with guarded(EXHIBITS.subject(row)):
        return [exhibit for exhibit in kind.instances(deepcopy(judged)) if isinstance(exhibit, Exhibit)]


def figures_of(judged: JudgedStudy) -> dict[str, list[str]]:
    """Returns name -> titles of the panels, for each exhibit of a study that can be drawn for a paper."""
    titles = {}
    for exhibit in paper_exhibits(judged):
        try:
            panels, _ = exhibit.panels(WIDTHS["column"])
        except (UserError, WorkFailed) as error:
            note_once(str(error))
            continue
        if panels:
            titles[exhibit.name] = [panel.title for panel in panels]
    return titles


def exhibit_named(judged: JudgedStudy, name: str) -> PaperExhibit:
    """Returns an exhibit that has something to draw.

    Args:
        judged: the study, as `studies.load` returns it.
        name: one of the names in `figures_of(judged)`, such as `share-solved` or `contrasts`;
            `share_solved` means the same.

    Raises:
        UserError: the study has no such exhibit, or the exhibit has nothing to draw; the message gives the nearest.
        PartFailed: the exhibit comes from another package, and raised an error.
    """
    plain = name.replace("_", "-")
    exhibit = next((exhibit for exhibit in paper_exhibits(judged) if exhibit.name.replace("_", "-") == plain), None)
    if exhibit is None or not exhibit.panels(WIDTHS["column"])[0]:
        study, fault = judged.study, "has nothing to draw" if exhibit else "is no exhibit of this study"
        raise UserError(
            f"{study.name}, scale {study.scale}: {name!r} {fault}; {suggestion(name, list(figures_of(judged)))}"
        )
    return exhibit


def draw_for_paper(judged: JudgedStudy, name: str, path: Path, width: float = WIDTHS["column"]) -> None:
    """Draws an exhibit of a study's page for a paper.

    The file has the figure at its size in the paper, with text of 7.5 points and every font inside. The same study
    gives the same bytes.

    Args:
        judged: the study, as `studies.load` returns it.
        name: as for `exhibit_named`.
        path: a file that ends in .pdf, .svg or .png; its folder exists.
        width: of the figure, in inches.

    Raises:
        UserError, PartFailed: as `exhibit_named` does.
    """
    panels, columns = exhibit_named(judged, name).panels(width)
    subject = f"{name} of the study {judged.study.name} at scale {judged.study.scale}, drawn by mtp-lab"
    write_atomically(path, file_of(Arrangement.of(panels, columns), path.suffix, subject))
