"""A small study file, and the study it declares."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studies.declared.loading import load
from studies.declared.study import Study
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord

SMALL = """
title = "A small study"
question = "Does it?"
paper = "figure 0"
seeds = 5
metric = "accuracy"
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
steps = 3
batch_size = 2
learning_rate = 0.01
evaluate_every_steps = 3

[factors]
"model.width" = [8, 16]
"objective.n" = [1, 2]

[tuning]
trials = 2
search."training.learning_rate" = { low = 0.001, high = 0.1 }

[[claims]]
name = "helps"
text = "Two are better than one."
paper = "far better"
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
where = { "model.width" = 16 }

[scales.cpu]
summary = "a few seconds"

[scales.smoke]
summary = "fewer"
seeds = 2
trials = 1
"""

Edit = Callable[..., Path]


@pytest.fixture
def study_file(tmp_path: Path) -> Edit:
    """study_file(old, new, ...): the small study with some of its text replaced."""

    def write(*replacements: tuple[str, str]) -> Path:
        text = SMALL
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        tomllib.loads(text)
        path = tmp_path / "small.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def small(study_file: Edit) -> Study:
    return load(str(study_file()), "cpu", [])


def cells_of(home: Path, study: Study) -> list[CellRecord]:
    """Returns the cells of a study as its ledger has them."""
    return StudyFolder(home, study.name, study.scale).read_cells_of(study)


def scores_of(study: Study, by_cell: dict[str, list[float]]) -> dict[str, dict[int, Any]]:
    """cell label -> seed -> score; every cell not named scores 0.5."""
    usual = {cell.label: [0.5] * study.seeds for cell in study.cells}
    return {label: dict(enumerate(values)) for label, values in (usual | by_cell).items()}
