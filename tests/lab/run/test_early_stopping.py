"""Early stopping ends a run that no longer improves, and changes nothing in what came before."""

from pathlib import Path

from lab.run.spec import RunSpec
from lab.run.store import METRICS, RunFolder
from lab.run.training import train
from tests.conftest import Spec
from tests.lab.killed_runs import train_until_killed


def without_progress(tiny: Spec, evaluations: int) -> RunSpec:
    """Returns a run that learns nothing at its tiny rate, so that the first evaluation stays the best."""
    return tiny(training__learning_rate=1e-12, training__stop_after_evaluations=evaluations, training__steps=40)


def test_a_run_stops_after_the_given_evaluations_without_progress(tiny: Spec, tmp_path: Path) -> None:
    result = train(without_progress(tiny, 1), tmp_path)
    assert (result["steps"], result["best_step"], result["stopped_early"]) == (8, 4, True)
    assert train(without_progress(tiny, 3), tmp_path)["steps"] == 16
    assert not train(tiny(training__stop_after_evaluations=9), tmp_path)["stopped_early"]


def test_a_stopped_run_is_the_beginning_of_the_one_that_goes_on(tiny: Spec, tmp_path: Path) -> None:
    short, long = without_progress(tiny, 2), tiny(training__learning_rate=1e-12, training__steps=40)
    for spec in (short, long):
        train(spec, tmp_path)
    lines = [RunFolder(tmp_path, spec.identity).lines(METRICS) for spec in (short, long)]
    assert [line["step"] for line in lines[0][::2]] == [4, 8, 12]
    assert lines[0] == lines[1][:6]  # both have the schedule of 40 steps


def test_a_kill_does_not_change_where_a_run_stops(tiny: Spec, tmp_path: Path) -> None:
    spec = without_progress(tiny, 1)
    result = train(spec, tmp_path / "whole")
    train_until_killed(spec, tmp_path / "killed")
    assert train(spec, tmp_path / "killed") == result
    logs = [RunFolder(tmp_path / home, spec.identity).lines(METRICS) for home in ("whole", "killed")]
    assert logs[0] == logs[1]
