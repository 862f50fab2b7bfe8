"""Stored studies made without training: scores are what a test says they are."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from generators.foundation.settings import Tree
from lab.run.files import json_bytes, write_atomically
from lab.run.store import METRICS, TIMING, RunFolder
from studies.declared.loading import load
from studies.declared.measures import main_measure, measure_of
from studies.declared.study import TUNING_SEED, Study
from studies.ledger.declared_study import record_of
from studies.ledger.folder import LEDGER, STUDY, StudyFolder
from studies.ledger.records import CellRecord, RunRecord

TITLE = '<script>alert("title")</script>'
DECLARED = """
title = '<script>alert("title")</script>'
question = '<script>alert("question")</script> & <b>does it?</b>'
paper = '<img src="http://example.org/paper.png">'
caveat = '<style>body { display: none }</style> $\\alpha$'
seeds = 5
shortcut = "name_before"

[base.task]
kind = "induction"
characters = 3
name_parts = 4
length_tokens = 24
validation_samples = 8
test_samples = 8

[base.model]
attention_heads = 1
layers = 3

[base.objective]
kind = "multi_token"

[base.training]
steps = 20
batch_size = 2
learning_rate = 0.01
evaluate_every_steps = 10

[factors]
"model.width" = [8, 16]
"objective.n" = [1, 2]

[tuning]
trials = 2
search."training.learning_rate" = { low = 0.001, high = 0.1 }

[[claims]]
name = "helps"
text = '<script>alert("claim")</script> Two are better than one.'
paper = "far better, 0.9 to 0.1"
kind = "difference"
factor = "objective.n"
treatment = 2
control = 1
where = { "model.width" = "first" }

[[claims]]
name = "same"
text = "Two are no different from one."
paper = "no advantage"
kind = "equivalence"
margin = 0.1
factor = "objective.n"
treatment = 2
control = 1
where = { "model.width" = "last" }

[scales.cpu]
summary = "a few seconds"

