"""A study without tuning: every cell runs with the base settings, or with the middle of the ranges without trials, and
the plan, the verdicts and the page say so.
"""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from reports.pages.study import render_study
from studies.declared.loading import declare
from studies.ledger.folder import StudyFolder
from studies.reading.judged import read_judged
from studies.running.executors.here import InProcess
from studies.running.sweep import Sweep
from tests.conftest import Lab
from tests.studies.conftest import Edit
from tests.studies.running.scored_runs import ScoredRuns, Scores

UNTUNED = ("trials = 2\n", "trials = 0\n")
TUNING = '[tuning]\ntrials = 2\nsearch."training.learning_rate" = { low = 0.001, high = 0.1 }\n'
NO_TRIALS_AT_SMOKE = ("seeds = 2\ntrials = 1\n", "seeds = 2\n")
WITHOUT_TUNING = (TUNING, ""), NO_TRIALS_AT_SMOKE
RATES_AS_LEVELS = ('"model.width" = [8, 16]', '"training.learning_rate" = [0.02, 0.04]')


def scored(tree: Tree) -> Scores:
    accuracy = 0.5 + 0.1 * (tree["objective"]["n"] == 2) + 0.001 * (tree["seed"] % 7)
    return {split: {"accuracy": accuracy} for split in ("validation", "test")}


def test_every_cell_runs_with_the_middle_of_the_ranges(study_file: Edit, tmp_path: Path) -> None:
    study = declare(str(study_file(UNTUNED)), "cpu", [])
    assert study.runs == 4 * 5
    events: list[str] = []
    judgements = Sweep(study, tmp_path, lambda event: events.append(event.run.phase)).run(ScoredRuns(tmp_path, scored))
    assert events == ["confirm"] * 20
    for cell in StudyFolder(tmp_path, study.name, study.scale).read_ledger().cells:
        assert cell.winner == study.middle
        assert [run.settings for run in cell.runs] == [study.middle] * 5
    assert judgements[0].verdict == "supported"


def test_a_scale_may_leave_tuning_out(study_file: Edit) -> None:
    edit = ('summary = "fewer"\nseeds = 2\ntrials = 1\n', 'summary = "fewer"\nseeds = 2\ntrials = 0\n')
    assert declare(str(study_file(edit)), "smoke", []).trials == 0
    assert declare(str(study_file(edit)), "cpu", []).trials == 2


def test_a_study_without_the_table_gives_every_cell_the_base_settings(study_file: Edit) -> None:
    study = declare(str(study_file(*WITHOUT_TUNING)), "cpu", ["training.learning_rate=0.03"])
    assert study.runs == 4 * 5
    assert {study.spec(cell, study.middle, 0).training.learning_rate for cell in study.cells} == {0.03}
    assert study.untuned == "No arm is tuned: every arm has training.learning_rate = 0.03."
    assert declare(str(study_file()), "cpu", []).untuned == ""


def test_a_factor_may_set_the_learning_rate(study_file: Edit) -> None:
    edits = (RATES_AS_LEVELS, ('"model.width" = "first"', '"training.learning_rate" = 0.02'))
    edits = (*edits, ('"model.width" = 16', '"training.learning_rate" = 0.04'), ("layers = 3", "layers = 3\nwidth = 8"))
    study = declare(str(study_file(*WITHOUT_TUNING, *edits)), "cpu", [])
    assert {study.spec(cell, study.middle, 0).training.learning_rate for cell in study.cells} == {0.02, 0.04}
    assert study.untuned == "No arm is tuned: the study file gives the arms training.learning_rate = 0.02, 0.04."


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            (TUNING, "[tuning]\ntrials = 2\n"),
            "tuning: trials = 2 needs search, the range of each setting that is tuned",
        ),
        ((TUNING, ""), r"scales\.smoke\.trials = 1: the study has no \[tuning\] with search"),
    ],
)
def test_trials_without_ranges_are_refused(study_file: Edit, edit: tuple[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        declare(str(study_file(edit)), "cpu", [])


def test_plan_verdicts_and_page_say_that_no_arm_is_tuned(study_file: Edit, tmp_path: Path, lab: Lab) -> None:
    path = study_file(*WITHOUT_TUNING)
    study = declare(str(path), "smoke", [])
    Sweep(study, tmp_path, lambda event: None).run(InProcess(tmp_path))
    sentence = "No arm is tuned: every arm has training.learning_rate = 0.01."
    assert f"\n{sentence}\n" in lab("study", "show", path, "--scale", "smoke", "--no-probe").stdout
    assert f"\n  {sentence}\n" in lab("claims", study.name, "--home", tmp_path).stdout
    page = render_study(read_judged(tmp_path, study))
    assert f"{sentence} The seeds are 0 to 1." in page
    assert "Each trial searched" not in page
    assert "tuning trials" not in page.lower()
