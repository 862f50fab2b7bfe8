"""The cells of a study are the whole grid or parts of it, without those that a rule excludes."""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.declared.checks.runs import covering
from studies.declared.loading import declare
from studies.declared.study import Study
from tests.conftest import Lab
from tests.studies.conftest import Edit
from tests.studies.declared.test_levels import TABLES

HEADS = (('"objective.n" = [1, 2]\n', '"objective.n" = [1, 2]\n"objective.head" = ["transformer", "none"]\n'),)
WHERE = (
    ('where = { "model.width" = "first" }', 'where = { "model.width" = "first", "objective.head" = "transformer" }'),
    ('where = { "model.width" = 16 }', 'where = { "model.width" = 16, "objective.head" = "transformer" }'),
)
RULE = (
    "[tuning]\n",
    '[[exclude]]\nwhere = { "objective.n" = 2, "objective.head" = "none" }\nreason = "its heads would be one"\n\n[tuning]\n',
)


def labels(study: Study) -> list[str]:
    return [cell.label for cell in study.cells]


def test_a_cell_that_cannot_run_is_refused_unless_a_rule_excludes_it(study_file: Edit) -> None:
    with pytest.raises(UserError, match="cell width=8 n=2 head=none: objective"):
        declare(str(study_file(*HEADS, *WHERE)), "cpu", [])
    study = declare(str(study_file(*HEADS, *WHERE, RULE)), "cpu", [])
    assert len(study.cells) == 6
    assert {cell.label for cell in study.excluded} == {"width=8 n=2 head=none", "width=16 n=2 head=none"}
    assert set(study.excluded.values()) == {"its heads would be one"}
    assert study.runs == 6 * (2 + 5)


def test_show_prints_the_reason_for_an_exclusion(study_file: Edit, lab: Lab) -> None:
    output = lab("study", "show", study_file(*HEADS, *WHERE, RULE), "--no-probe").stdout
    assert "excluded, its heads would be one: 2\n  width=8 n=2 head=none\n  width=16 n=2 head=none\n" in output


def test_a_claim_on_an_excluded_cell_is_refused(study_file: Edit) -> None:
    rule = (
        "[tuning]\n",
        '[[exclude]]\nwhere = { "objective.n" = 2, "model.width" = "last" }\nreason = "slow"\n\n[tuning]\n',
    )
    with pytest.raises(UserError, match=r"claims\.same: its arm width=16 n=2 is excluded \(slow\)"):
        declare(str(study_file(rule)), "cpu", [])


def test_listed_parts_replace_the_grid(study_file: Edit) -> None:
    part = ("[factors]\n", '[[cells]]\n"model.width" = [8, 16]\n\n[[cells]]\n"model.width" = "last"\n"objective.n" = 4\n\n[factors]\n')  # fmt: skip
    widths = ('"model.width" = [8, 16]', '"model.width" = [8, 16, 24]')
    study = declare(str(study_file(widths, ("[1, 2]", "[1, 2, 4]"), ("layers = 3", "layers = 5"), part)), "cpu", [])
    grid = ["width=8 n=1", "width=8 n=2", "width=8 n=4", "width=16 n=1", "width=16 n=2", "width=16 n=4"]
    assert labels(study) == [*grid, "width=24 n=4"]


def test_a_scale_may_list_other_cells(study_file: Edit) -> None:
    path = study_file(('summary = "fewer"\n', 'summary = "fewer"\ncells = [{ "model.width" = "first" }, { "model.width" = 16, "objective.n" = [1, 2] }]\n'))  # fmt: skip
    assert len(declare(str(path), "cpu", []).cells) == len(declare(str(path), "smoke", []).cells) == 4


WRONG = {
    "no factor": ('[[exclude]]\nwhere = { "objective.m" = 1 }\nreason = "x"\n', "exclude.0.where.objective.m: no such factor; the nearest is objective.n"),
    "no level": ('[[exclude]]\nwhere = { "objective.n" = 3 }\nreason = "x"\n', "exclude.0.where.objective.n = 3: not a level of that factor"),
    "no reason": ('[[exclude]]\nwhere = { "objective.n" = 2 }\n', "exclude.0.reason is missing"),
    "nothing left": ('[[exclude]]\nwhere = { "objective.n" = [1, 2] }\nreason = "x"\n', "every cell is excluded"),
    "no such cell": ('[[cells]]\n"objective.n" = 1\n\n[[exclude]]\nwhere = { "objective.n" = 2 }\nreason = "old"\n', "exclude.0 (old): fits no cell at any scale"),
    "claim on a cell not listed": ('[[cells]]\n"objective.n" = 1\n', "its arm width=8 n=2 is not among the cells listed"),
    "empty list": ('[[cells]]\n"objective.n" = []\n', "cells.0.objective.n = []: should have at least one level"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_a_part_of_the_grid_is_one_sentence(study_file: Edit, name: str) -> None:
    table, sentence = WRONG[name]
    with pytest.raises(UserError) as raised:
        declare(str(study_file(("[tuning]\n", f"{table}\n[tuning]\n"))), "cpu", [])
    assert sentence in str(raised.value)


def test_two_levels_of_equal_content_are_refused(study_file: Edit) -> None:
    with pytest.raises(UserError, match="cells width=8 objective=one and width=8 objective=two are the same run"):
        declare(str(study_file(*TABLES, (', n = 2, head = "linear"', ', head = "transformer"'))), "cpu", [])
    with pytest.raises(UserError, match="lists a level twice"):
        declare(str(study_file(('"model.width" = [8, 16]', '"training.weight_decay" = [0, 0.0]'))), "cpu", [])


def test_covering_cells_have_every_pair_of_levels(small: Study) -> None:
    assert len(covering(small.cells, 1)) == 3
    assert covering(small.cells, 2) == small.cells


def test_a_curriculum_that_ends_too_late_is_refused(study_file: Edit) -> None:
    stages = 'kind = "multi_token"\ncurriculum = "forward"\nstage_steps = 3'
    with pytest.raises(
        UserError, match=r"stage_steps = 3: the last of 2 stages would begin at step 3, but .*steps = 3"
    ):
        declare(str(study_file(('kind = "multi_token"', stages))), "cpu", [])


def test_the_study_file_in_the_documentation_is_valid(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "studies.md").read_text()
    (tmp_path / "mine.toml").write_text(text.split("```toml\n")[1].split("```")[0])
    for scale in ("smoke", "cpu"):
        study = declare(str(tmp_path / "mine.toml"), scale, [])
        assert (len(study.cells), len(study.excluded)) == (5, 1)
