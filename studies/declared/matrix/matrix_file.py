"""The file of a matrix: a collection in which every objective meets every task with equal tuning and operations.

The file has one table for each task and one for each objective. A row is an objective: it becomes one study, which
compares the objective with the baseline on every task (`studies.declared.matrix.rows`). So Holm's correction over the
claims of a study is the correction over a row.
"""

from typing import Self

from pydantic import Field, model_validator

from generators.foundation.settings import Settings, Tree, read_toml, validate
from studies.declared.catalog import COLLECTIONS

TASKS_KEY = "tasks"
"""The key that tells the file of a matrix from that of another collection."""


class MatrixTask(Settings):
    """A column: a task, with the model and the training that every objective has on it."""

    title: str = Field(min_length=1, description="name of the task on pages")
    paper: str = Field(min_length=1, description="what is known of the task")
    solved_at: float | None = Field(default=None, gt=0, le=1, description="replaces solved_at of the matrix")
    shortcut: str | None = Field(default=None, description="the rule that scores are read against")
    task: Tree = Field(description="the table [task] of its runs")
    model: Tree = Field(description="the table [model] of its runs")
    training: Tree = Field(description="settings of training; steps are those of the baseline")
    scales: dict[str, Tree] = Field(
        default_factory=dict, description="scale -> dotted key -> value, only for this task"
    )


class MatrixObjective(Settings):
    """A row, or the baseline that every row is compared with."""

    title: str = Field(min_length=1, description="name of the objective on pages")
    objective: Tree = Field(description="the table [objective] of its runs")


class MatrixSettings(Settings):
    """Settings that some objectives have on some tasks, such as rates that were calibrated on other seeds."""

    tasks: list[str] = Field(min_length=1, description="the tasks")
    objectives: list[str] = Field(
        default_factory=list, description="the objectives; by default all, those that join too"
    )
    set: Tree = Field(min_length=1, description="dotted key -> value")


class MatrixScale(Settings):
    """The changes that a scale makes to every task."""

    summary: str = Field(description="what a run at this scale takes, or shows")
    seeds: int | None = Field(default=None, description="replaces the seeds of the matrix")
    trials: int | None = Field(default=None, description="replaces the trials of tuning")
    search: Tree = Field(default_factory=dict, description="replaces ranges of tuned settings")
    set: Tree = Field(default_factory=dict, description="dotted key -> value, for every task")
    settings: list[MatrixSettings] = Field(
        default_factory=list, description="changes to some tasks and objectives; later ones prevail"
    )


class MatrixDeclaration(Settings):
    """The content of a matrix file."""

    title: str = Field(min_length=1, description="title of the index")
    question: str = Field(min_length=1, description="the question that all rows answer together")
    text: str = Field(min_length=1, description="how the rows are compared")
    caveat: str = Field(min_length=1, description="what the matrix cannot show")
    metric: str = Field(description="the metric that tuning improves, and that solved_at is a value of")
    solved_at: float = Field(description="the value of the metric on validation that counts as solved")
    seeds: int = Field(description="fresh seeds of each cell")
    looks: list[int] | None = Field(default=None, description="numbers of seeds at which a row is judged")
    futility: float | None = Field(default=None, description="as in a study file")
    baseline: str = Field(description="the objective that every row is compared with")
    training: Tree = Field(description="settings of training that all tasks share")
    tuning: Tree = Field(description="as in a study file; equal for every cell")
    tasks: dict[str, MatrixTask] = Field(min_length=1, description="name -> a column")
    objectives: dict[str, MatrixObjective] = Field(min_length=2, description="name -> a row, and the baseline")
    scales: dict[str, MatrixScale] = Field(min_length=1, description="name -> changes")

    @model_validator(mode="after")
    def _check_baseline(self) -> Self:
        if self.baseline not in self.objectives:
            raise ValueError(f'baseline = "{self.baseline}" should be one of {", ".join(self.objectives)}')
        return self

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        for scale, declared in self.scales.items():
            for table in declared.settings:
                for names, known in ((table.tasks, list(self.tasks)), (table.objectives, list(self.objectives))):
                    if unknown := [name for name in names if name not in known]:
                        raise ValueError(f'scales.{scale}.settings: "{unknown[0]}" should be one of {", ".join(known)}')
        return self

    @property
    def rows(self) -> list[str]:
        """The objectives that are compared with the baseline."""
        return [name for name in self.objectives if name != self.baseline]


def is_matrix(tree: Tree) -> bool:
    """Tells whether the content of a collection's file is a matrix."""
    return TASKS_KEY in tree


def load_matrix(name: str) -> MatrixDeclaration:
    """Reads a matrix of the catalog.

    Raises:
        UserError: its file is wrong.
    """
    path = COLLECTIONS.path(name)
    return validate(MatrixDeclaration, read_toml(path), str(path))


def matrix_names() -> list[str]:
    """Returns the names of the collections that are matrices."""
    return [name for name in COLLECTIONS.names if is_matrix(read_toml(COLLECTIONS.path(name)))]
