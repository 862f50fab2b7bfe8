"""Some cells of a study may have settings, and a threshold, of their own."""

import json
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run.store import METRICS, RunFolder
from studies.declared.loading import declare
from studies.declared.measures import measure_of
from studies.declared.study_file import StudyDeclaration
from studies.ledger.versions import differing_keys, study_content
from tests.studies.conftest import Edit

OWN = """
[[settings]]
where = { "model.width" = 16 }
set = { "training.steps" = 6, "training.warmup_steps" = 2 }
solved_at = 0.5

[[settings]]
where = { "model.width" = 16, "objective.n" = 2 }
set = { "training.steps" = 4 }

[tuning]
"""
SETTINGS = ("[tuning]\n", OWN)
SOLVED = ('metric = "accuracy"\n', 'metric = "accuracy"\nsolved_at = 0.9\nstop_when_solved = true\n')
BUDGET = ('name = "helps"\n', 'name = "helps"\nmetric = "budget_to_solve"\n')
SMOKE = (
    'summary = "fewer"',
    'summary = "fewer"\nsettings = [{ where = { "model.width" = 16 }, set = { "training.steps" = 3 } }]',
)


def test_an_untuned_cell_has_its_own_setting_in_place_of_the_middle_of_the_range() -> None:
    study = declare("matrix-joint", "cpu")
    rates = [study.settings_of(cell)["training.learning_rate"] for cell in study.cells]
    assert rates == [study.spec(cell, study.middle, 0).training.learning_rate for cell in study.cells]
    assert len({*rates}) > 1


def test_later_settings_of_a_cell_prevail_over_earlier_ones_and_over_the_base(study_file: Edit) -> None:
    study = declare(str(study_file(SETTINGS, SOLVED)), "cpu", [])
    specs = {cell.label: study.spec(cell, study.middle, 0) for cell in study.cells}
    assert [spec.training.steps for spec in specs.values()] == [3, 3, 6, 4]
    assert [spec.training.warmup_steps for spec in specs.values()] == [0, 0, 2, 2]
    assert [spec.training.stop_when_solved.at for spec in specs.values() if spec.training.stop_when_solved] == [
        0.9,
        0.9,
        0.5,
        0.5,
    ]
    smoke = declare(str(study_file(SETTINGS, SOLVED, SMOKE)), "smoke", [])
    assert [smoke.spec(cell, smoke.middle, 0).training.steps for cell in smoke.cells] == [3, 3, 3, 3]


def test_settings_of_cells_are_part_of_the_version_and_their_absence_leaves_stored_studies_equal(
    study_file: Edit,
) -> None:
    plain, own = (declare(str(study_file(*edits)), "cpu", []) for edits in ((SOLVED,), (SOLVED, SETTINGS)))
    assert differing_keys(study_content(plain), study_content(own)) == ["settings"]
    tree = plain.declaration.model_dump(mode="json")
    assert "settings" not in tree
    assert all("settings" not in scale for scale in tree["scales"].values())
    assert StudyDeclaration.model_validate(own.declaration.model_dump(mode="json")) == own.declaration


def test_a_run_is_judged_by_the_threshold_of_its_cell_as_a_share_of_its_own_steps(
    study_file: Edit, tmp_path: Path
) -> None:
    study = declare(str(study_file(SETTINGS, SOLVED, BUDGET)), "cpu", [])
    measure = measure_of(study.declaration, study.declaration.claims[0])
    assert (measure.better, measure.bounds, measure.split) == ("less", (0.0, 1.0), None)
    shares = []
    for cell in study.cells:
        folder = RunFolder(tmp_path, study.spec(cell, study.middle, 0).identity)
        with folder.locked(study.spec(cell, study.middle, 0)):
            for step in (1, 2, 3):
                folder.append(METRICS, {"step": step, "split": "validation", "accuracy": 0.6})
        steps = json.loads((folder.path / "spec.json").read_text())["training"]["steps"]
        shares.append(measure.read({"steps": steps}, folder, "best"))
    assert shares == [1.0, 1.0, 2 / 6, 2 / 4], "only the wide cells count 0.6 as solved"


@pytest.mark.parametrize(
    ("edits", "sentence"),
    [
        ([SETTINGS], "needs stop_when_solved = true"),
        ([(*SETTINGS[:1], OWN.replace("= 16 }", "= 32 }")), SOLVED], r"settings.0.where.model.width = 32: not a level"),
        ([(*SETTINGS[:1], OWN.replace("training.steps", "model.width")), SOLVED], "decided by a factor"),
        ([(*SETTINGS[:1], OWN.replace("warmup_steps", "warmup_step")), SOLVED], "warmup_step"),
    ],
)
def test_wrong_settings_of_cells_are_refused_in_a_sentence(
    study_file: Edit, edits: list[tuple[str, str]], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        declare(str(study_file(*edits)), "cpu", [])


def test_an_assignment_cannot_replace_what_only_some_cells_have(study_file: Edit) -> None:
    with pytest.raises(UserError, match=r"training.steps is not the same in all cells of small"):
        declare(str(study_file(SETTINGS, SOLVED)), "cpu", ["training.steps=9"])
