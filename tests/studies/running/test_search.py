"""A search proposes the same with every executor, refuses at no cost, confirms its front, and trains nothing twice."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from generators.foundation.errors import UserError
from lab.run.files import lock_folder
from lab.run.spec import parse_spec
from lab.run.store import RunFolder
from studies.declared.search import Search, load_search
from studies.declared.study import TUNING_SEED
from studies.ledger.folder import StudyFolder
from studies.ledger.search_records import ProposalRecord, SearchRecord, SearchRunRecord
from studies.running.coordinator import Interrupted
from studies.running.executors.executor import Outcome
from studies.running.executors.here import InProcess
from studies.running.front import front, front_lines
from studies.running.search import SearchCoordinator
from tests.small_search import write_small_search

Load = Callable[..., Search]


@pytest.fixture
def load_small(tmp_path: Path) -> Load:
    """Returns a function that loads the small search with pieces of its file replaced."""
    return lambda *replacements: load_search(str(write_small_search(tmp_path, *replacements)), "cpu", [])


class LastFirst(InProcess[Any]):
    """Trains nothing, and ends all runs of a batch together, the last one first.

    Quality is width / 100 + learning rate on validation and half of that on test; cost is the width.
    """

    def outcomes(self) -> Iterator[tuple[Any, Outcome]]:
        while self.waiting:
            key, request = self.waiting.pop()
            tree = parse_spec(request.tree, "a run of the test").canonical()
            width = tree["model"]["width"]
            quality = width / 100 + tree["training"]["learning_rate"]
            scores = {"validation": {"accuracy": quality}, "test": {"accuracy": quality / 2}}
            yield key, Outcome({"status": "complete", "scores": {"best": scores}, "parameters": {"all": width}})


class FirstFirst(LastFirst):
    """Ends the first run first."""

    def outcomes(self) -> Iterator[tuple[Any, Outcome]]:
        self.waiting.reverse()
        yield from super().outcomes()


def run_search(search: Search, home: Path, executor: InProcess[Any]) -> SearchRecord:
    return SearchCoordinator(search, home, lambda line: None).run(executor)


def test_proposals_do_not_depend_on_which_run_ended_first(load_small: Load, tmp_path: Path) -> None:
    search = load_small()
    records = [run_search(search, tmp_path / kind.__name__, kind(tmp_path)) for kind in (LastFirst, FirstFirst)]
    assert records[0] == records[1]
    assert len(records[0].trials) == 6
    stored = StudyFolder(tmp_path / "LastFirst", "small", "cpu")
    assert stored.read_search() == records[0]
    assert json.loads((stored.path / "search.json").read_text()) == records[0].tree()


@pytest.mark.parametrize("executor", [LastFirst, FirstFirst])
def test_trials_are_reported_to_optuna_and_to_the_user_in_the_order_in_which_they_were_proposed(
    load_small: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: type[LastFirst]
) -> None:
    lines: list[str] = []
    coordinator = SearchCoordinator(load_small(), tmp_path, lines.append)
    reported: list[tuple[dict[str, Any], tuple[float, float] | None]] = []
    tell = coordinator.sampler.tell

    def recorded(trial: optuna.Trial, values: tuple[float, float] | None) -> None:
        reported.append((trial.params, values))
        tell(trial, values)

    monkeypatch.setattr(coordinator.sampler, "tell", recorded)
    record = coordinator.run(executor(tmp_path))
    assert reported == [(proposal.settings, proposal.values) for proposal in record.trials]
    assert [line.partition(" ")[0] for line in lines] == [f"[{number}/6]" for number in range(1, 7)]


@pytest.mark.parametrize("sampler", [pytest.param("gp", marks=pytest.mark.slow), "random"])
def test_a_sampler_that_insists_on_a_refused_proposal_does_not_end_the_search(
    load_small: Load, tmp_path: Path, sampler: str
) -> None:
    search = load_small(("trials = 6", f'trials = 14\nsampler = "{sampler}"'))
    assert len(run_search(search, tmp_path, LastFirst(tmp_path)).trials) == 14


def test_a_search_proposes_other_settings_at_another_scale_and_under_another_name(
    load_small: Load, tmp_path: Path
) -> None:
    scales = ('[scales.cpu]\nsummary = "a few seconds"', '[scales.cpu]\nsummary = "a"\n[scales.gpu]\nsummary = "b"')
    search = load_small(scales)
    names = [search, replace(search, scale="gpu"), replace(search, name="other")]
    rates = []
    for number, named in enumerate(names):
        record = run_search(named, tmp_path / str(number), LastFirst(tmp_path))
        rates.append({proposal.settings["training.learning_rate"] for proposal in record.trials[1:]})
    assert not rates[0] & rates[1]
    assert not rates[0] & rates[2]


def test_refused_settings_cost_no_budget(load_small: Load, tmp_path: Path) -> None:
    search = load_small()
    assert search.refusal(search.first) is not None  # n=2, no layer, one unembedding
    record = run_search(search, tmp_path, LastFirst(tmp_path))
    assert record.refused >= 1
    assert record.failed == 0
    assert all(search.refusal(proposal.settings) is None for proposal in record.trials)


def test_trials_are_scored_on_validation_and_the_front_on_test_and_fresh_seeds(
    load_small: Load, tmp_path: Path
) -> None:
    record = run_search(load_small(), tmp_path, LastFirst(tmp_path))
    qualities: dict[float, list[tuple[float, int]]] = {}
    for proposal in record.trials:
        width, rate = proposal.settings["model.width"], proposal.settings["training.learning_rate"]
        assert isinstance(width, int)
        assert isinstance(rate, float)
        assert proposal.quality is not None
        qualities.setdefault(width, []).append((proposal.quality, proposal.number))
        assert [run.seed for run in proposal.runs] == [TUNING_SEED]
        assert (proposal.quality, proposal.cost) == (pytest.approx(width / 100 + rate), width)
        assert [run.seed for run in proposal.confirmed] == ([0, 1] if proposal.front else [])
        for run in proposal.confirmed:
            assert run.quality == pytest.approx(proposal.quality / 2)
    best_of_each_width = {max(pairs)[1] for pairs in qualities.values()}  # a wider one is better here and costs more
    assert set(record.front) == best_of_each_width
    assert record.dominated == 6 - len(best_of_each_width)
    assert any("judges no claim" in line for line in front_lines(record))


def test_the_front_of_seven_trials_worked_out_by_hand() -> None:
    def proposal(number: int, quality: float | None, cost: float) -> ProposalRecord:
        failure = "diverged" if quality is None else None
        run = SearchRunRecord(seed=0, identity="", quality=quality, cost=cost, failure=failure)
        record = ProposalRecord(number=number, settings={"n": number}, runs=[run])
        record.summarise()
        return record

    pairs = [(0.5, 10), (0.5, 12), (0.7, 20), (0.6, 25), (0.4, 5), (None, 1), (0.7, 20)]
    proposals = [proposal(number, *pair) for number, pair in enumerate(pairs)]
    assert [trial.number for trial in front(proposals)] == [0, 2, 4, 6]
    proposals[6].settings = proposals[2].settings
    assert [trial.number for trial in front(proposals)] == [0, 2, 4]


def test_the_same_search_again_trains_nothing_and_a_larger_one_continues(load_small: Load, tmp_path: Path) -> None:
    smaller = load_small(("trials = 6", "trials = 3"))
    coordinator = SearchCoordinator(smaller, tmp_path, lambda line: None)
    record = coordinator.run(InProcess(tmp_path))
    assert coordinator.trained == 3 + 2 * len(record.front)
    for proposal in record.trials:
        for run in [*proposal.runs, *proposal.confirmed]:
            result = RunFolder(tmp_path, run.identity).result()
            assert result is not None
            split = "validation" if run.seed == TUNING_SEED else "test"
            assert run.quality == result["scores"]["best"][split]["accuracy"]
            assert run.cost == sum(result["parameters"].values())
    repeated = SearchCoordinator(smaller, tmp_path, lambda line: None)
    assert repeated.run(InProcess(tmp_path)) == record
    assert repeated.trained == 0
    larger = run_search(load_small(), tmp_path, LastFirst(tmp_path))
    assert [trial.settings for trial in larger.trials[:3]] == [trial.settings for trial in record.trials]


def test_a_damaged_run_is_a_failed_trial_and_the_others_go_on(load_small: Load, tmp_path: Path) -> None:
    search = load_small(("trials = 6", "trials = 3"))
    record = run_search(search, tmp_path, InProcess(tmp_path))
    victim = record.trials[0].runs[0].identity
    (RunFolder(tmp_path, victim).path / "result.json").write_text("{")
    repeated = run_search(search, tmp_path, InProcess(tmp_path))
    assert "not valid JSON" in str(repeated.trials[0].failure)
    assert repeated.failed == 1
    assert [trial.quality is None for trial in repeated.trials] == [True, False, False]


def test_ctrl_c_ends_a_search_after_the_runs_that_are_running(load_small: Load, tmp_path: Path) -> None:
    class InterruptedBatch(LastFirst):
        """Presses Ctrl-C during the first batch."""

        def outcomes(self) -> Iterator[tuple[Any, Outcome]]:
            os.kill(os.getpid(), signal.SIGINT)
            yield from super().outcomes()

    search = load_small()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(Interrupted, match=r"interrupted after 3 of 6 trials; .* continues from here"):
            run_search(search, tmp_path, InterruptedBatch(tmp_path))
    finally:
        signal.signal(signal.SIGINT, before)
    record = StudyFolder(tmp_path, "small", "cpu").read_search()
    assert record is not None
    assert (len(record.trials), record.complete) == (3, False)


def test_a_search_that_another_process_runs_is_refused(load_small: Load, tmp_path: Path) -> None:
    with (
        lock_folder(StudyFolder(tmp_path, "small", "cpu").path, "running this search"),
        pytest.raises(UserError, match="another process is running this search"),
    ):
        run_search(load_small(), tmp_path, LastFirst(tmp_path))
