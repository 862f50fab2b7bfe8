"""The settings in which two studies differ."""

from reports.drawing.tables import MISSING_VALUE, Column, Table, Value, columns_of, word
from reports.exhibits.exhibit import ComparisonExhibit


class DifferingSettings(ComparisonExhibit):
    """A table with one row for each setting that has two values."""

    section = "differences"
    folds_long_tables = False

    def placeholder(self) -> str:
        return "" if self.table().rows else "The two studies have the same settings."

    def table(self) -> Table:
        """Returns the settings that differ."""
        first, second = self.source.sides
        form = [Column("setting", "name"), *columns_of("name", self.source.labels)]
        return differing(Table("Settings that differ", form), first.settings, second.settings)


def differing(table: Table, first: dict[str, str], second: dict[str, str]) -> Table:
    """Adds a row for each key with different values in two dictionaries, and returns the table."""
    for key in dict.fromkeys([*first, *second]):
        values = [Value(side[key]) if key in side else MISSING_VALUE for side in (first, second)]
        if values[0] != values[1]:
            table.rows.append([word(key), *values])
    return table
