"""A run ends where it has solved its task, and the step at which that happens is the one that measures read."""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run.solving import Solved
from lab.run.spec import RunSpec
from lab.run.store import METRICS, RunFolder
from lab.run.training import train
from tests.conftest import Spec
from tests.lab.killed_runs import train_until_killed

SOLVED = {"metric": "accuracy", "at": 0.9, "evaluations": 2}


def curve(*accuracies: float, every: int = 10) -> list[dict[str, object]]:
    """Returns the log of a run with these accuracies on validation."""
    lines: list[dict[str, object]] = []
    for number, accuracy in enumerate(accuracies, 1):
        lines.append({"step": every * number, "split": "train", "loss_1": 1.0})
        lines.append({"step": every * number, "split": "validation", "accuracy": accuracy})
    return lines


@pytest.mark.parametrize(
    ("accuracies", "step"),
    [
        ((0.5, 0.9, 0.9, 0.5), 30),
        ((0.9, 0.5, 0.95, 1.0), 40),
        ((0.9, 0.5, 0.9), None),
        ((0.9,), None),
        ((), None),
    ],
)
def test_a_task_is_solved_at_the_end_of_the_first_row_of_evaluations(
    accuracies: tuple[float, ...], step: int | None
) -> None:
    assert Solved(metric="accuracy", at=0.9).first_step(curve(*accuracies)) == step


def test_one_evaluation_may_be_enough() -> None:
    assert Solved(metric="accuracy", at=0.9, evaluations=1).first_step(curve(0.1, 0.9, 0.1)) == 20


def solving(tiny: Spec, at: float) -> RunSpec:
    """Returns a run of 40 steps, evaluated at every fourth, that ends where its accuracy was at least `at` twice."""
    return tiny(training__stop_when_solved={**SOLVED, "at": at}, training__steps=40)


def test_a_run_ends_where_it_has_solved_its_task_and_is_the_beginning_of_the_one_that_goes_on(
    tiny: Spec, tmp_path: Path
) -> None:
    whole = tiny(training__steps=40)
    train(whole, tmp_path)
    lines = RunFolder(tmp_path, whole.identity).lines(METRICS)
    reached = sorted(line["accuracy"] for line in lines if "accuracy" in line)[len(lines) // 4]
    expected = Solved(metric="accuracy", at=reached).first_step(lines)
    assert expected is not None
    assert expected < 40
    short = solving(tiny, reached)
    result = train(short, tmp_path)
    assert (result["steps"], result["stopped_early"]) == (expected, True)
    stopped = RunFolder(tmp_path, short.identity).lines(METRICS)
    assert stopped == lines[: len(stopped)]
    assert short.training.stop_when_solved is not None
    assert short.training.stop_when_solved.first_step(stopped) == expected


def test_a_kill_does_not_change_where_a_run_ends(tiny: Spec, tmp_path: Path) -> None:
    spec = solving(tiny, 1e-9)
    train_until_killed(spec, tmp_path / "killed")
    result = train(spec, tmp_path / "whole")
    assert train(spec, tmp_path / "killed") == result


def test_an_unset_threshold_is_no_part_of_the_identity(tiny: Spec) -> None:
    assert "stop_when_solved" not in tiny().canonical()["training"]
    assert solving(tiny, 0.9).canonical()["training"]["stop_when_solved"] == SOLVED
    assert solving(tiny, 0.9).identity != tiny(training__steps=40).identity


def test_a_task_that_scores_no_token_cannot_be_solved(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(task={"kind": "markov"}, training__stop_when_solved=SOLVED)
    with pytest.raises(UserError, match=r"training\.stop_when_solved: task markov scores no token"):
        train(spec, tmp_path)
