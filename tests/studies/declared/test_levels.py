"""The levels of a factor may name tables: a level uses its whole table, and mistakes give a one-sentence error."""

import json
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.declared.loading import declare
from studies.declared.study_file import StudyDeclaration
from studies.ledger.declared_study import record_of
from tests.conftest import Lab
from tests.studies.conftest import Edit

TABLES = (
    ('\n[base.objective]\nkind = "multi_token"\n', ""),
    ('"objective.n" = [1, 2]\n', 'objective = ["one", "two"]\n\n[levels.objective]\none = { kind = "multi_token" }\ntwo = { kind = "multi_token", n = 2, head = "linear" }\n'),
    ('factor = "objective.n"\ntreatment = 2\ncontrol = 1', 'factor = "objective"\ntreatment = "two"\ncontrol = "one"'),
)  # fmt: skip


def test_a_cell_has_the_settings_of_its_table_and_the_name_of_its_level(study_file: Edit) -> None:
    study = declare(str(study_file(*TABLES)), "cpu", [])
    assert [cell.label for cell in study.cells][:2] == ["width=8 objective=one", "width=8 objective=two"]
    first, second = (study.spec(cell, study.middle, 0).objective.model_dump() for cell in study.cells[:2])
    assert (first["n"], first["head"]) == (1, "transformer")
    assert (second["n"], second["head"]) == (2, "linear")
    assert study.declaration.claims[0].comparison(study).shown == ("width=8 objective=two", "width=8 objective=one")


def test_a_table_gives_the_same_run_as_the_same_settings_in_the_base(study_file: Edit) -> None:
    plain = declare(str(study_file(('[base.objective]\nkind = "multi_token"', '[base.objective]\nkind = "multi_token"\nhead = "linear"'))), "cpu", [])  # fmt: skip
    tables = declare(str(study_file(*TABLES)), "cpu", [])
    assert (
        plain.spec(plain.cells[1], plain.middle, 3).identity == tables.spec(tables.cells[1], tables.middle, 3).identity
    )


def test_a_factor_inside_a_table_changes_it_whatever_the_order_of_the_factors(study_file: Edit) -> None:
    path = study_file(
        *TABLES, ('"model.width" = [8, 16]', '"objective.stride" = [1, 2]\n"model.width" = [8, 16]'),
        ('where = { "model.width" = "first" }', 'where = { "model.width" = "first", "objective.stride" = 2 }'),
        ('where = { "model.width" = 16 }', 'where = { "model.width" = 16, "objective.stride" = 2 }'),
    )  # fmt: skip
    study = declare(str(path), "cpu", [])
    strides = [study.spec(cell, study.middle, 0).objective.model_dump()["stride"] for cell in study.cells]
    assert strides == [1] * 4 + [2] * 4


def test_tables_are_stored_and_read_again(study_file: Edit) -> None:
    study = declare(str(study_file(*TABLES)), "cpu", [])
    stored = record_of(study)
    assert StudyDeclaration.model_validate_json(json.dumps(stored.declaration)).levels == study.declaration.levels


WRONG = {
    "unknown level": (('objective = ["one", "two"]', 'objective = ["one", "tow"]'), "factors.objective = 'tow': no table levels.objective.tow; the nearest is two"),
    "number for a name": (('objective = ["one", "two"]', 'objective = ["one", 2]'), "factors.objective = 2: no table levels.objective.2"),
    "unused table": (("[tuning]\n", '[levels.objective.three]\nkind = "multi_token"\n\n[tuning]\n'), "levels.objective.three: no factor uses this table"),
    "table of no factor": (("[levels.objective]", "[levels.objectvie]"), "levels.objectvie: no such factor; the nearest is objective"),
    "base that the table replaces": (("[base.training]", "[base.objective]\nn = 2\n\n[base.training]"), "base.objective: the tables under levels.objective replace it whole"),
    "misspelt setting": (('head = "linear"', 'haed = "linear"'), 'objective=two: objective.haed = "linear": no such key; the nearest is objective.head'),
    "unknown kind": (('two = { kind = "multi_token"', 'two = { kind = "mine"'), "cell width=8 objective=two: objective.kind = 'mine': no such objective"),
    "no table": (('two = { kind = "multi_token", n = 2, head = "linear" }', 'two = "multi_token"'), "levels.objective.two = \"multi_token\": should be a table"),
    "scale sets into a table": (('summary = "fewer"', 'summary = "fewer"\nset = { "objective.n" = 2 }'), "scales.smoke.set: objective.n is part of objective, a factor of small whose levels are tables"),
    "claim on no level": (('treatment = "two"', 'treatment = "twoo"'), "objective = 'twoo' is not a level of that factor; the nearest is two"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_a_table_is_one_sentence(study_file: Edit, name: str) -> None:
    replacement, sentence = WRONG[name]
    path = study_file(*TABLES, replacement)
    with pytest.raises(UserError) as raised:
        declare(str(path), "cpu", [])
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_assignment_to_a_factor_or_into_its_table_is_refused(study_file: Edit) -> None:
    path = str(study_file(*TABLES))
    with pytest.raises(
        UserError, match=r"--set: objective\.n is part of objective, a factor of small whose levels are tables"
    ):
        declare(path, "cpu", ["objective.n=2"])
    with pytest.raises(UserError, match=r"--set: objective is a factor of small"):
        declare(path, "cpu", ["objective=two"])


def test_a_table_may_be_used_by_one_scale_only(study_file: Edit) -> None:
    path = study_file(
        *TABLES,
        ("[tuning]\n", '[levels.objective.three]\nkind = "multi_token"\nstride = 2\n\n[tuning]\n'),
        ('summary = "fewer"', 'summary = "fewer"\nfactors = { objective = ["one", "two", "three"] }'),
    )
    assert len(declare(str(path), "cpu", []).cells) == 4
    assert len(declare(str(path), "smoke", []).cells) == 6


def test_show_prints_the_settings_of_each_level(study_file: Edit, lab: Lab, tmp_path: Path) -> None:
    output = lab("study", "show", study_file(*TABLES)).stdout
    assert 'objective: two (kind = "multi_token", n = 2, head = "linear")' in output
