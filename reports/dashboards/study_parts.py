"""Parts of a study whose scores can be compared, each displayed as an optuna study of its own."""

from dataclasses import dataclass
from math import ceil

from studies.declared.study import Cell, Study
from studies.ledger.records import CellRecord, Phase, RunRecord

PHASES: dict[Phase, str] = {"tune": "tuning runs", "confirm": "confirming runs"}
"""Phase -> its runs in words."""
CURVES_MAXIMUM = 500
"""Curves of a part at most; with more, a browser takes minutes to draw them."""


@dataclass(frozen=True)
class StudyPart:
    """Runs of a study whose scores can be compared: of one phase, on the data of one task.

    Across all runs, the best trial would be one on the easiest task, or one whose test score is compared with
    validation scores.

    Attributes:
        study: the study.
        phase: tuning runs, scored on validation, or confirming runs, scored on the study's split.
        task: the levels of the factors of the task; empty if the study has one task.
        labels: its cells.
    """

    study: Study
    phase: Phase
    task: str
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        parts = (self.study.name, f"scale {self.study.scale}", self.task, PHASES[self.phase])
        return ", ".join(part for part in parts if part)

    @property
    def split(self) -> str:
        """The split on which its runs are scored."""
        return "validation" if self.phase == "tune" else self.study.declaration.split

    @property
    def runs_of_a_cell(self) -> int:
        """The largest number of this part's runs in any cell."""
        return self.study.tuning_runs if self.phase == "tune" else self.study.seeds

    @property
    def curve_interval(self) -> int:
        """The number k such that one run in k has its curve, so that there are at most `CURVES_MAXIMUM` curves."""
        return ceil(len(self.labels) * self.runs_of_a_cell / CURVES_MAXIMUM)

    def runs(self, cells: list[CellRecord]) -> dict[int, tuple[CellRecord, RunRecord]]:
        """Returns place -> cell and run, in the order of the ledger. A run keeps its place while others are added."""
        members = {cell.label: cell for cell in cells}
        places: dict[int, tuple[CellRecord, RunRecord]] = {}
        for number, label in enumerate(self.labels):
            runs = [run for run in members[label].runs if run.phase == self.phase] if label in members else []
            for place, run in enumerate(runs, number * self.runs_of_a_cell):
                places[place] = members[label], run
        return places


def parts_of(study: Study) -> list[StudyPart]:
    """Returns the parts of a study, task by task."""
    labels: dict[str, list[str]] = {}
    for cell in study.cells:
        task = Cell(tuple(level for level in cell.levels if level[0].partition(".")[0] == "task"))
        labels.setdefault(task.label, []).append(cell.label)
    return [StudyPart(study, phase, task, tuple(cells)) for task, cells in labels.items() for phase in PHASES]
