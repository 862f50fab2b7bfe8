"""The table of how many runs of each objective solved each task."""

from reports.exhibits.matrix.counts import SolvedCounts
from reports.frames.matrix.results import ArmRuns, MatrixResults


def test_an_entry_has_the_median_budget_only_where_half_of_the_runs_solved_the_task() -> None:
    soon = ArmRuns({0: 0.2, 1: 0.4, 2: 1.0}, {0: True, 1: True, 2: False})
    seldom = ArmRuns({0: 0.9, 1: 1.0, 2: 1.0}, {0: True, 1: False, 2: False})
    arms = {("a", "sums"): seldom, ("b", "sums"): soon, ("a", "stars"): ArmRuns(), ("b", "stars"): soon}
    names = {"a": "first", "b": "second"}
    matrix = MatrixResults("a", {"sums": "sums", "stars": "stars"}, names, {}, arms, {})
    first, second = SolvedCounts(matrix).table().rows
    assert [value.text for value in first] == ["first", "1 of 3", "–"]
    assert [value.text for value in second] == ["second", "2 of 3 (0.40)", "2 of 3 (0.40)"]
    assert second[1].order > first[1].order  # type: ignore[operator]
