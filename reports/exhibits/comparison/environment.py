"""The versions, machines and code in which the runs of two studies differ."""

from generators.foundation.code.version import digests_by_part
from reports.drawing.tables import Column, Table, columns_of
from reports.exhibits.comparison.settings import differing
from reports.exhibits.exhibit import ComparisonExhibit
from reports.frames.pairs import ComparedStudy


class DifferingEnvironment(ComparisonExhibit):
    """A table with one row for each version that differs."""

    section = "differences"
    folds_long_tables = False

    def table(self) -> Table:
        """Returns the versions that differ."""
        first, second = self.source.sides
        form = [Column("package or machine", "name"), *columns_of("name", self.source.labels)]
        table = differing(Table("Versions and machine that differ", form), first.environment, second.environment)
        return differing(table, self.code_of(first), self.code_of(second))

    def code_of(self, side: ComparedStudy) -> dict[str, str]:
        """Returns the digests of those parts of a study's code that are not the same in both studies."""
        digests = digests_by_part(side.code_versions)
        return {f"code of {part}": ", ".join(digests[part]) for part in self.source.differing_code if part in digests}
