"""lab bench: what it reports is there; how fast anything is, is never a test."""

import json

import pytest

from generators.kinds import Kinds
from generators.table import TASKS
from tests.conftest import Lab


def test_bench_data_reports_each_task_and_names_those_it_leaves_out(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {kind: where for kind, where in TASKS.rows.items() if kind in ("star", "induction_corpus")}
    monkeypatch.setattr("lab.bench.TASKS", Kinds("task", rows))
    monkeypatch.setattr("lab.bench.REPEATS", 1)
    found = {row["task"]: row for row in json.loads(lab("bench", "data", "--json").stdout)["tasks"]}
    assert "give --corpus" in found["induction_corpus"]["left_out"]
    star = found["star"]
    assert star["share_of_step"] == pytest.approx(star["draw_ms"] / star["step_ms"])
    assert star["tokens_per_second"] == pytest.approx(star["samples_per_second"] * star["tokens_a_sample"])
    assert star["within"] == (star["share_of_step"] < 0.02)
