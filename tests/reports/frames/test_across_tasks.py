"""Objectives are compared across tasks by exact intervals, in the seeds that every arm has."""

import numpy as np
import pytest

from reports.frames.matrix.across_tasks import improvement, profile, ranks
from reports.frames.matrix.results import ArmRuns, MatrixResults

BASELINE = np.array([[1.0, 1.0, 0.5, 0.5], [0.8, 0.8, 0.8, 0.8]])


def matrix_of(budgets: dict[str, list[list[float]]]) -> MatrixResults:
    """Returns a matrix with these budgets for each objective, task and seed; the first objective is the baseline."""
    arms = {
        (name, f"t{task}"): ArmRuns(dict(enumerate(values)), {seed: value < 1 for seed, value in enumerate(values)})
        for name, rows in budgets.items()
        for task, values in enumerate(rows)
    }
    names = list(budgets)
    tasks = {task: task for _, task in arms}
    return MatrixResults(names[0], tasks, {name: name for name in names}, {}, arms, {})


def test_a_run_improves_with_a_smaller_share_of_its_budget_and_a_tie_counts_half() -> None:
    better = BASELINE - 0.25
    better[0, :2] = 1.0  # neither solved the task
    estimate = improvement(better, BASELINE)
    assert (estimate.wins, estimate.ties, estimate.pairs) == (6, 2, 8)
    assert estimate.probability == 7 / 8
    # Clopper & Pearson: 6 of 8 from below, 8 of 8 from above
    assert (estimate.low, estimate.high) == (pytest.approx(0.3491, abs=1e-4), 1.0)
    assert improvement(BASELINE, BASELINE).probability == 0.5


def test_the_interval_covers_the_probability_of_improvement_wherever_half_of_the_pairs_are_tied() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(120):
        own, other = (np.where(rng.random((4, 8)) < 0.7, 1.0, rng.random((4, 8))) for _ in range(2))
        estimate = improvement(own, other)
        covered += estimate.low <= 0.5 <= estimate.high
    assert covered >= 0.95 * 120


def test_a_profile_counts_solved_runs_alone() -> None:
    budgets, solved = np.array([[0.2, 1.0], [0.6, 1.0]]), np.array([[True, False], [True, True]])
    assert profile(budgets, solved, (0.1, 0.2, 0.6, 1.0)) == [0.0, 0.25, 0.5, 0.75]


def test_ranks_leave_open_what_the_tests_do_not_decide() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.uniform(0, 0.05, (3, 6)) for _ in range(3)]
    far, near, same = (np.array(place) + spread for place, spread in zip((0.2, 0.8, 0.8), noise, strict=True))
    result = ranks(matrix_of({"base": near.tolist(), "like": same.tolist(), "best": far.tolist()}))
    assert (result["best"].rank, result["best"].low, result["best"].high) == (1.0, 1, 1)
    assert [(result[name].low, result[name].high) for name in ("base", "like")] == [(2, 3), (2, 3)]
    assert result["best"].by_task == 1.0
    equal = ranks(matrix_of({"base": near.tolist(), "like": near.tolist()}))
    assert [(rank.rank, rank.low, rank.high) for rank in equal.values()] == [(1.5, 1, 2)] * 2


def test_seeds_that_only_some_arms_have_are_left_out() -> None:
    matrix = matrix_of({"base": [[0.5, 0.5, 0.5, 0.1]], "more": [[0.5, 0.5]]})
    assert matrix.seeds == 2
    assert matrix.budgets_TxK("base").tolist() == [[0.5, 0.5]]
    assert matrix_of({"base": [[0.5]], "none": [[]]}).seeds == 0
    assert ranks(matrix_of({"base": [[0.5]], "none": [[]]})) == {}
