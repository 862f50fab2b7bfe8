"""The versions and machines in which the runs of two studies differ."""

from reports.drawing.tables import Table
from reports.exhibits.comparison.settings import differing
from reports.exhibits.exhibit import ComparisonExhibit


class DifferingEnvironment(ComparisonExhibit):
    """A table with one row for each version that differs."""

    section = "differences"
    folds_long_tables = False

    def table(self) -> Table:
        """Returns the versions that differ."""
        first, second = self.source.sides
        caption = "Versions and machine that differ"
        return differing(caption, self.source.labels, first.environment, second.environment)
