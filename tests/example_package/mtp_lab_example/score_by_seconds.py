"""An exhibit: the score of every run that counts, against the seconds it was trained for."""

import pandas as pd

from reports import StudyExhibit, Table, Value, columns_of, number, open_sheet, rows_of, word


class ScoreBySeconds(StudyExhibit):
    """One mark for each complete run. Stands on the page of a study, in a section of its own."""

    section = "cost"

    def counted_runs(self) -> pd.DataFrame:
        """The complete runs on fresh seeds."""
        runs = self.results.runs
        return runs[(runs["phase"] == "confirm") & (runs["status"] == "complete")]

    def placeholder(self) -> str:
        return "No run that counts has ended yet." if self.counted_runs().empty else ""

    def figures(self) -> list[str]:
        with open_sheet("score-by-seconds", 260) as sheet:
            for run in rows_of(self.counted_runs()):
                text = f"{run['cell']}, seed {run['seed']}: {run['score']:.3f}"
                sheet.mark(run["train_seconds"], run["score"], "o", text, color="C0", alpha=0.7)
            sheet.axes.set(xlabel="seconds of training", ylabel=self.study.declaration.metric)
            return [sheet.svg("Score against seconds of training", f"{len(self.counted_runs())} runs.")]

    def caption(self) -> str:
        return "Each mark is one run on a fresh seed."

    def table(self) -> Table:
        form = [*columns_of("word", ["cell"]), *columns_of("number", ["seed", "seconds", "score"])]
        table = Table("Score and seconds of every run that counts", [*form, *columns_of("code", ["run"])])
        for run in rows_of(self.counted_runs()):
            numbers = [number(run["seed"], "d"), number(run["train_seconds"], ".2f"), number(run["score"])]
            table.rows.append([word(run["cell"]), *numbers, Value(run["run"])])
        return table
