"""The interface of an exhibit: figures, their caption, and the data behind them.

An exhibit is one class in one file. It declares its page and its section; pages show the exhibits of each section in
the order of `reports.exhibits.table`, and after those the exhibits of other installed packages (entry point group
`mtp_lab.exhibits`). A section that a page does not know gets its own heading.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, Literal, TypeVar

from lab.analysis.analysis import Row
from reports.drawing.tables import Column, Table, Value, number, word
from reports.frames.claim_lines import ClaimLine
from reports.frames.matrix.results import MatrixResults
from reports.frames.pairs import StudyPair
from studies.reading.judged import JudgedStudy
from studies.reading.labels import Labels

Source = TypeVar("Source")


class Exhibit(ABC, Generic[Source]):
    """Figures and their data.

    Args:
        source: the data that the page shows; its type depends on the page.

    Attributes:
        page: the page that shows it; `analysis` is the file that `lab analyse --figure` writes.
        section: the section of that page, or the name of the analysis.
        folds_long_tables: whether open tables of more than 12 rows are folded.
    """

    page: ClassVar[Literal["study", "index", "matrix", "comparison", "analysis"]]
    section: ClassVar[str]
    folds_long_tables: ClassVar[bool] = True

    def __init__(self, source: Source) -> None:
        self.source = source

    @classmethod
    def instances(cls, source: Source) -> "Sequence[Exhibit[Source]]":
        """Returns the exhibits of this class that a page shows: one by default, [] if there is nothing to show."""
        return [cls(source)]

    def title(self) -> str:
        """Returns the heading above the exhibit, or an empty text."""
        return ""

    def key(self) -> str:
        """Returns a name that no other exhibit of its class has, for a study with several."""
        return self.title()

    def introduction(self) -> str:
        """Returns a paragraph above the figures, or an empty text."""
        return ""

    def figures(self) -> list[str]:
        """Returns one SVG element for each panel, or an empty list for a table without a figure."""
        return []

    def caption(self) -> str:
        """Returns the text beside the figures."""
        return ""

    @abstractmethod
    def table(self) -> Table:
        """Returns the data behind the figures, with the identities of the runs; or the whole table if there is no
        figure.
        """

    def summary(self) -> Table | None:
        """Returns a shorter table that is shown open below the figures."""
        return None

    def placeholder(self) -> str:
        """Returns the sentence shown in place of figures and tables while there is no data."""
        return ""


class StudyExhibit(Exhibit[JudgedStudy]):
    """An exhibit of a study's page.

    Its sections are `scores`, `contrasts`, `learning`, `samples` and `method`.
    """

    page = "study"

    def __init__(self, source: JudgedStudy) -> None:
        super().__init__(source)
        self.results = source.results
        self.judgements = source.judgements
        self.study = source.results.study
        self.labels = Labels(self.study)


class IndexExhibit(Exhibit[Sequence[ClaimLine]]):
    """An exhibit of the index of several studies, drawn from their claims. Its section is `scoreboard`."""

    page = "index"


class MatrixExhibit(Exhibit[MatrixResults]):
    """An exhibit of the index of a matrix. Its sections are `matrix`, `across tasks` and `cost`."""

    page = "matrix"

    def placeholder(self) -> str:
        return "" if self.source.seeds else "Some arms have no run that ended yet."


class ComparisonExhibit(Exhibit[StudyPair]):
    """An exhibit of the page that compares two studies. Its sections are `claims` and `differences`."""

    page = "comparison"


class AnalysisExhibit(Exhibit[Sequence[Row]]):
    """The figure of an analysis, drawn from the rows of its result. `section` is the name of the analysis."""

    page = "analysis"

    def table(self) -> Table:
        """Returns a table of every measurement."""
        names = list(dict.fromkeys(name for row in self.source for name in row))
        numeric = {name: all(isinstance(row.get(name), int | float | None) for row in self.source) for name in names}
        table = Table("All measurements", [Column(name, "number" if numeric[name] else "word") for name in names])
        for row in self.source:
            values = [row.get(name) for name in names]
            table.rows.append([_value(value) for value in values])
        return table


def _value(value: object) -> Value:
    return number(value, ".4g") if isinstance(value, int | float | None) else word(value)
