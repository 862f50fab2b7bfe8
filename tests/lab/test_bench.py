"""lab bench: what it reports is there; how fast anything is, is never a test."""

import json

import pytest

from generators.kinds import Kinds
from generators.table import TASKS
from generators.task import Task
from lab.bench.loss import LossBench, measure
from tests.conftest import Lab


def test_bench_data_reports_each_task_and_names_those_it_leaves_out(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {kind: where for kind, where in TASKS.rows.items() if kind in ("star", "induction_corpus")}
    monkeypatch.setattr("lab.bench.data.TASKS", Kinds("task", rows, Task))
    monkeypatch.setattr("lab.bench.data.REPEATS", 1)
    found = {row["task"]: row for row in json.loads(lab("bench", "data", "--json").stdout)["tasks"]}
    assert "give --corpus" in found["induction_corpus"]["left_out"]
    star = found["star"]
    assert star["share_of_step"] == pytest.approx(star["draw_ms"] / star["step_ms"])
    assert star["tokens_per_second"] == pytest.approx(star["samples_per_second"] * star["tokens_a_sample"])
    assert star["within"] == (star["share_of_step"] < 0.02)


@pytest.mark.slow
def test_peak_memory_of_a_fused_loss_does_not_grow_with_n_and_that_of_a_joint_one_does() -> None:
    bench = LossBench(heads=(1, 4), classes=8192, width=64, attention_heads=2, length_tokens=256, turns=1)
    rows = {(row["loss"], row["n"]): row for row in measure(bench)}
    assert rows["joint", 4]["memory_to_first"] > 2
    assert rows["sequential", 4]["memory_to_first"] < 1.3
    assert rows["chunked", 4]["memory_to_joint"] < 0.5
