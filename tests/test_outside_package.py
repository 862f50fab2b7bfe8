"""An objective and a task of another package, installed as a user installs one: checked, studied, reported, missed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generators.check import check_task
from lab.objectives.check import check_objective
from tests.example_package.mtp_lab_example.next_latent import NextLatentConfig
from tests.example_package.mtp_lab_example.reverse import Reverse, ReverseConfig

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests" / "example_package"
STUDY = """
title = "An objective from elsewhere"
question = "Does foreseeing the next latent help?"
paper = "none"
seeds = 5

[base.task]
kind = "reverse"
validation_samples = 20
test_samples = 40

[base.model]
width = 8
layers = 2
attention_heads = 1

[base.training]
steps = 4
batch_size = 4
learning_rate = 0.01
evaluate_every_steps = 2

[factors]
objective = ["next_token", "mine"]

[levels.objective]
next_token = { kind = "multi_token" }
mine = { kind = "next_latent", weight = 0.5 }

[tuning]
trials = 1
search."training.learning_rate" = { low = 0.001, high = 0.1 }

[[claims]]
name = "helps"
text = "Foreseeing the next latent gives higher accuracy."
paper = "none"
kind = "difference"
factor = "objective"
treatment = "mine"
control = "next_token"

[scales.smoke]
summary = "seconds"
seeds = 2
"""

Outside = Callable[..., subprocess.CompletedProcess[str]]


def test_the_example_task_is_sound_and_its_shortcut_is_right_at_one_place_in_six() -> None:
    task = Reverse(ReverseConfig(symbols=20))
    assert check_task(task, 500).passed
    assert task.text(task.batch("train", [0]).tokens[0]).replace(" ", "") == "".join(
        [
            *(string := [task.vocabulary[token] for token in task.batch("train", [0]).tokens[0][:6]]),
            "|",
            *reversed(string),
        ]
    )
    right = task.shortcut_scores(task.batch("test", range(500)))["last_letter"].reshape(500, 6)
    assert right[:, 0].all()
    assert right[:, 1:].mean() == pytest.approx(1 / 20, abs=0.02)


def test_the_example_objective_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.objectives.table import OBJECTIVES

    place = "tests.example_package.mtp_lab_example.next_latent:NextLatent"
    monkeypatch.setitem(OBJECTIVES.rows, "next_latent", place)  # type: ignore[arg-type]
    assert [one for one in check_objective(NextLatentConfig(weight=0.5)) if one.problem] == []


def test_the_page_on_an_objective_of_ones_own_builds_up_the_example() -> None:
    page = (ROOT / "docs" / "your-own-objective.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    written = {line for block in blocks for line in block.splitlines()}
    example = (EXAMPLE / "mtp_lab_example" / "next_latent.py").read_text().splitlines()
    begun = '        return {"norm": self.norm, "unembedding": self.lm_head}'
    assert len(blocks) == 4
    assert written - {begun} == set(example)


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """outside("data", "list"): the command in a process of its own, with the example installed or without it."""
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(EXAMPLE, source)  # a build writes into its source
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", site, source], check=True)

    def run(*arguments: object, installed: bool = True) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(map(str, [ROOT, site] if installed else [ROOT]))
        environment = {**os.environ, "PYTHONPATH": path, "LAB_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-m", "lab", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    return run


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_package_goes_the_whole_way_and_is_missed_with_a_sentence(outside: Outside, tmp_path: Path) -> None:
    assert answer(outside("data", "list", "--json"))["reverse"].endswith("(mtp-lab-example 0.1.0)")
    assert answer(outside("data", "check", "reverse", "--count", 200, "--json"))["unconfirmed"] == 0
    assert answer(outside("objective", "list", "--json"))["next_latent"].endswith("(mtp-lab-example 0.1.0)")
    assert set(answer(outside("objective", "check", "next_latent", "--json")).values()) == {"ok"}

    study = tmp_path / "mine.toml"
    study.write_text(STUDY)
    run = ("study", "run", study, "--scale", "smoke", "--workers", 1, "--json")
    first, again = answer(outside(*run)), answer(outside(*run))
    assert (first["trained"], again["trained"]) == (6, 0)
    assert first["failed"] == []
    assert first["verdicts"] == again["verdicts"]
    page = Path(answer(outside("report", "mine", "--json"))["report"]).read_text()
    assert "objective=mine" in page
    assert "mtp-lab-example" in page

    runs = {path.parent.name: json.loads(path.read_text()) for path in (tmp_path / "home").glob("runs/*/spec.json")}
    mine = next(name for name, spec in runs.items() if spec["objective"]["kind"] == "next_latent")
    environment = json.loads((tmp_path / "home" / "runs" / mine / "environment.json").read_text())
    assert environment["mtp-lab-example"] == "0.1.0"
    assert "accuracy" in answer(outside("score", mine, "--json"))["scores"]

    answer(outside("export", mine, tmp_path / "exported", "--json"))
    exported = {path.name for path in (tmp_path / "exported").iterdir()}
    assert exported >= {"model.safetensors", "extra_heads.safetensors"}, "the Llama, and the dynamics beside it"

    for command in (("score", mine), run):
        done = outside(*command, installed=False)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "no such task" in done.stderr
        assert "no other installed package provides that name" in done.stderr
    assert Path(answer(outside("report", "mine", "--json", installed=False))["report"]).read_text() == page
