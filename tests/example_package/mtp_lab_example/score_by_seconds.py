"""An exhibit that plots the score of every confirming run against its training time."""

import pandas as pd

from reports import StudyExhibit, Table, Value, columns_of, number, open_sheet, rows_of, word


class ScoreBySeconds(StudyExhibit):
    """Draws one mark for each complete run, in the section "cost" of a study's page."""

    section = "cost"

    def confirming_runs(self) -> pd.DataFrame:
        """Returns the complete confirming runs."""
        runs = self.results.runs
        return runs[(runs["phase"] == "confirm") & (runs["status"] == "complete")]

    def placeholder(self) -> str:
        return "No confirming run is complete yet." if self.confirming_runs().empty else ""

    def figures(self) -> list[str]:
        with open_sheet("score-by-seconds", 260) as sheet:
            for run in rows_of(self.confirming_runs()):
                text = f"{run['cell']}, seed {run['seed']}: {run['score']:.3f}"
                sheet.mark(run["train_seconds"], run["score"], "o", text, color="C0", alpha=0.7)
            sheet.axes.set(xlabel="seconds of training", ylabel=self.study.declaration.metric)
            return [sheet.svg("Score against seconds of training", f"{len(self.confirming_runs())} runs.")]

    def caption(self) -> str:
        return "Each mark is one run on a fresh seed."

    def table(self) -> Table:
        form = [*columns_of("word", ["cell"]), *columns_of("number", ["seed", "seconds", "score"])]
        table = Table("Score and seconds of every confirming run", [*form, *columns_of("code", ["run"])])
        for run in rows_of(self.confirming_runs()):
            numbers = [number(run["seed"], "d"), number(run["train_seconds"], ".2f"), number(run["score"])]
            table.rows.append([word(run["cell"]), *numbers, Value(run["run"])])
        return table
