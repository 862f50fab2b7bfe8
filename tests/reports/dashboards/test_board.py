"""The board displays stored runs as optuna trials and follows them while they run."""

from dataclasses import replace

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from lab.run.store import METRICS, RunFolder
from reports.dashboards.board import Board
from reports.dashboards.markdown import escape_markdown
from reports.dashboards.sources import sources
from reports.dashboards.studies import verdict_line
from studies.ledger.declared_study import record_of
from studies.ledger.records import VerdictsRecord
from tests.reports.stored_study import TITLE, StoredStudy, StudyStore, ledger_file, usual_outcome

optuna_dashboard = pytest.importorskip("optuna_dashboard")


def board_of(stored: StoredStudy) -> Board:
    board = Board(lambda: sources(stored.home, None, None))
    board.update()
    return board


def trials_of(board: Board) -> list[FrozenTrial]:
    """Returns the tuning runs, then the confirming runs."""
    tuning, confirming = board.studies()
    return [*tuning.trials, *confirming.trials]


def test_a_study_has_one_trial_per_run_in_the_order_of_the_ledger(usual_store: StoredStudy) -> None:
    studies = board_of(usual_store).studies()
    assert [study.study_name for study in studies] == [
        "small, scale cpu, tuning runs",
        "small, scale cpu, confirming runs",
    ]
    for study, phase, count in zip(studies, ("tune", "confirm"), (4 * 2, 4 * 5), strict=True):
        assert study.metric_names == ["accuracy"]
        cells = ledger_file(usual_store)
        entries = [(cell, entry) for cell in cells for entry in cell["entries"] if entry["phase"] == phase]
        assert len(study.trials) == len(entries) == count
        for trial, (cell, entry) in zip(study.trials, entries, strict=True):
            assert trial.state == TrialState.COMPLETE
            assert trial.value == entry["score"]
            rate = entry["settings"]  # every cell has the same winner, so it does not vary between confirming runs
            assert trial.params == cell["levels"] | (rate if phase == "tune" else {})
            attributes = {"cell": cell["cell"], **{key: entry[key] for key in ("phase", "seed", "run")}}
            attributes |= rate if phase == "confirm" else {}
            assert {key: trial.user_attrs[key] for key in attributes} == attributes
            assert trial.distributions["objective.n"] == CategoricalDistribution([1, 2])
            if phase == "tune":
                assert trial.distributions["training.learning_rate"] == FloatDistribution(0.001, 0.1, log=True)


def test_the_curve_of_a_trial_is_the_metric_on_validation_by_step(usual_store: StoredStudy) -> None:
    for trial in trials_of(board_of(usual_store)):
        assert trial.value is not None
        assert trial.intermediate_values == pytest.approx({10: trial.value / 2, 20: trial.value})


def test_failed_runs_have_a_reason_and_no_value_and_unfinished_runs_are_running(broken_store: StoredStudy) -> None:
    by_state: dict[TrialState, list[FrozenTrial]] = {}
    for trial in trials_of(board_of(broken_store)):
        by_state.setdefault(trial.state, []).append(trial)
    counts = {state: len(trials) for state, trials in by_state.items()}
    assert counts == {TrialState.COMPLETE: 19, TrialState.FAIL: 2, TrialState.RUNNING: 2}
    assert [trial.user_attrs["cell"] for trial in by_state[TrialState.FAIL]] == ["width=16 n=1", "width=8 n=2"]
    assert "not a finite number" in by_state[TrialState.FAIL][1].user_attrs["failure"]
    assert all(trial.values is None for trial in by_state[TrialState.FAIL] + by_state[TrialState.RUNNING])


def test_the_board_follows_a_run_that_advances_another_that_ends_and_a_new_declaration(store: StudyStore) -> None:
    stored = store(
        lambda cell, phase, number: (
            None if (cell, phase) == ("width=16 n=2", "tune") else usual_outcome(cell, phase, number)
        )
    )
    board = board_of(stored)
    before = board.studies()[0].trials
    first, second = [trial for trial in before if trial.state == TrialState.RUNNING]
    line = {"step": 10, "split": "validation", "accuracy": 0.25}
    RunFolder(stored.home, first.user_attrs["run"]).append(METRICS, line)
    board.update()
    after = board.studies()[0].trials
    assert after[first.number].intermediate_values == {10: 0.25}
    assert after[first.number].state == TrialState.RUNNING
    cells = stored.cells
    for run in cells[3].runs:
        if run.identity == first.user_attrs["run"]:
            run.score = 0.5
        else:
            run.failure = "its worker died 3 times"
    stored.folder.write_cells(cells)
    board.update()
    last = board.studies()[0].trials
    assert (last[first.number].state, last[first.number].value) == (TrialState.COMPLETE, 0.5)
    assert last[second.number].user_attrs["failure"] == "its worker died 3 times"
    assert len(last) == len(before)
    stored.folder.write_study(record_of(replace(stored.study, seeds=6)))
    stored.folder.write_cells(cells[:1])
    board.update()
    assert {trial.user_attrs["cell"] for trial in trials_of(board)} == {"width=8 n=1"}


def test_the_note_has_question_verdicts_and_report_with_all_markup_escaped(store: StudyStore) -> None:
    stored = store()
    board = board_of(stored)
    assert "Verdicts follow when the study ends" in optuna_dashboard.get_note(board.studies()[0])
    verdicts = [judgement.record() for judgement in stored.judgements]
    stored.folder.write_verdicts(VerdictsRecord(study="small", scale="cpu", verdicts=verdicts))
    board.update()
    study = board.studies()[1]
    note = optuna_dashboard.get_note(study)
    assert escape_markdown(TITLE) in note
    assert "<script>" not in note
    claim = r"\<script\>alert\(\"claim\"\)\<\/script\> Two are better than one\. (difference \+0\.450"
    assert f"**SUPPORTED** {claim}" in note
    assert "28 of 28 runs of the whole study ended, 0 failed." in note
    assert "its value is accuracy on test; only these runs count for a verdict" in note
    assert "This dashboard is read-only: nothing can be created, renamed, edited or deleted here." in note
    assert "](/reports/small/cpu)" in note
    assert study.user_attrs["report"] == "/reports/small/cpu"


def test_a_study_with_more_runs_than_a_browser_draws_has_curves_of_some(
    usual_store: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.dashboards.study_parts.CURVES_MAXIMUM", 7)
    tuning, confirming = board_of(usual_store).studies()
    assert [trial.number for trial in tuning.trials if trial.intermediate_values] == list(range(0, 8, 2))
    assert [trial.number for trial in confirming.trials if trial.intermediate_values] == list(range(0, 20, 3))
    assert "for one run in 3" in optuna_dashboard.get_note(confirming)


def test_the_note_of_a_half_done_study_counts_runs_and_has_no_verdicts(broken_store: StoredStudy) -> None:
    note = optuna_dashboard.get_note(board_of(broken_store).studies()[0])
    assert "21 of 28 runs of the whole study ended, 2 failed" in note
    assert "INCONCLUSIVE" not in note
    lines = [verdict_line(judgement.record()) for judgement in broken_store.judgements]
    assert [line.split("**")[1] for line in lines] == ["NOT TESTED", "NOT TESTED"]


def test_escaped_text_reads_unchanged_in_markdown() -> None:
    assert escape_markdown("<b>*a*</b>  [x](y)\n$z$") == r"\<b\>\*a\*\<\/b\> \[x\]\(y\) \$z\$"
