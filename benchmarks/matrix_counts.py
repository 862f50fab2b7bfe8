"""Counts the runs of the matrix that solved their task, of those that have ended, before any claim is judged.

    python -m benchmarks.matrix_counts [--home experiments] [--tasks suffix-4 star]

Prints one row for each objective: the solved runs of each task, in brackets the median share of the budget until then,
and, of runs that did not solve their task, the shares of right answers on the test split at the end.
"""

import argparse
from pathlib import Path
from statistics import median

from lab.run.spec import RunSpec
from lab.run.store import METRICS, RunFolder
from studies.declared.loading import declare
from studies.declared.matrix.matrix_file import load_matrix
from studies.declared.matrix.rows import OBJECTIVE, TASK

MATRIX = "matrix"


def share_of_budget(spec: RunSpec, run: RunFolder) -> float | None:
    """Returns the share of its budget that a run took to solve its task; None if it did not."""
    solved = spec.training.stop_when_solved
    assert solved is not None, "every run of a matrix stops when it has solved its task"
    step = solved.first_step(run.lines(METRICS))
    return step / spec.training.steps if step else None


def entry(specs: list[RunSpec], home: Path) -> str:
    """Returns what is printed about the runs of one objective on one task."""
    shares: list[float] = []
    unsolved: list[str] = []
    for spec in specs:
        run = RunFolder(home, spec.identity)
        result = run.result()
        if result is None or result["status"] != "complete":
            continue
        share = share_of_budget(spec, run)
        if share is None:
            unsolved.append(f"{result['scores']['last']['test']['exact']:z.2f}")
        else:
            shares.append(share)
    ended = len(shares) + len(unsolved)
    if not ended:
        return "-"
    text = f"{len(shares)} of {ended}"
    if 2 * len(shares) > ended:
        text += f" ({median([*shares, *[1.0] * len(unsolved)]):z.2f})"
    return "; ".join([text, ", ".join(unsolved)]) if unsolved else text


def main() -> None:
    """Prints the table."""
    matrix = load_matrix(MATRIX)
    parser = argparse.ArgumentParser(description="Counts the runs of the matrix that solved their task.")
    parser.add_argument("--home", type=Path, default=Path("experiments"))
    parser.add_argument("--tasks", nargs="+", default=list(matrix.tasks), choices=list(matrix.tasks))
    chosen = parser.parse_args()
    print(f"| objective | {' | '.join(chosen.tasks)} |", f"|{'---|' * (len(chosen.tasks) + 1)}", sep="\n")
    for objective in matrix.objectives:
        row = objective if objective in matrix.rows else matrix.rows[0]
        study = declare(f"{MATRIX}-{row}", "cpu")
        cells = {dict(cell.levels)[TASK]: cell for cell in study.cells if dict(cell.levels)[OBJECTIVE] == objective}
        entries = [
            entry([study.spec(cells[task], study.middle, seed) for seed in range(study.seeds)], chosen.home)
            for task in chosen.tasks
        ]
        print(f"| {matrix.objectives[objective].title} | {' | '.join(entries)} |", flush=True)


if __name__ == "__main__":
    main()
