"""The ledger is written while a study runs, and a large one more rarely, so that writing takes little of the time."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from studies.declared.study import Study
from studies.ledger.declared_study import cells_of
from studies.running.cell_runs import RunEvent
from studies.running.sweep import Sweep
from tests.studies.running.scored_runs import ScoredRuns, Scores


def score(tree: dict[str, object]) -> Scores:
    return {split: {"accuracy": 0.5} for split in ("validation", "test")}


def test_every_run_that_ended_is_in_the_ledger_before_the_next_one_ends(
    small: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studies.running.coordinator.LEDGER_EVERY_SECONDS", 0.0)
    monkeypatch.setattr("studies.running.coordinator.LEDGER_TIME_SHARE", float("inf"))
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    ended: list[int] = []

    def count(event: RunEvent) -> None:
        ended.append(sum(run.ended for cell in cells_of(tmp_path, small) for run in cell.runs) if ended else 0)

    Sweep(small, tmp_path, count).run(ScoredRuns(tmp_path, score))
    assert ended == list(range(28))


@pytest.mark.parametrize(("seconds", "pause"), [(0.01, 2.0), (0.1, 2.0), (0.5, 10.0), (3.0, 60.0)])
def test_the_pause_between_writings_is_two_seconds_or_twenty_times_as_long_as_a_writing(
    small: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, pause: float
) -> None:
    clock = SimpleNamespace(now=50.0)

    class SlowDisk(Sweep):
        def write_ledger(self) -> None:
            clock.now += seconds

    monkeypatch.setattr("studies.running.coordinator.time", SimpleNamespace(monotonic=lambda: clock.now))
    sweep = SlowDisk(small, tmp_path, lambda event: None)
    sweep.write()
    assert sweep.next_writing == pytest.approx(50.0 + seconds + pause)
