"""Data frames contain the values of the stored files; a failed or unfinished run has no score."""

import json

import pandas as pd
import pytest

from reports.frames.summaries import at_equal_seconds, scores
from studies.reading.judged import read_judged
from studies.reading.results import UNFINISHED, Results, read_results
from tests.reports.stored_study import SHORTCUT, StoredStudy, ledger_file, usual_score


def results_of(stored: StoredStudy) -> Results:
    return read_results(stored.home, stored.study)


def test_runs_have_one_row_with_every_metric_of_both_checkpoints(usual_store: StoredStudy) -> None:
    runs = results_of(usual_store).runs
    assert len(runs) == 4 * (2 + 5)
    assert runs["run"].is_unique
    for row in runs.to_dict("records"):
        folder = usual_store.home / "runs" / row["run"]
        result, spec = (json.loads((folder / f"{name}.json").read_text()) for name in ("result", "spec"))
        for checkpoint, splits in result["scores"].items():
            for split, metrics in splits.items():
                for name, value in metrics.items():
                    assert row[f"{checkpoint}/{split}/{name}"] == value
        assert row["factor/model.width"] == spec["model"]["width"]
        assert row["factor/objective.n"] == spec["objective"]["n"]
        assert row["setting/training.learning_rate"] == spec["training"]["learning_rate"]
        assert row["seed"] == spec["seed"]


def test_seeds_are_counted_from_the_first_one_of_the_study(usual_store: StoredStudy, later_store: StoredStudy) -> None:
    results = results_of(later_store)
    assert sorted(set(results.phase("confirm")["seed"])) == [100, 101, 102, 103, 104]
    assert results.seeds == results_of(usual_store).seeds == 5


def test_seconds_of_a_curve_add_up_training_without_evaluation(usual_store: StoredStudy) -> None:
    results = results_of(usual_store)
    curves = results.curves[results.curves["metric"] == "accuracy"]
    for run, curve in curves.groupby("run"):
        lines = (usual_store.home / "runs" / str(run) / "timing.jsonl").read_text().splitlines()
        seconds = [json.loads(line)["train_seconds"] for line in lines]
        assert list(curve["step"]) == [10, 20]
        assert list(curve["seconds"]) == pytest.approx([seconds[0], seconds[0] + seconds[1]])
    totals = results.runs.set_index("run")["train_seconds"]
    assert curves.groupby("run")["seconds"].max().to_dict() == pytest.approx(totals.to_dict())


def test_a_run_without_a_score_is_never_a_number(broken_store: StoredStudy) -> None:
    results = results_of(broken_store)
    without = results.runs[results.runs["score"].isna()]
    assert without.groupby("status").size().to_dict() == {"diverged": 2, UNFINISHED: 2}
    assert without["best/test/accuracy"].isna().all()
    assert set(results.failed["run"]) == set(without[without["status"] == "diverged"]["run"])
    entries = [entry for cell in ledger_file(broken_store) for entry in cell["entries"]]
    assert results.ended == sum(entry["score"] is not None or entry["failure"] is not None for entry in entries)


def test_only_complete_confirming_runs_make_the_score_of_a_cell(broken_store: StoredStudy) -> None:
    cell_scores = scores(results_of(broken_store))
    complete = {
        "width=8 n=1": [0, 1, 2, 3, 4],
        "width=8 n=2": [0, 1, 2, 4],
        "width=16 n=1": [0, 1, 2, 3],
        "width=16 n=2": [],
    }
    for label, seeds in complete.items():
        cell = cell_scores[label]
        assert cell.seeds == len(seeds)
        if seeds:
            assert cell.mean == pytest.approx(sum(usual_score(label, seed) for seed in seeds) / len(seeds))
            assert cell.low < cell.mean < cell.high
            assert cell.above_shortcuts == pytest.approx(cell.mean - SHORTCUT["test"])
            assert cell.unexplained == pytest.approx(0.9 * cell.mean)
    assert pd.isna(cell_scores["width=16 n=2"].mean)


def test_a_study_without_a_ledger_has_no_runs(usual_store: StoredStudy) -> None:
    results = results_of(usual_store)
    empty = Results(usual_store.home, usual_store.study, [], results.runs.iloc[:0], results.curves.iloc[:0])
    assert empty.ended == 0
    assert all(cell.seeds == 0 for cell in scores(empty).values())


def test_equal_seconds_give_the_slower_arm_less_training(usual_store: StoredStudy) -> None:
    """n=1 completes half of its training in 1 s and n=2 in 2 s, plus 0.1 s per seed; half of it gives half the score."""
    judged = read_judged(usual_store.home, usual_store.study)
    equal = at_equal_seconds(judged.results, judged.judgements[0])
    assert equal is not None
    assert equal.seconds == pytest.approx(2.0)
    slower = [usual_score("width=8 n=2", seed) * 0.5 for seed in range(5)]  # 2 s lie within the first half of each
    assert equal.treatment == pytest.approx(sum(slower) / 5)
    assert equal.control > 0.5 * equal.treatment
