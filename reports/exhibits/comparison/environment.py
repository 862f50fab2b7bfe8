"""The versions and machines in which the runs of two studies differ."""

from reports.drawing.tables import Column, Table, columns_of
from reports.exhibits.comparison.settings import differing
from reports.exhibits.exhibit import ComparisonExhibit


class DifferingEnvironment(ComparisonExhibit):
    """A table with one row for each version that differs."""

    section = "differences"
    folds_long_tables = False

    def table(self) -> Table:
        """Returns the versions that differ."""
        first, second = self.source.sides
        form = [Column("package or machine", "name"), *columns_of("name", self.source.labels)]
        return differing(Table("Versions and machine that differ", form), first.environment, second.environment)
