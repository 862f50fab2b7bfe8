"""Shows the progress of a running study on standard error: bars on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from generators.foundation.options import note
from studies.declared.levels import short
from studies.declared.study import Cell, Study
from studies.ledger.records import RunRecord
from studies.running.cell_runs import RunEvent

BARS_MAXIMUM = 24
"""The maximum number of cells with their own bars; if there are more, only the bar of all runs is shown."""


class Reporter:
    """Shows every run that ends: its cell, its seed, and the time that is left.

    Args:
        cells: the cells that run, all of them or those of a shard.
        workers: number of runs at a time.
    """

    def __init__(self, study: Study, cells: list[Cell], workers: int) -> None:
        self.study, self.cells, self.workers = study, cells, workers
        self.trained = 0
        self.started = time.monotonic()
        self.bars: Progress | None = None
        self.rows: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        runs_per_cell = self.study.tuning_runs + self.study.seeds
        runs = len(self.cells) * runs_per_cell
        if sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[last]}"),
            )
            self.bars = Progress(*columns, console=Console(stderr=True))
            cells = self.cells if len(self.cells) <= BARS_MAXIMUM else []
            self.rows = {cell.label: self.bars.add_task(cell.label, total=runs_per_cell, last="") for cell in cells}
            self.rows["all"] = self.bars.add_task("all", total=runs, last="")
            self.bars.start()
        else:
            most = "at most " if self.study.declaration.looks else ""
            note(f"{self.study.name}, scale {self.study.scale}: {most}{runs} runs, {self.workers} at once")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars:
            self.bars.stop()
        note(f"{self.trained} runs trained in {time.monotonic() - self.started:z.0f} s")

    def show(self, event: RunEvent) -> None:
        """Shows a run that ended; outside a terminal, it does not show runs that were taken from the store."""
        self.trained += event.trained
        left = self.time_left(event)
        description = describe(event.run)
        if self.bars:
            if event.cell in self.rows:
                self.bars.update(self.rows[event.cell], advance=1, last=description)
            self.bars.update(self.rows["all"], advance=1, last=f"{left} left" if left else "")
        elif event.trained:
            note(f"[{event.done}/{event.total}] {event.cell}: {description}" + (f"; {left} left" if left else ""))

    def announce(self, sentence: str) -> None:
        """Shows a sentence about the study."""
        if self.bars:
            self.bars.console.print(sentence, markup=False, highlight=False)
        else:
            note(sentence)

    def time_left(self, event: RunEvent) -> str:
        """Estimates the time left from the mean time of the runs trained so far; empty before the first."""
        if not self.trained or event.done >= event.total:
            return ""
        seconds = (time.monotonic() - self.started) / self.trained * (event.total - event.done)
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def describe(run: RunRecord) -> str:
    """Returns phase, seed and score of a run."""
    settings = ", ".join(f"{short(key)} {value:z.3g}" for key, value in run.settings.items())
    phase = f"trial with {settings}" if run.phase == "tune" else f"seed {run.seed}"
    return f"{phase}: {run.score:z.3f}" if run.score is not None else f"{phase}: failed ({run.failure})"
