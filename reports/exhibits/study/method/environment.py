"""Versions and machines of the runs."""

from reports.drawing.tables import Column, Table, columns_of, number, word
from reports.exhibits.exhibit import StudyExhibit
from reports.frames.numbers import without_point
from studies.reading.results import columns_under


class Environment(StudyExhibit):
    """A table with one row for each version, and the number of runs that had it."""

    section = "method"
    folds_long_tables = False

    def table(self) -> Table:
        """Returns a table of packages and machine components, with every version that occurs and its number of runs."""
        table = Table("Versions and machine", [*columns_of("word", ("what", "version")), Column("runs")])
        for name, column in columns_under(self.results.runs, "environment").items():
            versions = self.results.runs[column].dropna().map(without_point)
            for version in sorted(versions.unique()):
                table.rows.append([word(name), word(version), number(int((versions == version).sum()), "d")])
        if unknown := self.results.code.unknown_runs:
            table.rows.append([word("code"), word("unknown"), number(unknown, "d")])
        return table