[scales.smoke]
summary = "fewer"
seeds = 2
trials = 1
"""
SHORTCUT = {"validation": 0.25, "test": 0.3}
SETTINGS = (0.01, 0.004)
"""Of the two trials of a cell."""

Outcome = float | str | None
"""A score; why there is none; or None for a run that has not ended."""
Told = Callable[[str, str, int], Outcome]
"""cell label, phase, trial or seed -> outcome."""


def usual(cell: str, phase: str, number: int) -> Outcome:
    """n=2 is far better at width 8 and the same at width 16; the second trial wins every cell."""
    base = {"width=8 n=1": 0.35, "width=8 n=2": 0.8, "width=16 n=1": 0.9, "width=16 n=2": 0.9}[cell]
    return base + 0.01 * number if phase == "confirm" else base - 0.1 + 0.05 * number


@dataclass(frozen=True)
class Stored:
    home: Path
    study: Study


Store = Callable[..., Stored]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """store(told, ...): a home with one study, as if it had run."""

    def build(
        told: Told = usual,
        scale: str = "cpu",
        declared: str = DECLARED,
        sets: tuple[str, ...] = (),
        name: str = "small",
    ) -> Stored:
        folder = tmp_path_factory.mktemp("stored")
        path = folder / f"{name}.toml"
        path.write_text(declared)
        study = load(str(path), scale, list(sets))
        home = folder / "home"
        home.mkdir()
        kept = StudyFolder(home, study.name, study.scale).path
        kept.mkdir(parents=True)
        write_atomically(kept / STUDY, json_bytes(record_of(study).tree()))
        cells = [write_cell(home, study, index, told) for index in range(len(study.cells))]
        write_atomically(kept / LEDGER, json_bytes({"cells": [cell.tree() for cell in cells]}))
        return Stored(home, study)

    return build


@pytest.fixture(scope="session")
def usual_store(store: Store) -> Stored:
    """All runs complete; both claims supported."""
    return store()


@pytest.fixture(scope="session")
def broken_store(store: Store) -> Stored:
    """Half done: a seed and a trial failed, the last cell still tuning, one seed not ended."""

    def told(cell: str, phase: str, number: int) -> Outcome:
        if cell == "width=8 n=2" and (phase, number) == ("confirm", 3):
            return "the loss was not a finite number by step 10 <script>alert(1)</script>"
        if cell == "width=16 n=1" and (phase, number) == ("tune", 0):
            return "MemoryError: out of memory"
        if cell == "width=16 n=1" and (phase, number) == ("confirm", 4):
            return None
        if cell == "width=16 n=2" and (phase == "confirm" or number == 1):
            return None
        return usual(cell, phase, number)

    return store(told)


def write_cell(home: Path, study: Study, index: int, told: Told) -> CellRecord:
    """The runs of a cell and its part of the ledger."""
    cell = study.cells[index]
    key = next(iter(study.declaration.tuning.search))
    entries: list[RunRecord] = []
    scored = []
    for trial in range(study.trials):
        settings = {key: SETTINGS[trial]}
        outcome = told(cell.label, "tune", trial)
        identity = study.spec(cell, settings, TUNING_SEED).identity
        entries.append(RunRecord(phase="tune", seed=TUNING_SEED, settings=settings, identity=identity))
        conclude(home, study, entries[-1], index, outcome)
        scored += [(outcome, settings)] if isinstance(outcome, float) else []
    ended = all(entry.ended for entry in entries)
    winner = max(scored, key=lambda pair: pair[0])[1] if scored and ended else None
    for seed in range(study.seeds if winner else 0):
        assert winner is not None
        identity = study.spec(cell, winner, seed).identity
        entries.append(RunRecord(phase="confirm", seed=seed, settings=winner, identity=identity))
        conclude(home, study, entries[-1], index, told(cell.label, "confirm", seed))
    return CellRecord(label=cell.label, levels=dict(cell.levels), winner=winner, runs=entries)


def conclude(home: Path, study: Study, entry: RunRecord, index: int, outcome: Outcome) -> None:
    """Write a run's folder as training leaves it, and its outcome into the ledger."""
    spec = study.spec(study.cells[index], entry.settings, entry.seed)
    folder = RunFolder(home, spec.identity)
    with folder.locked(spec):
        folder.write_environment(spec)
        if outcome is None:
            return
        if isinstance(outcome, str):
            entry.failure = outcome
            folder.write_result({"status": "diverged", "steps": 10, "reason": outcome})
            return
        entry.score = outcome
        number = entry.seed % 7
        for step, share in ((10, 0.5), (20, 1.0)):
            folder.append(METRICS, {"step": step, "split": "train", "loss_1": 1 / step, "learning_rate": 0.01})
            folder.append(METRICS, {"step": step, "split": "validation", **metrics(outcome * share, "validation")})
            folder.append(TIMING, {"step": step, "train_seconds": 1.0 + index + 0.1 * number, "evaluate_seconds": 0.25})
        folder.append(TIMING, {"step": 20, "train_seconds": 0.0, "evaluate_seconds": 0.5})
        scores = {split: metrics(outcome, split) for split in ("validation", "test")}
        worse = {split: metrics(outcome / 2, split) for split in ("validation", "test")}
        n = spec.canonical()["objective"]["n"]
        heads = {f"head {lag}": 100 for lag in range(1, n + 1)}
        parameters = {"embedding": 10, "trunk": 1000, **heads, "norm": 8, "unembedding": 10}
        result = {"status": "complete", "steps": 20, "best_step": 20, "scores": {"last": worse, "best": scores}}
        folder.write_result(result | {"parameters": parameters})
        if entry.phase == "confirm":
            declaration = study.declaration
            others = {measure_of(declaration, claim) for claim in declaration.claims} - {main_measure(declaration)}
            read = {other.name: other.read(result, folder, declaration.checkpoint) for other in others}
            entry.measures = {name: value for name, value in read.items() if value is not None}


def metrics(accuracy: float, split: str) -> Tree:
    """As an evaluation gives them."""
    shortcut = SHORTCUT[split]
    found = {"loss_1": -math.log(accuracy), "accuracy": accuracy, "exact": accuracy / 2}
    found |= {"accuracy_unexplained": accuracy * 0.9, "above_shortcuts": accuracy - shortcut}
    return found | {"shortcut/latest_name": 0.0, "shortcut/name_before": shortcut}


def ledger(stored: Stored) -> list[Tree]:
    """The ledger's cells, read without the code under test."""
    path = stored.home / "studies" / stored.study.name / stored.study.scale / "ledger.json"
    cells: list[Tree] = json.loads(path.read_text())["cells"]
    return cells
