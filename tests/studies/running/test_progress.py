"""Progress on standard error: a line for each trained run, with the time that the trained runs suggest is left."""

from types import SimpleNamespace

import pytest

from studies.declared.study import Study
from studies.ledger.records import RunRecord
from studies.running.cell_runs import RunEvent
from studies.running.progress import Reporter, describe


def confirming_run(score: float | None = 0.5, failure: str | None = None) -> RunRecord:
    return RunRecord(phase="confirm", seed=3, settings={}, identity="0" * 16, score=score, failure=failure)


def test_the_time_left_is_the_mean_time_of_the_trained_runs_times_the_runs_that_are_left(
    small: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten runs come from the store at once, and two are trained in 20 s each."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("studies.running.progress.time", SimpleNamespace(monotonic=lambda: clock.now))
    with Reporter(small, small.cells, 2) as reporter:
        for done in range(1, 13):
            trained = done > 10
            clock.now += 20.0 * trained
            reporter.show(RunEvent("width=8 n=1", confirming_run(), done, 28, trained))
    assert capsys.readouterr().err.splitlines() == [
        "small, scale cpu: 28 runs, 2 at once",
        "[11/28] width=8 n=1: seed 3: 0.500; 5:40 left",
        "[12/28] width=8 n=1: seed 3: 0.500; 5:20 left",
        "2 runs trained in 40 s",
    ]


def test_there_is_no_time_left_after_the_last_run(small: Study, capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(small, small.cells[:1], 1) as reporter:
        reporter.show(RunEvent("width=8 n=1", confirming_run(None, "not finite"), 7, 7, trained=True))
    assert "7 runs, 1 at once" in capsys.readouterr().err.splitlines()[0]
    assert reporter.time_left(RunEvent("width=8 n=1", confirming_run(), 7, 7, trained=True)) == ""


def test_a_run_is_described_by_its_settings_or_its_seed_and_its_score_or_failure() -> None:
    trial = RunRecord(
        phase="tune", seed=2**30, settings={"training.learning_rate": 0.01234}, identity="0" * 16, score=0.25
    )
    assert describe(trial) == "trial with learning_rate 0.0123: 0.250"
    assert describe(confirming_run(None, "not finite")) == "seed 3: failed (not finite)"
