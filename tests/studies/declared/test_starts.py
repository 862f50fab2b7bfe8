"""Factors of [start]: its settings can be swept one by one, and whole starts can be levels."""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run.spec import RunSpec
from studies.declared.loading import declare
from studies.declared.study import Study
from tests.conftest import Lab
from tests.studies.conftest import Edit

START = '\n[base.start.objective]\nkind = "multi_token"\nmatch = "none"\n[base.start.training]\nsteps = 2\nbatch_size = 2\nlearning_rate = 0.01\nevaluate_every_steps = 2\n'
INSIDE = (
    ("\n[factors]\n\"model.width\" = [8, 16]", f'{START}\n[factors]\n"start.objective.n" = [1, 4]'),
    ("\nattention_heads = 1\nlayers = 3\n", '\nsize = "30k"\n'),
    ('where = { "model.width" = "first" }', 'where = { "start.objective.n" = 4 }'),
    ('where = { "model.width" = 16 }', 'where = { "start.objective.n" = 1 }'),
)  # fmt: skip
WHOLE = (
    ('"model.width" = [8, 16]', 'start = ["scratch", "short"]'),
    ("[tuning]", '[levels.start]\nscratch = {}\nshort = { freeze = "trunk", objective = { kind = "multi_token" } }\n\n[tuning]'),
    ("\nattention_heads = 1\nlayers = 3\n", '\nsize = "30k"\n'),
    ('where = { "model.width" = "first" }', 'where = { start = "short" }'),
    ('where = { "model.width" = 16 }', 'where = { start = "scratch" }'),
)  # fmt: skip


def specs(study: Study) -> list[RunSpec]:
    return [study.spec(cell, study.middle, 3) for cell in study.cells]


def test_a_factor_inside_start_changes_the_start_and_nothing_else(study_file: Edit) -> None:
    study = declare(str(study_file(*INSIDE)), "cpu", [])
    assert [cell.label for cell in study.cells] == ["start.n=1 n=1", "start.n=1 n=2", "start.n=4 n=1", "start.n=4 n=2"]
    starts = [(spec.start.run.objective.model_dump()["n"], spec.start.run.seed) for spec in specs(study) if spec.start]
    assert starts == [(1, 3), (1, 3), (4, 3), (4, 3)]
    assert [spec.objective.model_dump()["n"] for spec in specs(study)] == [1, 2, 1, 2]


def test_trials_share_their_start_because_only_the_rate_of_the_run_is_tuned(study_file: Edit) -> None:
    study = declare(str(study_file(*INSIDE)), "cpu", [])
    low, high = (study.spec(study.cells[0], {"training.learning_rate": rate}, 0) for rate in (0.001, 0.1))
    assert low.identity != high.identity
    assert low.start == high.start


def test_a_whole_start_can_be_a_level_and_an_empty_table_is_no_start(study_file: Edit) -> None:
    study = declare(str(study_file(*WHOLE)), "cpu", [])
    assert [cell.label for cell in study.cells][1:3] == ["start=scratch n=2", "start=short n=1"]
    assert [spec.start and spec.start.freeze for spec in specs(study)] == [None, None, "trunk", "trunk"]


@pytest.mark.parametrize(
    ("replacement", "sentence"),
    [
        (('"start.objective.n"', '"start.objctive.n"'), "start.objctive: no such key; the nearest is start.objective"),
        (('match = "none"\n', 'match = "non"\n'), 'table start: objective.match = "non"'),
        (("[1, 4]", "[1, 0]"), "table start: objective.n = 0: should be greater than or equal to 1"),
        (
            ("[base.start.objective]", '[base.start]\nhaeds = "drop"\n[base.start.objective]'),
            "start.haeds: no such key",
        ),
        (
            ("[base.start.objective]", '[base.start.task]\nkind = "star"\n[base.start.objective]'),
            "cell start.n=1 n=1: start.task: its vocabulary, 53 tokens of star, is not that of the task",
        ),
    ],
)
def test_a_mistake_in_a_start_is_refused_before_anything_runs(
    study_file: Edit, replacement: tuple[str, str], sentence: str
) -> None:
    path = study_file(*INSIDE)
    path.write_text(path.read_text().replace(*replacement, 1))
    with pytest.raises(UserError) as raised:
        declare(str(path), "cpu", [])
    assert sentence in str(raised.value)


@pytest.mark.slow
def test_the_shipped_study_trains_each_start_once_and_has_a_page(tmp_path: Path, lab: Lab) -> None:
    arguments = ("finetune", "--scale", "smoke", "--home", tmp_path)
    assert lab("study", "run", *arguments, "--workers", 2).returncode == 0
    assert len(list((tmp_path / "runs").iterdir())) == 4 * 3 + 2 * 3
    assert lab("report", *arguments).returncode == 0
