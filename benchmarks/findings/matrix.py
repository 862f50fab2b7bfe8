"""The published rows of the matrix: solved runs and verdicts, as tables and as the picture of the README.

python -m benchmarks.findings.matrix docs/matrix.png
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks.findings.numbers import ArmNumbers, ClaimNumbers, StudyNumbers
from studies.declared.matrix.matrix_file import MatrixDeclaration, load_matrix
from studies.declared.matrix.rows import OBJECTIVE, SOLVES, SOONER, TASK, claim_name
from studies.declared.measures import BUDGET_TO_SOLVE, SOLVED
from studies.ledger.archive import unpack

MATRIX = "matrix"
ARCHIVES = Path(__file__).parents[2] / "reports" / "published" / "matrix"
SIGNS = {"supported": "▲", "contradicted": "▼"}


@dataclass(frozen=True)
class Square:
    """The runs of one objective on one task, with the verdicts on its claims; the baseline has none.

    Attributes:
        arm: the runs.
        solves: the claim that more runs solve the task than with the baseline.
        sooner: the claim that they take a smaller share of the budget.
    """

    arm: ArmNumbers
    solves: ClaimNumbers | None = None
    sooner: ClaimNumbers | None = None

    @property
    def solved(self) -> pd.Series:
        """The outcome of each run by seed, 1 if it solved the task."""
        return self.arm.values(f"measure/{SOLVED}")

    @property
    def answers(self) -> pd.Series:
        """The share of right answers on the test split at the end of each run, by seed."""
        return self.arm.values("last/test/exact")

    @property
    def sign(self) -> str:
        """Up or down if more or fewer runs solve the task than with the baseline; empty if that is not decided."""
        return SIGNS.get(self.solves.verdict, "") if self.solves else ""

    @property
    def text(self) -> str:
        """The counts, the median share of the budget if most runs solved the task, and signs for decided claims."""
        counts = f"{self.arm.solved} {self.sign}".strip()
        if self.solved.mean() <= 0.5:
            return counts
        sooner = SIGNS.get(self.sooner.verdict, "") if self.sooner else ""
        share = f"{self.arm.values(f'measure/{BUDGET_TO_SOLVE}').median():z.2f} {sooner}".strip()
        return f"{counts} ({share})"


class PublishedMatrix:
    """The published rows of the matrix.

    Args:
        folder: where to unpack them.
    """

    def __init__(self, folder: Path) -> None:
        self.declared: MatrixDeclaration = load_matrix(MATRIX)
        archives = sorted(ARCHIVES.glob("*.tar.xz"))
        self.rows = [StudyNumbers(unpack(path, folder)[0], folder) for path in archives]

    @cached_property
    def squares(self) -> dict[tuple[str, str], Square]:
        """(objective, task) -> its runs and claims, the baseline first."""
        squares: dict[tuple[str, str], Square] = {}
        for row in self.rows:
            baseline, objective = row.loaded.study.factors[OBJECTIVE]
            for task in self.tasks:
                own, against = (f"{TASK}={task} {OBJECTIVE}={arm}" for arm in (objective, baseline))
                squares.setdefault((str(baseline), task), Square(row.arm(against)))
                claims = (row.claim(claim_name(task, kind)) for kind in (SOLVES, SOONER))
                squares[str(objective), task] = Square(row.arm(own), *claims)
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
        (seeds,) = {len(square.solved) for square in self.squares.values()}
        return seeds

    @property
    def totals(self) -> str:
        """The number of claims of all rows by verdict."""
        claims = [claim for row in self.rows for claim in row.claims.values()]
        counts = Counter(claim.verdict for claim in claims)
        listed = [f"{counts[verdict]} are {verdict}" for verdict in ("supported", "contradicted", "inconclusive")]
        return f"Of {len(claims)} claims, {listed[0]}, {listed[1]} and {listed[2]}"

    @property
    def costs(self) -> pd.DataFrame:
        """The runs: their objectives, their core-seconds, and their steps beside those of a whole run."""
        parts = [row.costs.assign(objective=row.loaded.runs[f"factor/{OBJECTIVE}"].to_numpy()) for row in self.rows]
        costs = pd.concat(parts)
        return costs[~costs.index.duplicated()]

    def solved(self, objective: str, task: str) -> str:
        """Returns how many runs solved a task, such as `3 of 8`."""
        return self.squares[objective, task].arm.solved

    def solved_from(self, objective: str, task: str, seed: int) -> str:
        """Returns how many runs solved a task from a seed on, such as `1 of 3`."""
        later = self.squares[objective, task].solved.loc[seed:]
        return f"{int(later.sum())} of {len(later)}"

    def answers(self, objective: str, task: str) -> str:
        """Returns the mean share of right answers at the end, in bold if each run has more than all of the baseline."""
        own, baseline = self.squares[objective, task].answers, self.squares[self.declared.baseline, task].answers
        mean = f"{own.mean():z.2f}"
        return f"**{mean}**" if own.min() > baseline.max() else mean

    @property
    def table(self) -> str:
        """The runs that solved each task."""
        return self._table(lambda objective, task: self.squares[objective, task].text)

    @property
    def table_of_answers(self) -> str:
        """The mean shares of right answers on each task."""
        return self._table(self.answers)

    def _table(self, entry: Callable[[str, str], str]) -> str:
        lines = [f"| objective | {' | '.join(self.tasks.values())} |", f"|{'---|' * (len(self.tasks) + 1)}"]
        for name, title in self.objectives.items():
            lines.append(f"| {title} | {' | '.join(entry(name, task) for task in self.tasks)} |")
        return "\n".join(lines)

    def ordering(self, objective: str, task: str) -> str:
        """Returns the end of a row of the table of published orderings: answers, solved runs, effect and verdict."""
        square, baseline = self.squares[objective, task], self.squares[self.declared.baseline, task]
        assert square.solves is not None, "the baseline is ahead of nothing"
        columns = [
            f"{self.answers(objective, task)}, {self.answers(self.declared.baseline, task)}",
            f"{square.arm.solved}, {baseline.arm.solved}",
            square.solves.summary,
            square.solves.resolution,
            square.solves.verdict,
        ]
        return " | ".join(columns) + " |"


def draw(matrix: PublishedMatrix, path: Path) -> None:
    """Draws the share of runs that solved each task as a heat map, with counts and signs written in its squares."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    squares = [[matrix.squares[name, task] for task in matrix.tasks] for name in matrix.objectives]
    shares = [[square.solved.mean() for square in row] for row in squares]
    counts = [
        [f"{int(square.solved.sum())}/{len(square.solved)} {square.sign}".strip() for square in row] for row in squares
    ]
    titles = [title.replace(", ", ",\n").replace("star graphs", "star\ngraphs") for title in matrix.tasks.values()]
    figure, axes = plt.subplots(figsize=(9, 4.8))
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
