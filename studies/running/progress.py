"""How a study that runs is shown: bars on a terminal, plain lines elsewhere. Always on standard error."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from generators.foundation.options import note
from studies.declared.levels import short
from studies.declared.study import Cell, Study
from studies.running.sweep import Event

BARS_MAXIMUM = 24
"""Cells with a bar of their own; of more than fit on a terminal none has."""


class Reporter:
    """Tells of each run that ended: which cell, which seed, how many are left and for how long."""

    def __init__(self, study: Study, cells: list[Cell], workers: int) -> None:
        self.study, self.cells, self.workers = study, cells, workers
        self.trained = 0
        self.started = time.monotonic()
        self.bars: Progress | None = None
        self.rows: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        a_cell = self.study.tuning_runs + self.study.seeds
        runs = len(self.cells) * a_cell
        if sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[last]}"),
            )
            self.bars = Progress(*columns, console=Console(stderr=True))
            shown = self.cells if len(self.cells) <= BARS_MAXIMUM else []
            self.rows = {cell.label: self.bars.add_task(cell.label, total=a_cell, last="") for cell in shown}
            self.rows["all"] = self.bars.add_task("all", total=runs, last="")
            self.bars.start()
        else:
            note(f"{self.study.name}, scale {self.study.scale}: {runs} runs, {self.workers} at once")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars:
            self.bars.stop()
        note(f"{self.trained} runs trained in {time.monotonic() - self.started:.0f} s")

    def ended(self, event: Event) -> None:
        """One run ended."""
        self.trained += event.trained
        left = self.remaining(event)
        what = describe(event)
        if self.bars:
            if event.cell in self.rows:
                self.bars.update(self.rows[event.cell], advance=1, last=what)
            self.bars.update(self.rows["all"], advance=1, last=f"{left} left" if left else "")
        elif event.trained:
            note(f"[{event.done}/{event.total}] {event.cell}: {what}" + (f"; {left} left" if left else ""))

    def remaining(self, event: Event) -> str:
        """Time left, from the mean time of the runs trained so far; empty before the first."""
        if not self.trained or event.done >= event.total:
            return ""
        seconds = (time.monotonic() - self.started) / self.trained * (event.total - event.done)
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def describe(event: Event) -> str:
    """Phase, seed and score of a run."""
    entry = event.entry
    settings = ", ".join(f"{short(key)} {value:.3g}" for key, value in entry.settings.items())
    phase = f"trial with {settings}" if entry.phase == "tune" else f"seed {entry.seed}"
    return f"{phase}: {entry.score:.3f}" if entry.score is not None else f"{phase}: failed ({entry.failure})"
