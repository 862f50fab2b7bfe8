"""The measures of a study by signal to noise: which of them tells its arms apart with the fewest seeds."""

import sys
from collections.abc import Sequence
from math import isfinite, isinf

from lab.metrics import metric_named
from reports.drawing.tables import Column, Table, Value, columns_of, number, word
from reports.exhibits.exhibit import StudyExhibit
from reports.frames.method.signal_to_noise import MeasureSignal, measure_signals
from studies.reading.judged import JudgedStudy

NO_SCATTER = "no scatter"


class SignalToNoise(StudyExhibit):
    """A table with one row for each measure."""

    section = "method"

    def __init__(self, source: JudgedStudy) -> None:
        super().__init__(source)
        self.signals = measure_signals(self.results)

    @classmethod
    def instances(cls, source: JudgedStudy) -> "Sequence[SignalToNoise]":
        """Returns the exhibit if two arms have two complete seeds each."""
        exhibit = cls(source)
        return [exhibit] if exhibit.signals else []

    def title(self) -> str:
        return "Which measure to trust"

    def introduction(self) -> str:
        return (
            "Signal to noise is the standard deviation between arms, without the part that the scatter over seeds "
            "explains, divided by the standard deviation over the seeds of an arm: a measure with a higher ratio needs "
            "fewer seeds, but it must be chosen before anyone looks at the claims, or on other seeds."
        )

    def table(self) -> Table:
        """Returns the signal of each measure, from the highest to the lowest."""
        titles = ["signal to noise", "sd between arms", "sd over seeds", "arms", "seeds per arm"]
        form = [Column("measure", "name"), *columns_of("number", titles), Column("meaning", "text")]
        table = Table(f"Measures on {self.study.declaration.split} by signal to noise", form)
        for signal in self.signals:
            deviations = [number(signal.between, "#.3g"), number(signal.within, "#.3g")]
            counts = [number(len(signal.seeds), "d"), _seeds_value(signal)]
            definition = metric_named(signal.metric)
            meaning = word(definition.summary if definition else "")
            table.rows.append([word(signal.metric), ratio_value(signal), *deviations, *counts, meaning])
        return table


def ratio_value(signal: MeasureSignal) -> Value:
    """Returns the ratio; without scatter over seeds it sorts first if arms differ, and last if they do not."""
    if isfinite(signal.ratio):
        return number(signal.ratio, ".2f")
    return Value(NO_SCATTER, sys.float_info.max if isinf(signal.ratio) else -1.0)


def _seeds_value(signal: MeasureSignal) -> Value:
    fewest, most = min(signal.seeds), max(signal.seeds)
    return Value(str(most) if fewest == most else f"{fewest} to {most}", float(fewest))
