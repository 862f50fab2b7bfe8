"""Parameters of each cell by part of the model."""

import numpy as np

from reports.drawing.tables import Table, columns_of, number
from reports.exhibits.cells import factor_columns, factor_values
from reports.exhibits.exhibit import StudyExhibit
from studies.reading.results import COMPLETE, columns_under, rows_of

EMBEDDINGS = ("embedding", "unembedding")


class Parameters(StudyExhibit):
    """A table with one row for each cell that has a complete run."""

    section = "method"

    def table(self) -> Table:
        """Returns counts by part, without embeddings, and in total."""
        runs = self.results.runs
        complete, parts = runs[runs["status"] == COMPLETE], columns_under(runs, "parameters")
        form = [*factor_columns(self.results), *columns_of("number", [*parts, "non-embedding", "all"])]
        table = Table("Parameters by part", form)
        for cell in self.study.cells:
            cell_runs = rows_of(complete[complete["cell"] == cell.label])
            if parts and cell_runs:
                counts = {part: cell_runs[0][column] for part, column in parts.items()}
                known = {part: count for part, count in counts.items() if np.isfinite(count)}
                sums = [sum(count for part, count in known.items() if part not in EMBEDDINGS), sum(known.values())]
                numbers = [number(count, ",.0f") for count in (*counts.values(), *sums)]
                table.rows.append([*factor_values(self.results, cell.label), *numbers])
        return table
