"""The published runs of the matrix: how many solved each task, as a table and as the README's picture.

python -m benchmarks.findings.matrix docs/matrix.png
"""

import sys
import tarfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from benchmarks.matrix_counts import MATRIX, share_of_budget
from generators.foundation.settings import Tree
from lab.run.spec import RunSpec
from lab.run.store import TIMING, RunFolder
from studies.declared.matrix.matrix_file import MatrixDeclaration, load_matrix

ARCHIVE = Path(__file__).parents[2] / "reports" / "published" / "matrix" / "runs-cpu.tar.xz"


@dataclass
class Square:
    """The runs of one objective on one task.

    Attributes:
        budgets: the share of its budget that each run took to solve the task; None for a run that did not.
    """

    budgets: list[float | None] = field(default_factory=list)

    @property
    def solved(self) -> int:
        """The number of runs that solved the task."""
        return sum(budget is not None for budget in self.budgets)

    @property
    def text(self) -> str:
        """The counts, and the median share of the budget if more than half of the runs solved the task."""
        counts = f"{self.solved} of {len(self.budgets)}"
        if 2 * self.solved <= len(self.budgets):
            return counts
        return f"{counts} ({median(1.0 if budget is None else budget for budget in self.budgets):z.2f})"


class PublishedMatrix:
    """The published runs of the matrix.

    Args:
        folder: where to unpack them.
    """

    def __init__(self, folder: Path) -> None:
        self.declared: MatrixDeclaration = load_matrix(MATRIX)
        self.home = folder
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")

    @cached_property
    def runs(self) -> list[tuple[RunSpec, RunFolder]]:
        """The published runs, with their specs."""
        folders = [RunFolder(self.home, path.name) for path in sorted((self.home / "runs").iterdir())]
        return [(run.spec(), run) for run in folders]

    @property
    def costs(self) -> pd.DataFrame:
        """The runs: their objectives, their core-seconds, and their steps beside those of a whole run."""
        rows = {}
        objectives = {name: row.objective for name, row in self.declared.objectives.items()}
        for spec, run in self.runs:
            lines = run.lines(TIMING)
            seconds = sum(line["train_seconds"] + line["evaluate_seconds"] for line in lines)
            row = {"seconds": seconds, "steps": lines[-1]["step"], "whole": spec.training.steps}
            rows[run.identity] = {"objective": best_fit(spec.tree()["objective"], objectives), **row}
        return pd.DataFrame.from_dict(rows, orient="index")

    @cached_property
    def squares(self) -> dict[tuple[str, str], Square]:
        """(objective, task) -> its runs, for every square that has any."""
        squares: dict[tuple[str, str], Square] = {}
        tasks = {name: task.task for name, task in self.declared.tasks.items()}
        objectives = {name: row.objective for name, row in self.declared.objectives.items()}
        for spec, run in self.runs:
            tree = spec.tree()
            objective, task = best_fit(tree["objective"], objectives), best_fit(tree["task"], tasks)
            if objective is not None and task is not None:
                squares.setdefault((objective, task), Square()).budgets.append(share_of_budget(spec, run))
        return squares

    @property
    def objectives(self) -> dict[str, str]:
        """Name -> title of each objective that has runs, the baseline first."""
        ran = {objective for objective, _ in self.squares}
        return {name: row.title for name, row in self.declared.objectives.items() if name in ran}

    @property
    def tasks(self) -> dict[str, str]:
        """Name -> title of each task."""
        return {name: task.title for name, task in self.declared.tasks.items()}

    @property
    def seeds(self) -> int:
        """The number of runs of every square.

        Raises:
            ValueError: squares have different numbers of runs.
        """
        (seeds,) = {len(self.squares[objective, task].budgets) for objective in self.objectives for task in self.tasks}
        return seeds

    def total(self, objective: str) -> int:
        """Returns the number of tasks that an objective solves in more than half of its runs."""
        squares = [self.squares[objective, task] for task in self.tasks]
        return sum(2 * square.solved > len(square.budgets) for square in squares)

    def solved(self, objective: str, task: str) -> str:
        """Returns how many runs solved a task, such as `3 of 5`."""
        square = self.squares[objective, task]
        return f"{square.solved} of {len(square.budgets)}"

    @property
    def table(self) -> str:
        """The runs that solved each task, and the number of tasks that most runs of an objective solve."""
        lines = [f"| objective | {' | '.join(self.tasks.values())} | tasks |", f"|{'---|' * (len(self.tasks) + 2)}"]
        for name, title in self.objectives.items():
            entries = [self.squares[name, task].text for task in self.tasks]
            lines.append(f"| {title} | {' | '.join(entries)} | {self.total(name)} |")
        return "\n".join(lines)


def best_fit(table: Tree, candidates: dict[str, Tree]) -> str | None:
    """Returns the candidate all of whose settings a table has, the one with the most; None if there is none."""
    fits = [
        name for name, candidate in candidates.items() if all(table.get(key) == candidate[key] for key in candidate)
    ]
    return max(fits, key=lambda name: len(candidates[name]), default=None)


def draw(matrix: PublishedMatrix, path: Path) -> None:
    """Draws the share of runs that solved each task as a heat map, with the counts written in its squares."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    squares: list[list[Any]] = [[matrix.squares[name, task] for task in matrix.tasks] for name in matrix.objectives]
    shares = [[square.solved / len(square.budgets) for square in row] for row in squares]
    counts = [[f"{square.solved}/{len(square.budgets)}" for square in row] for row in squares]
    titles = [title.replace(", ", ",\n").replace("path-star graphs", "star graphs") for title in matrix.tasks.values()]
    figure, axes = plt.subplots(figsize=(9, 4.4))
    sns.heatmap(shares, annot=counts, fmt="", cmap="Blues", vmin=0, vmax=1.15, linewidths=1.5, cbar=False, ax=axes)
    axes.set_xticks(axes.get_xticks(), titles)
    axes.set_yticks(axes.get_yticks(), list(matrix.objectives.values()), rotation=0)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Draws the published matrix."""
    with TemporaryDirectory() as folder:
        draw(PublishedMatrix(Path(folder)), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
