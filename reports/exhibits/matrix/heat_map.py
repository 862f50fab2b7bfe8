"""The base of the heat maps: a row for each objective, a column for each task, and links to the studies."""

from abc import abstractmethod

import numpy as np

from reports.drawing.tables import MISSING_VALUE, Column, Table, Value, columns_of, word
from reports.exhibits.exhibit import MatrixExhibit
from reports.frames.matrix.results import ArmRuns
from reports.frames.numbers import minus_sign
from studies.judging.judgement import UNTESTED, Judgement, standing

READING = (
    "Each square links to the study of its row. Its mark is the verdict after Holm's correction over the row: ▲ "
    "supported, ▼ contradicted, ≈ negligible, ○ inconclusive, × not tested. Blue is better than the baseline and "
    "orange is worse, and the shade grows with the effect. A click on a name sorts the rows."
)


class HeatMap(MatrixExhibit):
    """A table whose squares are shaded by an effect between -1 and 1."""

    section = "matrix"
    folds_long_tables = False

    @abstractmethod
    def judgement(self, row: str, task: str) -> Judgement:
        """Returns the verdict of a square."""

    @abstractmethod
    def value(self, arm: ArmRuns) -> float:
        """Returns the value of an arm, so that more is better."""

    @abstractmethod
    def table_caption(self) -> str:
        """Returns the caption of the table."""

    def table(self) -> Table:
        """Returns one row for each objective, with the mean over tasks last."""
        form = [
            Column("objective", "word"),
            *columns_of("square", self.source.tasks.values()),
            Column("mean", "square"),
        ]
        table = Table(self.table_caption(), form)
        for row in self.source.rows:
            effects = [self._effect(row, task) for task in self.source.tasks]
            known = [effect for effect in effects if np.isfinite(effect)]
            mean = float(np.mean(known)) if known else np.nan
            squares = [self._square(row, task, effect) for task, effect in zip(self.source.tasks, effects, strict=True)]
            table.rows.append(
                [word(self.source.objectives[row]), *squares, Value(_signed(mean), mean) if known else MISSING_VALUE]
            )
        return table

    def _effect(self, row: str, task: str) -> float:
        """Returns the effect that the claim was judged on, or that of the runs so far."""
        if (row, task) not in self.source.squares:
            return np.nan
        contrast = self.judgement(row, task).contrast
        if contrast is not None:
            return contrast.difference
        return self.value(self.source.arms[row, task]) - self.value(self.source.arms[self.source.baseline, task])

    def _square(self, row: str, task: str, effect: float) -> Value:
        if (row, task) not in self.source.squares:
            return MISSING_VALUE
        verdict, link = standing(self.judgement(row, task)), self.source.squares[row, task].link
        if not np.isfinite(effect):
            return Value("", None, link, UNTESTED)
        return Value(_signed(effect), effect, link, verdict, effect)


def _signed(value: float) -> str:
    """Returns a value with two decimals and its sign."""
    text = f"{value:+z.2f}"
    return "0.00" if float(text) == 0 else minus_sign(text)
