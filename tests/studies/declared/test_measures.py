"""Unknown measures are refused, each measure has a direction, and claims may have their own measures."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
from torch import Tensor

from generators.foundation.errors import UserError
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo
from lab.analysis.table import ANALYSES
from lab.run.store import TIMING, RunFolder
from lab.run.stored_run import StoredRun
from studies.declared.catalog import STUDIES
from studies.declared.loading import declare
from studies.declared.measures import Measure, main_measure, measure_of, shortcut_metric
from studies.declared.study import Study
from studies.judging.judge import judge
from studies.ledger.declared_study import cells_of
from studies.ledger.records import CellRecord, RunRecord
from studies.ledger.scores import confirmed, scores_for
from studies.running.executors.executor import Outcome
from studies.running.executors.here import InProcess
from studies.running.scoring import score_of
from studies.running.sweep import Sweep
from tests.studies.conftest import Edit

OWN = ('name = "same"\n', 'name = "same"\nmetric = "loss_1"\n')
SECONDS = ('name = "same"\n', 'name = "same"\nmetric = "seconds"\n')


class ParametersAnalysis(Analysis):
    """Counts the parameters of a run and records which runs were analysed."""

    name = "parameters"
    summary = "the number of parameters"
    measures: ClassVar[dict[str, MeasureInfo]] = {"count": MeasureInfo("more")}
    runs: ClassVar[list[str]] = []

    def analyse(self, run: StoredRun) -> AnalysisResult:
        self.runs.append(run.folder.identity)
        return self.result(Findings(measures={"count": float(sum(map(Tensor.numel, run.parts.network.parameters())))}))


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (('metric = "accuracy"\nshortcut = "name_before"', 'metric = "loss_7"'), "metric = 'loss_7': no such score; the nearest is loss_1"),
        (('metric = "accuracy"\nshortcut = "name_before"', 'metric = "loss_2"'), "metric = 'loss_2': no such score"),
        (('metric = "accuracy"', 'metric = "accuracy"\nsplit = "tset"'), "split = 'tset': induction has no such test split; the nearest is test"),
        (('metric = "accuracy"', 'metric = "accuracy"\nsplit = "validation"'), "split = 'validation': induction has no such test split"),
        (('name = "same"', 'name = "same"\nmetric = "second"'), "claims.same.metric = 'second': no such score; the nearest is seconds"),
        (('name = "same"', 'name = "same"\nsplit = "test/m=5"'), "claims.same.split = 'test/m=5'"),
    ],
)  # fmt: skip
def test_an_unknown_metric_or_split_is_a_sentence(study_file: Edit, edit: tuple[str, str], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        declare(str(study_file(edit)), "cpu", [])
    assert sentence in str(raised.value)


SHORTCUTS = {"star-quick": "guess_a_branch", "suffix-depth": "subtract", "polynomial-sizes": "linear"}


@pytest.mark.parametrize("name", SHORTCUTS)
def test_a_study_of_exact_matches_may_have_a_shortcut_whose_whole_answers_are_then_its_baseline(
    name: str, tmp_path: Path
) -> None:
    lines = [line for line in STUDIES.path(name).read_text().splitlines() if not line.startswith("shortcut =")]
    lines.insert(lines.index('metric = "exact"'), f'shortcut = "{SHORTCUTS[name]}"')
    path = tmp_path / f"own-{name}.toml"
    path.write_text("\n".join(lines))
    study = declare(str(path), "cpu", [])
    assert shortcut_metric(study.declaration) == f"shortcut_exact/{SHORTCUTS[name]}"
    assert main_measure(study.declaration).metric == "exact"


def test_the_baseline_of_an_accuracy_is_an_accuracy_and_a_loss_has_none(study_file: Edit) -> None:
    edits = {'metric = "accuracy"': "shortcut/name_before", 'metric = "exact"': "shortcut_exact/name_before"}
    for metric, expected in edits.items():
        declaration = declare(str(study_file(('metric = "accuracy"', metric))), "cpu", []).declaration
        assert shortcut_metric(declaration) == expected
    without = ('metric = "accuracy"\nshortcut = "name_before"', 'metric = "loss_1"')
    assert shortcut_metric(declare(str(study_file(without)), "cpu", []).declaration) is None


def test_less_is_better_for_losses_and_seconds(study_file: Edit) -> None:
    for metric, sign in {
        "loss_1": -1,
        "seconds": -1,
        "exact": 1,
        "shortcut/name_before": 1,
        "shortcut_exact/name_before": 1,
    }.items():
        edit = ('metric = "accuracy"\nshortcut = "name_before"', f'metric = "{metric}"')
        study = declare(str(study_file(edit)), "cpu", [])
        assert main_measure(study.declaration).sign == sign


def test_of_analyses_what_a_step_costs_is_the_better_the_less() -> None:
    for metric, sign in {
        "step/time_ratio": -1,
        "step/peak_megabytes_joint": -1,
        "decoding/tokens_per_forward": 1,
    }.items():
        assert Measure(f"analysis/{metric}", None).sign == sign


def test_seconds_are_those_of_training_on_no_split(study_file: Edit, tmp_path: Path) -> None:
    study = declare(str(study_file(SECONDS)), "cpu", [])
    measure = measure_of(study.declaration, study.declaration.claims[1])
    assert (measure, measure.name) == (Measure("seconds", None), "seconds")
    folder = RunFolder(tmp_path, "run")
    folder.path.mkdir(parents=True)
    lines = [
        {"step": 1, "train_seconds": 1.5, "evaluate_seconds": 9.0},
        {"step": 2, "train_seconds": 2.0, "evaluate_seconds": 9.0},
    ]
    (folder.path / TIMING).write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = {"status": "complete", "scores": {"best": {"test": {"accuracy": 0.5}}}}
    assert score_of(study, "confirm", Outcome(result), folder) == (0.5, None, {"seconds": 3.5})


def test_a_claim_is_judged_by_its_own_measure(study_file: Edit) -> None:
    """Two heads have the same accuracy, and a loss that is lower in every run."""
    path = study_file(OWN, ('kind = "equivalence"\nmargin = 0.1\n', 'kind = "difference"\n'))
    study = declare(str(path), "cpu", [])
    cells = []
    for cell in study.cells:
        low = 1.0 if "n=2" in cell.label else 2.0
        runs = [
            RunRecord(
                phase="confirm",
                seed=seed,
                settings={},
                identity="",
                score=0.5,
                measures={"loss_1 on test": low + seed / 100},
            )
            for seed in range(5)
        ]
        cells.append(CellRecord(label=cell.label, levels=dict(cell.levels), runs=runs))
    assert confirmed(cells)["width=8 n=1"] == dict.fromkeys(range(5), 0.5)
    first, second = judge(study, scores_for(study, cells))
    assert (first.verdict, second.verdict) == ("inconclusive", "supported")
    assert second.contrast is not None
    assert second.contrast.difference == pytest.approx(1.0)


@pytest.mark.slow
def test_tuning_on_a_loss_chooses_the_lowest_on_validation(study_file: Edit, tmp_path: Path) -> None:
    path = study_file(
        ('metric = "accuracy"\nshortcut = "name_before"', 'metric = "loss_1"'), OWN, ("[8, 16]", "[8]"), ('"model.width" = 16', '"model.width" = 8'),
        ("seeds = 2", "seeds = 1"), ("trials = 1", "trials = 3"), ('name = "helps"', 'name = "helps"\nmetric = "accuracy"'),
    )  # fmt: skip
    study: Study = declare(str(path), "smoke", [])
    Sweep(study, tmp_path / "home", lambda event: None).run(InProcess(tmp_path / "home"))
    for cell in cells_of(tmp_path / "home", study):
        trials = [entry for entry in cell.runs if entry.phase == "tune"]
        lowest = min(trials, key=lambda entry: float(entry.score or 0.0))
        assert cell.winner == lowest.settings
        for entry in cell.runs:
            result = RunFolder(tmp_path / "home", entry.identity).result()
            assert result is not None
            validation, test = (result["scores"]["best"][split] for split in ("validation", "test"))
            if entry.phase == "tune":
                assert entry.score == validation["loss_1"]
            else:
                assert (entry.score, entry.measures) == (test["loss_1"], {"accuracy on test": test["accuracy"]})


def test_a_claim_may_use_an_analysis_which_the_worker_runs_once_and_stores(
    study_file: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The analysis counts the parameters of a run, so that arms of different sizes differ in every seed."""
    monkeypatch.setattr(ParametersAnalysis, "runs", [])
    monkeypatch.setitem(ANALYSES.rows, "parameters", f"{__name__}:ParametersAnalysis")  # type: ignore[arg-type]
    path = study_file(
        ('name = "helps"\n', 'name = "helps"\nmetric = "analysis/parameters/count"\n'),
        (
            'factor = "objective.n"\ntreatment = 2\ncontrol = 1\nwhere = { "model.width" = "first" }',
            'factor = "model.width"\ntreatment = 16\ncontrol = 8\nwhere = { "objective.n" = 1 }',
        ),
    )
    study = declare(str(path), "cpu", [])
    home = tmp_path / "home"
    sweep = Sweep(study, home, lambda event: None)
    verdicts = sweep.run(InProcess(home))
    cells = sweep.records
    assert verdicts[0].verdict == "supported"
    assert verdicts[0].contrast is not None
    assert verdicts[0].contrast.difference > 0
    confirming = [run.identity for cell in cells for run in cell.runs if run.phase == "confirm"]
    assert sorted(ParametersAnalysis.runs) == sorted(confirming)
    Sweep(study, home, lambda event: None).run(InProcess(home))
    assert len(ParametersAnalysis.runs) == len(set(ParametersAnalysis.runs)), "what was taken once is read"


def test_a_study_cannot_be_tuned_by_an_analysis(study_file: Edit) -> None:
    with pytest.raises(UserError, match="only a claim can use a measure of an analysis"):
        declare(str(study_file(('metric = "accuracy"', 'metric = "analysis/lookahead/lookahead_2"'))), "cpu", [])
