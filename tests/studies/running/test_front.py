"""Lines of a front give the fresh seeds' scores and costs, in the unit of the cost; seconds are those of training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.run.store import TIMING, RunFolder
from studies.declared.search import load_search
from studies.ledger.search_records import ProposalRecord, SearchRecord, SearchRunRecord
from studies.running.executors.executor import Outcome
from studies.running.executors.here import InProcess
from studies.running.front import cost_text, front_lines, proposal_line
from studies.running.search import SearchCoordinator
from tests.small_search import write_small_search


def fresh_run(seed: int, quality: float | None, cost: float | None) -> SearchRunRecord:
    failure = "diverged" if quality is None else None
    return SearchRunRecord(seed=seed, identity="", quality=quality, cost=cost, failure=failure)


def complete_search(cost: str) -> SearchRecord:
    """Returns a search of three trials: one on the front, one whose fresh runs failed, one that failed."""
    good = ProposalRecord(number=0, settings={"n": 2}, quality=0.75, cost=1500.0, front=True)
    good.confirmed = [fresh_run(0, 0.5, 1000.0), fresh_run(1, 0.75, 2000.0), fresh_run(2, None, None)]
    unlucky = ProposalRecord(number=1, settings={"n": 4}, quality=0.8, cost=3000.0, front=True)
    unlucky.confirmed = [fresh_run(0, None, None)]
    failed = ProposalRecord(number=2, settings={"n": 8}, failure="diverged")
    texts = dict.fromkeys(("name", "source", "title", "question", "sampler", "summary", "caveat"), "")
    return SearchRecord.model_validate(
        {
            **texts,
            "scale": "cpu",
            "metric": "accuracy",
            "cost": cost,
            "space": {},
            "budget": 3,
            "complete": True,
            "refused": 5,
            "failed": 1,
            "dominated": 0,
            "front": [0, 1],
            "trials": [good, unlucky, failed],
        }
    )


def test_the_lines_of_a_front_are_those_written_by_hand() -> None:
    lines = front_lines(complete_search("parameters"))
    assert lines[1:4] == [
        "  0.625 (0.500 to 0.750)  1,500 parameters  0.750  n=2  (1 failed)",
        "  every fresh run failed: n=4",
        "3 trials: 2 on the front, 0 dominated, 1 failed; proposals that could not run, at no cost: 5",
    ]
    timed = front_lines(complete_search("seconds"))
    assert timed[1].startswith("  0.625 (0.500 to 0.750)  1.5e+03 s")
    assert len(timed) == len(lines) + 1, "seconds come with a remark about the machine"
    assert (cost_text(0.12345, "seconds"), cost_text(8224.0, "parameters")) == ("0.123 s", "8,224 parameters")


def test_a_trial_that_ended_is_one_line() -> None:
    trials = complete_search("parameters").trials
    assert proposal_line(trials[0], "parameters") == "n=2: 0.750, 1,500 parameters"
    assert proposal_line(trials[2], "parameters") == "n=8: failed (diverged)"


class TimedRuns(InProcess[Any]):
    """Ends every run at once, with two stretches of training of 1.5 s each and an evaluation of 7 s."""

    def outcomes(self) -> Iterator[tuple[Any, Outcome]]:
        while self.waiting:
            key, _ = self.waiting.popleft()
            folder = RunFolder(self.home, key[0].identity)
            folder.path.mkdir(parents=True, exist_ok=True)
            for step, evaluate_seconds in ((1, 0.0), (2, 7.0)):
                folder.append(TIMING, {"step": step, "train_seconds": 1.5, "evaluate_seconds": evaluate_seconds})
            scores = {"best": {split: {"accuracy": 0.5} for split in ("validation", "test")}}
            yield key, Outcome({"status": "complete", "scores": scores, "parameters": {"all": 8}})


def test_the_cost_in_seconds_is_the_time_of_training_without_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    path = write_small_search(tmp_path, ('cost = "parameters"', 'cost = "seconds"'), ("trials = 6", "trials = 2"))
    record = SearchCoordinator(load_search(str(path), "cpu", []), tmp_path, lambda line: None).run(TimedRuns(tmp_path))
    assert [trial.cost for trial in record.trials] == [3.0, 3.0]
