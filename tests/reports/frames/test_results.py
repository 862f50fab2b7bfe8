"""Frames hold what the files hold, and nothing a failed or unfinished run could be mistaken for."""

import json

import pandas as pd
import pytest

from reports.frames.results import UNFINISHED, Results, read_results
from reports.frames.summaries import at_equal_seconds, scores
from studies.judging.judge import judge
from studies.ledger.scores import confirmed
from tests.reports.conftest import SHORTCUT, Stored, ledger, usual


def results_of(stored: Stored) -> Results:
    return read_results(stored.home, stored.study)


def test_one_row_a_run_with_every_metric_of_both_checkpoints(usual_store: Stored) -> None:
    runs = results_of(usual_store).runs
    assert len(runs) == 4 * (2 + 5)
    assert runs["run"].is_unique
    for row in runs.to_dict("records"):
        result = json.loads((usual_store.home / "runs" / row["run"] / "result.json").read_text())
        for checkpoint, splits in result["scores"].items():
            for split, metrics in splits.items():
                for name, value in metrics.items():
                    assert row[f"{checkpoint}/{split}/{name}"] == value
        spec = json.loads((usual_store.home / "runs" / row["run"] / "spec.json").read_text())
        assert row["factor/model.width"] == spec["model"]["width"]
        assert row["factor/objective.n"] == spec["objective"]["n"]
        assert row["setting/training.learning_rate"] == spec["training"]["learning_rate"]
        assert row["seed"] == spec["seed"]


def test_seconds_of_a_curve_add_up_training_and_leave_evaluation_out(usual_store: Stored) -> None:
    results = results_of(usual_store)
    curves = results.curves[results.curves["metric"] == "accuracy"]
    for run, curve in curves.groupby("run"):
        lines = (usual_store.home / "runs" / str(run) / "timing.jsonl").read_text().splitlines()
        steps = [json.loads(line)["train_seconds"] for line in lines]
        assert list(curve["step"]) == [10, 20]
        assert list(curve["seconds"]) == pytest.approx([steps[0], steps[0] + steps[1]])
    whole = results.runs.set_index("run")["train_seconds"]
    assert curves.groupby("run")["seconds"].max().to_dict() == pytest.approx(whole.to_dict())


def test_a_run_without_a_score_is_never_a_number(broken_store: Stored) -> None:
    results = results_of(broken_store)
    without = results.runs[results.runs["score"].isna()]
    statuses = without.groupby("status").size().to_dict()
    assert statuses == {"diverged": 2, UNFINISHED: 2}
    assert without["best/test/accuracy"].isna().all()
    assert set(results.failed["run"]) == set(without[without["status"] == "diverged"]["run"])
    assert results.ended == sum(
        entry["score"] is not None or entry["failure"] is not None
        for cell in ledger(broken_store)
        for entry in cell["entries"]
    )


def test_only_complete_confirming_runs_make_a_cells_score(broken_store: Stored) -> None:
    found = scores(results_of(broken_store))
    there = {
        "width=8 n=1": [0, 1, 2, 3, 4],
        "width=8 n=2": [0, 1, 2, 4],
        "width=16 n=1": [0, 1, 2, 3],
        "width=16 n=2": [],
    }
    for label, seeds in there.items():
        values = [usual(label, "confirm", seed) for seed in seeds]
        assert found[label].seeds == len(seeds)
        if values:
            assert found[label].mean == pytest.approx(pd.Series(values).mean())
            assert found[label].low < found[label].mean < found[label].high
            assert found[label].above_shortcuts == pytest.approx(found[label].mean - SHORTCUT["test"])
            assert found[label].unexplained == pytest.approx(0.9 * found[label].mean)
    assert pd.isna(found["width=16 n=2"].mean)


def test_a_study_whose_ledger_is_not_written_yet_has_no_runs(usual_store: Stored, tmp_path: object) -> None:
    results = Results(usual_store.study, [], *(frame.iloc[:0] for frame in frames(usual_store)))
    assert results.ended == 0
    assert all(row.seeds == 0 for row in scores(results).values())


def frames(stored: Stored) -> tuple[pd.DataFrame, pd.DataFrame]:
    results = results_of(stored)
    return results.runs, results.curves


def test_equal_seconds_give_the_slower_arm_less_training(usual_store: Stored) -> None:
    """Width 8: n=1 takes 1 s a stretch and n=2 takes 2 s, plus 0.1 s a seed; a score is half at the first stretch."""
    results = results_of(usual_store)
    first = judge(usual_store.study, confirmed(results.cells))[0]
    found = at_equal_seconds(results, first)
    assert found is not None
    assert found.seconds == pytest.approx(2.0)
    slower = [(0.8 + 0.01 * seed) * 0.5 for seed in range(5)]  # 2 s are within the first stretch of every seed
    assert found.treatment == pytest.approx(sum(slower) / 5)
    assert found.control > 0.5 * found.treatment
