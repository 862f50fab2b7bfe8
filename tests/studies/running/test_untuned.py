"""A study with no trials tunes nothing: every cell runs with the middle of the ranges, and the page says so."""

from pathlib import Path

from generators.foundation.settings import Tree
from reports.pages.study import render_study
from studies.declared.loading import declare
from studies.ledger.folder import StudyFolder
from studies.reading.judged import read_judged
from studies.running.executors.here import InProcess
from studies.running.sweep import Sweep
from tests.studies.conftest import Edit
from tests.studies.running.scored_runs import ScoredRuns, Scores

UNTUNED = ("trials = 2\n", "trials = 0\n")
RATE = "training.learning_rate"


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


def test_the_page_says_that_no_arm_was_tuned(study_file: Edit, tmp_path: Path) -> None:
    study = declare(str(study_file(UNTUNED, ("seeds = 2\ntrials = 1\n", "seeds = 2\ntrials = 0\n"))), "smoke", [])
    Sweep(study, tmp_path, lambda event: None).run(InProcess(tmp_path))
    page = render_study(read_judged(tmp_path, study))
    assert f"No arm was tuned: every cell ran with {RATE} = 0.01, on the seeds 0 to 1." in page
    assert "Each trial searched" not in page
    assert "tuning trials" not in page.lower()
