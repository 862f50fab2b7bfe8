"""Exhibits as a page shows them: drawn, or the sentence that says why one of another package could not be drawn.

An exhibit of this lab that raises is a bug and raises here too.
"""

import re
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.outside import PartFailed, guarded, note_once, quoted
from reports.drawing.tables import Table
from reports.exhibits.drawn_types import figures_problem, table_problem, text_problem
from reports.exhibits.exhibit import Exhibit
from reports.exhibits.table import EXHIBITS
from reports.frames.numbers import plural

TEXTS = ("title", "introduction", "caption", "placeholder")


@dataclass(frozen=True)
class DrawnExhibit:
    """An exhibit with the results of its methods; if there are none, `failure` says why."""

    title: str = ""
    introduction: str = ""
    figures: Sequence[str] = ()
    caption: str = ""
    table: Table | None = None
    summary: Table | None = None
    placeholder: str = ""
    folds_long_tables: bool = True
    failure: str = ""

    @property
    def ids(self) -> list[str]:
        """The ids in its figures, which no other figure of a page may have."""
        return [name for figure in self.figures for name in re.findall(r'\bid="([^"]+)"', figure)]


@dataclass
class ExhibitProblems:
    """The exhibits of other packages that a page does not show. Each is named on standard error, once.

    Attributes:
        left_out: a sentence for each that cannot be used.
        failures: a sentence for each that could not be drawn.
    """

    left_out: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def leave_out(self, sentences: Sequence[str]) -> None:
        """Adds parts that cannot be used."""
        self.left_out = list(dict.fromkeys([*self.left_out, *sentences]))
        for sentence in sentences:
            note_once(sentence)

    def fail(self, sentence: str) -> DrawnExhibit:
        """Adds an exhibit that could not be drawn; returns what the page shows in its place."""
        self.failures.append(sentence)
        note_once(sentence)
        return DrawnExhibit(failure=sentence)


def check_drawn(failures: list[str]) -> None:
    """Checks that no exhibit failed, after everything else was written.

    Raises:
        WorkFailed: there are failures, each of which was named on standard error.
    """
    if failures:
        count = plural(len(failures), "exhibit")
        raise WorkFailed(f"{count} of other packages could not be drawn (see above); everything else was written")


def drawn_on(
    page: str, source: Any, problems: ExhibitProblems, section: str | None = None
) -> dict[str, list[DrawnExhibit]]:
    """Draws the exhibits of a page.

    Args:
        page: the page, such as `study`.
        source: the data that the page shows.
        problems: collects the exhibits that cannot be used or drawn.
        section: draws this section alone.

    Returns:
        section -> its exhibits, for every section that has any.
    """
    classes, left_out = EXHIBITS.usable()
    problems.leave_out(left_out)
    sections: dict[str, list[DrawnExhibit]] = {}
    for name, exhibit in classes.items():
        if exhibit.page != page or section not in (None, exhibit.section):
            continue
        if name in EXHIBITS.rows:
            drawn = [draw(instance) for instance in exhibit.instances(source)]
        else:
            shown = [other for exhibits in sections.values() for other in exhibits]
            drawn = draw_outside(name, exhibit, source, shown, problems)
        if drawn:
            sections.setdefault(exhibit.section, []).extend(drawn)
    return sections


def draw(exhibit: Exhibit[Any]) -> DrawnExhibit:
    """Calls the methods of an exhibit; a placeholder stands for its figures and its table."""
    placeholder, figures = exhibit.placeholder(), exhibit.figures()
    return DrawnExhibit(
        title=exhibit.title(),
        introduction=exhibit.introduction(),
        figures=figures,
        caption=exhibit.caption() if figures and not placeholder else "",
        table=None if placeholder else exhibit.table(),
        summary=exhibit.summary(),
        placeholder=placeholder,
        folds_long_tables=exhibit.folds_long_tables,
    )


def draw_outside(
    name: str, exhibit: type[Exhibit[Any]], source: Any, shown: list[DrawnExhibit], problems: ExhibitProblems
) -> list[DrawnExhibit]:
    """Draws the exhibits of a class from another package. An exhibit that cannot be drawn does not affect the others.

    They get a copy of the data, so that what they change in it appears nowhere else.

    Args:
        name: the name of the class in the registry.
        exhibit: the class.
        source: the data that the page shows.
        shown: the exhibits that the page shows already.
        problems: collects the exhibits that could not be drawn.
    """
    subject = EXHIBITS.subject(name)
    drawn: list[DrawnExhibit] = []
    try:
        with guarded(subject):
            instances = list(exhibit.instances(deepcopy(source)) or ())
        if others := [instance for instance in instances if not isinstance(instance, Exhibit)]:
            problem = f"instances() gives {quoted(others[0])}, which is no exhibit"
            raise PartFailed(f"{subject} failed with TypeError: {problem}")
    except (UserError, WorkFailed) as error:
        return [problems.fail(_sentence(subject, error))]
    for instance in instances:
        try:
            with guarded(subject):
                outcome = draw(instance)
            ids = {name for other in (*shown, *drawn) for name in other.ids}
            if problem := problem_of(outcome, ids, in_file=exhibit.page == "analysis"):
                raise PartFailed(f"{subject} failed with TypeError: {problem}")
        except (UserError, WorkFailed) as error:
            outcome = problems.fail(_sentence(subject, error))
        drawn.append(outcome)
    return drawn


def problem_of(drawn: DrawnExhibit, ids: set[str], *, in_file: bool) -> str:
    """Returns what a page could not show of an exhibit; empty if it can show everything.

    Args:
        drawn: the exhibit.
        ids: the ids in the other figures of the page.
        in_file: whether its figures go to a file, in which each figure needs a size.
    """
    problems = [text_problem(name, getattr(drawn, name)) for name in TEXTS]
    problems.append(figures_problem(drawn.figures, in_file=in_file))
    if drawn.table is not None or not drawn.placeholder:
        problems.append(table_problem("table", drawn.table))
    if drawn.summary is not None:
        problems.append(table_problem("summary", drawn.summary))
    problem = next(filter(None, problems), "")
    if problem:
        return problem
    shared = sorted(name for name, count in Counter([*set(ids), *drawn.ids]).items() if count > 1)
    return f"a figure has the id {shared[0]!r}, as another of the page; give open_sheet another name" if shared else ""


def _sentence(subject: str, error: Exception) -> str:
    return str(error) if isinstance(error, PartFailed) else f"{subject} failed with {type(error).__name__}: {error}"
