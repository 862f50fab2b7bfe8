"""The board displays stored runs as optuna trials and follows them while they run."""

from dataclasses import replace

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard import get_note

from lab.run.store import METRICS, RunFolder
from reports.dashboards.board import Board
from reports.dashboards.markdown import escape_markdown
from reports.dashboards.sources import sources
from studies.ledger.declared_study import record_of
from studies.ledger.records import VerdictsRecord
from tests.reports.stored_study import TITLE, StoredStudy, StudyStore, ledger_file, usual_outcome


def board_of(stored: StoredStudy) -> Board:
    board = Board(lambda: sources(stored.home, None, None))
    board.update()
    return board


def trials_of(board: Board) -> list[FrozenTrial]:
    (study,) = board.studies()
    return study.trials


def test_a_study_has_one_trial_per_run_in_the_order_of_the_ledger(usual_store: StoredStudy) -> None:
    (study,) = board_of(usual_store).studies()
    assert study.study_name == "small, scale cpu"
    assert study.metric_names == ["accuracy"]
    entries = [(cell, entry) for cell in ledger_file(usual_store) for entry in cell["entries"]]
    assert len(study.trials) == len(entries) == 4 * (2 + 5)
    for trial, (cell, entry) in zip(study.trials, entries, strict=True):
        assert trial.state == TrialState.COMPLETE
        assert trial.value == entry["score"]
        assert trial.params == cell["levels"] | entry["settings"]
        attributes = {"cell": cell["cell"], **{key: entry[key] for key in ("phase", "seed", "run")}}
        assert {key: trial.user_attrs[key] for key in attributes} == attributes
        assert trial.distributions["objective.n"] == CategoricalDistribution([1, 2])
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
    assert [trial.user_attrs["cell"] for trial in by_state[TrialState.FAIL]] == ["width=8 n=2", "width=16 n=1"]
    assert "not a finite number" in by_state[TrialState.FAIL][0].user_attrs["failure"]
    assert all(trial.values is None for trial in by_state[TrialState.FAIL] + by_state[TrialState.RUNNING])


def test_the_board_follows_a_run_that_advances_another_that_ends_and_a_new_declaration(store: StudyStore) -> None:
    stored = store(
        lambda cell, phase, number: (
            None if (cell, phase) == ("width=16 n=2", "tune") else usual_outcome(cell, phase, number)
        )
    )
    board = board_of(stored)
    before = trials_of(board)
    first, second = [trial for trial in before if trial.state == TrialState.RUNNING]
    line = {"step": 10, "split": "validation", "accuracy": 0.25}
    RunFolder(stored.home, first.user_attrs["run"]).append(METRICS, line)
    board.update()
    after = trials_of(board)
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
    last = trials_of(board)
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
    assert "Verdicts follow when the study ends" in get_note(board.studies()[0])
    verdicts = [judgement.record() for judgement in stored.judgements]
    stored.folder.write_verdicts(VerdictsRecord(study="small", scale="cpu", verdicts=verdicts))
    board.update()
    (study,) = board.studies()
    note = get_note(study)
    assert escape_markdown(TITLE) in note
    assert "<script>" not in note
    claim = r"\<script\>alert\(\"claim\"\)\<\/script\> Two are better than one\. (difference \+0\.450"
    assert f"**SUPPORTED** {claim}" in note
    assert "28 of 28 runs ended, 0 failed." in note
    assert "](/reports/small/cpu)" in note
    assert study.user_attrs["report"] == "/reports/small/cpu"


def test_a_study_with_more_runs_than_a_browser_draws_has_curves_of_some(
    usual_store: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.dashboards.studies.CURVES_MAXIMUM", 10)
    board = board_of(usual_store)
    assert [trial.number for trial in trials_of(board) if trial.intermediate_values] == list(range(0, 28, 3))
    assert "for one run in 3" in get_note(board.studies()[0])


def test_the_note_of_a_half_done_study_counts_runs_and_has_no_verdicts(broken_store: StoredStudy) -> None:
    note = get_note(board_of(broken_store).studies()[0])
    assert "21 of 28 runs ended, 2 failed" in note
    assert "INCONCLUSIVE" not in note


def test_escaped_text_reads_unchanged_in_markdown() -> None:
    assert escape_markdown("<b>*a*</b>  [x](y)\n$z$") == r"\<b\>\*a\*\<\/b\> \[x\]\(y\) \$z\$"
