"""The results of a matrix: what each objective did on each task, read from the studies of its rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.run.evaluation import SHORTCUT_SCORES
from reports.frames.study_summary import StudySummary
from studies.declared.matrix.equal_operations import step_operations
from studies.declared.matrix.matrix_file import load_matrix
from studies.declared.matrix.rows import OBJECTIVE, SOLVES, SOONER, TASK, claim_name
from studies.declared.measures import BUDGET_TO_SOLVE, SOLVED
from studies.declared.study import Cell, Study
from studies.judging.judgement import Judgement
from studies.reading.judged import JudgedStudy, read_judged
from studies.reading.labels import Labels
from studies.reading.results import Results, columns_under, rows_of


@dataclass
class ArmRuns:
    """The confirming runs of one objective on one task.

    Attributes:
        budgets: seed -> the share of its budget that a run took to solve the task, 1 if it did not.
        solved: seed -> whether it did.
        seconds: of training, for a whole budget at the pace of each run.
        steps: optimiser steps of a whole budget.
        operations: of training, in a whole budget.
        parameters: of the network; 0 if no run has ended.
        solved_at: the value of the metric that counts as solved.
        shortcut: the score of the task's shortcut; nan if it is unknown.
    """

    budgets: dict[int, float] = field(default_factory=dict)
    solved: dict[int, bool] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    steps: int = 0
    operations: float = 0.0
    parameters: float = 0.0
    solved_at: float = np.nan
    shortcut: float = np.nan

    @property
    def share_solved(self) -> float:
        """The share of runs that solved the task; nan without a run."""
        return float(np.mean(list(self.solved.values()))) if self.solved else np.nan

    @property
    def median_seconds(self) -> float:
        """The median training time of a whole budget; nan if it is unknown."""
        return float(np.median(self.seconds)) if self.seconds else np.nan


@dataclass(frozen=True)
class Square:
    """One objective on one task, against the baseline.

    Attributes:
        solves, sooner: the verdicts on the two claims.
        link: the address of the page of the row's study.
    """

    solves: Judgement
    sooner: Judgement
    link: str


@dataclass(frozen=True)
class MatrixResults:
    """The results of every objective on every task.

    Attributes:
        baseline: the objective that the others are compared with.
        tasks: name -> title of each column.
        objectives: name -> title of the baseline and each row.
        squares: (objective, task) -> verdicts.
        arms: (objective, task) -> runs.
        published: task -> what is known of it.
        level: of all tests of a row together.
    """

    baseline: str
    tasks: dict[str, str]
    objectives: dict[str, str]
    squares: dict[tuple[str, str], Square]
    arms: dict[tuple[str, str], ArmRuns]
    published: dict[str, str]
    level: float = 0.05

    @property
    def rows(self) -> list[str]:
        """The objectives that are compared with the baseline."""
        return [name for name in self.objectives if name != self.baseline]

    @property
    def seeds(self) -> int:
        """The number of first seeds that every arm has."""
        first = [next(seed for seed in range(len(arm.budgets) + 1) if seed not in arm.budgets)
                 for arm in self.arms.values()]  # fmt: skip
        return min(first, default=0)

    def solved_TxK(self, objective: str) -> NDArray[np.bool_]:
        """Returns whether the runs of `budgets_TxK` solved their task [T, K]."""
        return np.array([[self.arms[objective, task].solved[seed] for seed in range(self.seeds)]
                         for task in self.tasks], bool).reshape(len(self.tasks), self.seeds)  # fmt: skip

    def budgets_TxK(self, objective: str) -> NDArray[np.float64]:
        """Returns the shares of the budget to solve each task [T, K], in the seeds that every arm has.

        A claim that was undecided gave some arms more seeds. These are left out, because they were added after a look.
        """
        return np.array([[self.arms[objective, task].budgets[seed] for seed in range(self.seeds)]
                         for task in self.tasks]).reshape(len(self.tasks), self.seeds)  # fmt: skip


def read_matrix(home: Path, name: str, summaries: Iterable[StudySummary]) -> MatrixResults | None:
    """Reads the results of a matrix from the studies of its rows; None if no study is one of its rows.

    Args:
        home: the lab's home.
        name: the matrix in the catalog.
        summaries: the studies that ran.

    Raises:
        UserError: a stored file is damaged.
    """
    rows = [(summary.link, read_judged(home, summary.study)) for summary in summaries if is_row(summary.study)]
    if not rows:
        return None
    first = rows[0][1].study
    baseline = str(first.factors[OBJECTIVE][0])
    tasks = list(dict.fromkeys(str(task) for _, judged in rows for task in judged.study.factors[TASK]))
    declared = load_matrix(name).tasks
    shortcuts = {task: column.shortcut for task, column in declared.items()}
    published = {task: column.paper for task, column in declared.items()}
    objectives: dict[str, str] = {}
    squares: dict[tuple[str, str], Square] = {}
    arms: dict[tuple[str, str], ArmRuns] = {}
    titles: dict[str, str] = {}
    for link, judged in rows:
        labels = Labels(judged.study)
        objectives |= {str(arm): labels.level(OBJECTIVE, arm) for arm in judged.study.factors[OBJECTIVE]}
        titles |= {str(task): labels.level(TASK, task) for task in judged.study.factors[TASK]}
        row = str(judged.study.factors[OBJECTIVE][1])
        for cell in judged.study.cells:
            _add_runs(arms.setdefault(_place(cell), ArmRuns()), judged.results, cell, shortcuts.get(_place(cell)[1]))
        for task in map(str, judged.study.factors[TASK]):
            solves, sooner = (_judgement(judged, claim_name(task, kind)) for kind in (SOLVES, SOONER))
            squares[row, task] = Square(solves, sooner, link)
    level = first.declaration.level
    return MatrixResults(
        baseline, {task: titles[task] for task in tasks}, objectives, squares, _whole(arms, tasks), published, level
    )


def is_row(study: Study) -> bool:
    """Tells whether a study has the factors of a row."""
    return list(study.factors) == [TASK, OBJECTIVE] and len(study.factors[OBJECTIVE]) == 2


def _whole(arms: dict[tuple[str, str], ArmRuns], tasks: Sequence[str]) -> dict[tuple[str, str], ArmRuns]:
    """Adds an arm without runs where a row ran before a task was added."""
    objectives = dict.fromkeys(objective for objective, _ in arms)
    return {(objective, task): arms.get((objective, task), ArmRuns()) for objective in objectives for task in tasks}


def _place(cell: Cell) -> tuple[str, str]:
    levels = dict(cell.levels)
    return str(levels[OBJECTIVE]), str(levels[TASK])


def _judgement(judged: JudgedStudy, name: str) -> Judgement:
    return next(judgement for judgement in judged.judgements if judgement.claim.name == name)


def _add_runs(arm: ArmRuns, results: Results, cell: Cell, shortcut: str | None) -> None:
    """Adds the confirming runs of a cell to an arm; those of the baseline are in several rows, and count once."""
    study = results.study
    spec, threshold = study.spec(cell, study.middle, 0), study.threshold_of(cell)
    arm.steps, arm.operations = spec.training.steps, step_operations(spec) * spec.training.steps
    arm.solved_at = np.nan if threshold is None else threshold.at
    runs = results.phase("confirm")
    parameters = list(columns_under(runs, "parameters").values())
    column = f"{SHORTCUT_SCORES[study.declaration.metric]}/{shortcut}"
    for run in rows_of(runs[runs["cell"] == cell.label]):
        budget, solved = (run.get(f"measure/{name}", np.nan) for name in (BUDGET_TO_SOLVE, SOLVED))
        if run["seed"] in arm.budgets or not (np.isfinite(budget) and np.isfinite(solved)):
            continue
        arm.budgets[run["seed"]], arm.solved[run["seed"]] = float(budget), bool(solved)
        arm.parameters = float(np.nansum([run[name] for name in parameters]))
        arm.shortcut = float(run.get(results.column(column), np.nan))
        if np.isfinite(run["train_seconds"]) and run["steps"]:
            arm.seconds.append(run["train_seconds"] / run["steps"] * arm.steps)
