"""lab bench: what it reports is there; how fast anything is, is never a test."""

import json
from pathlib import Path

import pytest

from generators.foundation.kinds import SettingsRegistry
from generators.table import TASKS
from generators.task import Task
from lab.bench import decode, train
from lab.bench.loss import LossBench, measure
from lab.bench.train import TrainBench
from tests.conftest import Lab


def test_bench_data_reports_each_task_and_names_those_it_leaves_out(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {kind: where for kind, where in TASKS.rows.items() if kind in ("star", "induction_corpus")}
    monkeypatch.setattr("lab.bench.data.TASKS", SettingsRegistry("task", rows, Task, plural="tasks"))
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


@pytest.mark.slow
def test_bench_train_compares_what_it_says() -> None:
    bench = TrainBench(widths=(16,), heads=(1, 2), layers=3, samples=2, length_tokens=16, turns=2)
    (row,) = train.measure(bench)
    assert set(row["milliseconds"]) == {
        *(f"ours n={n} {kind}" for n in (1, 2) for kind in ("eager", "compiled")),
        "transformers eager",
        "transformers compiled",
        "floor",
    }
    assert all(value > 0 for value in row["milliseconds"].values())


@pytest.mark.slow
def test_bench_decode_trains_its_runs_once_and_confirms_every_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"width": 16, "layers": 6, "attention_heads": 2}
    runs = {}
    for name, (tree, drafts, split) in decode.RUNS.items():
        training = {**tree["training"], "steps": 20, "warmup_steps": 5, "evaluate_every_steps": 20}
        runs[name] = ({**tree, "model": small, "training": training}, drafts, split)
    monkeypatch.setattr(decode, "RUNS", runs)
    said: list[str] = []
    drafted, greedy = decode.measure(tmp_path, said.append)
    assert len(said) == 3
    assert len(drafted) == 2 * 3 * 3
    for row in drafted:
        assert 1 <= row["tokens_per_forward"] <= row["draft"]
        assert row["realised"] == pytest.approx(row["times_faster"] / row["tokens_per_forward"])
    assert {row["samples"] for row in greedy} == {1, 16}
    decode.measure(tmp_path, said.append)
    assert len(said) == 3, "runs that are complete are not trained again"
