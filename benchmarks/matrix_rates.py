"""Tries learning rates for the objectives of the matrix, with a seed that it does not count.

    python -m benchmarks.matrix_rates                            suffix-4 and star, at 0.004 and 0.008, seed 1000
    python -m benchmarks.matrix_rates --tasks plan --rates 0.002 0.004 --seed 1001

Prints one row for each task, objective and rate: the step at which the run solved its task, the steps of its budget,
and its share of right answers on the test split at the end. A run that is stored already is not trained again.
"""

import argparse
from pathlib import Path

from lab.run.spec import parse_spec
from lab.run.store import METRICS, RunFolder
from lab.run.training import train
from studies.declared.loading import declare
from studies.declared.matrix.matrix_file import load_matrix
from studies.declared.matrix.rows import OBJECTIVE, TASK

HOME = Path("experiments/matrix-rates")
MATRIX = "matrix"


def row_of(task: str, objective: str, rate: float, seed: int) -> str:
    """Trains the run of a square at a learning rate, and returns the row that is printed.

    Raises:
        UserError: there is no such objective.
        WorkFailed: disk or memory is full.
    """
    matrix = load_matrix(MATRIX)
    study = declare(f"{MATRIX}-{objective if objective in matrix.rows else matrix.rows[0]}", "cpu")
    cell = next(cell for cell in study.cells if dict(cell.levels) == {TASK: task, OBJECTIVE: objective})
    tree = study.spec(cell, study.middle, seed).tree()
    spec = parse_spec({**tree, "training": {**tree["training"], "learning_rate": rate}}, "benchmarks.matrix_rates")
    result = train(spec, HOME)
    if result["status"] != "complete":
        return f"{task} | {objective} | {rate:zg} | {result['status']}"
    solved = spec.training.stop_when_solved
    assert solved is not None, "every run of a matrix stops when it has solved its task"
    step = solved.first_step(RunFolder(HOME, spec.identity).lines(METRICS))
    exact = result["scores"]["last"]["test"]["exact"]
    return f"{task} | {objective} | {rate:zg} | {step or '-'} of {spec.training.steps} | {exact:z.3f}"


def main() -> None:
    """Trains every square that the command names."""
    matrix = load_matrix(MATRIX)
    parser = argparse.ArgumentParser(description="Tries learning rates for the objectives of the matrix.")
    parser.add_argument("--tasks", nargs="+", default=["suffix-4", "star"], choices=list(matrix.tasks))
    parser.add_argument("--objectives", nargs="+", default=list(matrix.objectives), choices=list(matrix.objectives))
    parser.add_argument("--rates", nargs="+", type=float, default=[0.004, 0.008])
    parser.add_argument("--seed", type=int, default=1000)
    chosen = parser.parse_args()
    for task in chosen.tasks:
        for objective in chosen.objectives:
            for rate in chosen.rates:
                print(row_of(task, objective, rate, chosen.seed), flush=True)


if __name__ == "__main__":
    main()
