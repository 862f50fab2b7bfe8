"""A study says what counts as solved; claims compare the share of runs that solve the task, and when they do."""

import json
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run.solving import Solved
from lab.run.store import METRICS, RunFolder
from studies.declared.loading import declare
from studies.declared.measures import Measure, form_of, main_measure, measure_of
from studies.declared.study_file import StudyDeclaration
from studies.judging.judge import judge
from studies.ledger.records import CellRecord, RunRecord
from studies.ledger.scores import scores_for
from studies.running.executors.executor import Outcome
from studies.running.scoring import score_of
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.shares import SHARES
from tests.studies.conftest import Edit

SAYS = ('metric = "accuracy"\n', 'metric = "accuracy"\nsolved_at = 0.9\n')
SHARE = ('name = "helps"\n', 'name = "helps"\nmetric = "solved"\n')
STEPS = (
    'name = "same"\n',
    'name = "same"\nmetric = "steps_to_solve"\n',
)
DIFFERENCE = ('kind = "equivalence"\nmargin = 0.1\n', 'kind = "difference"\n')
THRESHOLD = Solved(metric="accuracy", at=0.9)


def test_a_run_has_both_measures(study_file: Edit, tmp_path: Path) -> None:
    study = declare(str(study_file(SAYS, SHARE, STEPS, DIFFERENCE)), "cpu", [])
    measures = [measure_of(study.declaration, claim) for claim in study.declaration.claims]
    assert measures == [Measure("solved", None, THRESHOLD), Measure("steps_to_solve", None, THRESHOLD)]
    assert [measure.sign for measure in measures] == [1, -1]
    assert [measure.is_share for measure in measures] == [True, False]
    for name, accuracies, expected in (
        ("late", (0.5, 0.9, 0.95, 0.2), {"solved": 1.0, "steps_to_solve": 30.0}),
        ("never", (0.5, 0.9, 0.85, 0.95), {"solved": 0.0, "steps_to_solve": 40.0}),
    ):
        folder = RunFolder(tmp_path, name)
        folder.path.mkdir(parents=True)
        lines = [{"step": 10 * (i + 1), "split": "validation", "accuracy": score} for i, score in enumerate(accuracies)]
        (folder.path / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
        result = {"status": "complete", "steps": 40, "scores": {"best": {"test": {"accuracy": 0.5}}}}
        assert score_of(study, "confirm", Outcome(result), folder) == (0.5, None, expected)


def test_a_run_that_gave_up_early_counts_with_all_the_steps_that_it_was_to_take(
    study_file: Edit, tmp_path: Path
) -> None:
    patient = ("steps = 3\nbatch", "steps = 100\nstop_after_evaluations = 1\nbatch")
    study = declare(str(study_file(SAYS, SHARE, STEPS, DIFFERENCE, patient)), "cpu", [])
    spec = study.spec(study.cells[0], study.middle, 0)
    folder = RunFolder(tmp_path, spec.identity)
    with folder.locked(spec):
        folder.append(METRICS, {"step": 20, "split": "validation", "accuracy": 0.5})
    result = {"status": "complete", "steps": 20, "stopped_early": True, "scores": {"best": {"test": {"accuracy": 0.5}}}}
    assert score_of(study, "confirm", Outcome(result), folder)[2] == {"solved": 0.0, "steps_to_solve": 100.0}


def test_steps_are_not_compared_between_cells_that_have_different_numbers_of_them(study_file: Edit) -> None:
    factor = ('"objective.n" = [1, 2]', '"objective.n" = [1, 2]\n"training.steps" = [3, 6]')
    where = ('where = { "model.width" = "first" }', 'where = { "model.width" = "first", "objective.n" = 1 }')
    other = ('where = { "model.width" = 16 }', 'where = { "model.width" = 16, "training.steps" = 3 }')
    compared = (
        'factor = "objective.n"\ntreatment = 2\ncontrol = 1\n' + where[0],
        'factor = "training.steps"\ntreatment = 6\ncontrol = 3\n' + where[1],
    )
    steps = ('name = "helps"\n', 'name = "helps"\nmetric = "steps_to_solve"\n')
    with pytest.raises(UserError, match=r"claims\.helps\.metric = \"steps_to_solve\".* 6 in .*, 3 in "):
        declare(str(study_file(SAYS, steps, factor, compared, other)), "cpu", [])
    declare(str(study_file(SAYS, SHARE, factor, compared, other)), "cpu", [])


GAIN = (
    'kind = "difference"\nfactor = "objective.n"\ntreatment = 2\ncontrol = 1\nwhere = { "model.width" = "first" }',
    'kind = "interaction"\nover = "model.width"\nbetween = ["first", "last"]\nfactor = "objective.n"\ntreatment = 2\n'
    "control = 1",
)
TREND = (GAIN[0], 'kind = "trend"\nfactor = "objective.n"\nwhere = { "model.width" = "first" }')


def test_a_margin_of_shares_needs_the_exact_test_of_two_shares(study_file: Edit) -> None:
    gain, trend = ((old, new.replace("\n", "\nmargin = 0.2\n", 1)) for old, new in (GAIN, TREND))
    three = ('"objective.n" = [1, 2]', '"objective.n" = [1, 2, 3]'), ("layers = 3", "layers = 4")
    for edits in ((gain,), (trend, *three)):
        with pytest.raises(UserError, match=r"claims\.helps\.margin = 0\.2: .* of shares has no exact test"):
            declare(str(study_file(SAYS, SHARE, *edits)), "cpu", [])
        declare(str(study_file(SAYS, *edits)), "cpu", [])
    bounded = ("margin = 0.2\n", "negligible = 0.2\n")
    with pytest.raises(UserError, match=r"claims\.helps\.negligible = 0\.2: .* of shares has no exact test"):
        declare(str(study_file(SAYS, SHARE, gain, bounded)), "cpu", [])
    for edits in ((GAIN,), (TREND, *three), (trend,)):
        declare(str(study_file(SAYS, SHARE, *edits)), "cpu", [])


def test_a_study_says_once_what_counts_as_solved(study_file: Edit) -> None:
    table = ("[factors]\n", '[base.training.stop_when_solved]\nmetric = "accuracy"\nat = 0.5\n\n[factors]\n')
    with pytest.raises(UserError, match=r"training\.stop_when_solved: solved_at says what counts as solved"):
        declare(str(study_file(SAYS, SHARE, table)), "cpu", [])
    spec_of = declare(str(study_file(table)), "cpu", [])
    assert spec_of.spec(spec_of.cells[0], spec_of.middle, 0).training.stop_when_solved == Solved(
        metric="accuracy", at=0.5
    )


def test_shares_have_their_own_test_and_steps_that_of_the_study(study_file: Edit) -> None:
    """Every run of two heads solves the task, in 100 steps or more; no run of one head does."""
    study = declare(str(study_file(SAYS, SHARE, STEPS, DIFFERENCE)), "cpu", [])
    cells = []
    for cell in study.cells:
        solves = "n=2" in cell.label
        runs = [
            RunRecord(
                phase="confirm",
                seed=seed,
                settings={},
                identity="",
                score=0.5,
                measures={"solved": float(solves), "steps_to_solve": 100.0 + seed if solves else 200.0},
            )
            for seed in range(5)
        ]
        cells.append(CellRecord(label=cell.label, levels=dict(cell.levels), runs=runs))
    shares, steps = judge(study, scores_for(study, cells))
    assert (shares.verdict, steps.verdict) == ("supported", "supported")
    assert shares.p == pytest.approx(2 / 2**10)
    assert steps.p == pytest.approx(2 / 252)
    assert shares.contrast is not None
    assert (shares.contrast.difference, shares.contrast.high) == (1.0, 1.0)
    assert 0.2 < shares.contrast.low < 0.4, "five of five against none do not show that the shares are 1 and 0"
    assert steps.contrast is not None
    assert steps.contrast.difference == pytest.approx(98.0)
    forms = [
        form_of(study.declaration, judgement.claim, judgement.test.comparison)
        for judgement in (shares, steps)
        if judgement.test
    ]
    assert forms == [SHARES, INDEPENDENT]


@pytest.mark.parametrize(
    ("edits", "sentence"),
    [
        ((SHARE,), "claims.helps.metric = 'solved': the study does not say what counts as solved; add solved_at"),
        (((SAYS[0], 'metric = "loss_1"\nsolved_at = 0.9\n'), ('shortcut = "name_before"\n', "")), 'solved_at = 0.9 needs metric = accuracy or exact, not "loss_1"'),
        (((SAYS[0], SAYS[0] + "stop_when_solved = true\n"),), "stop_when_solved = true needs solved_at"),
        (((SAYS[0], 'metric = "accuracy"\nsolved_at = 1.5\n'),), "solved_at = 1.5"),
        (((SAYS[0], 'metric = "solved"\n'), ('shortcut = "name_before"\n', "")), "metric = 'solved'"),
        ((SAYS, ('name = "helps"\n', 'name = "helps"\nmetric = "solvd"\n')), "the nearest is solved"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(study_file: Edit, edits: tuple[tuple[str, str], ...], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        declare(str(study_file(*edits)), "cpu", [])
    assert sentence in str(raised.value)


def test_runs_may_end_where_they_have_solved_the_task(study_file: Edit) -> None:
    stopping = (SAYS[0], SAYS[1] + "stop_when_solved = true\n")
    study = declare(str(study_file(stopping, SHARE)), "cpu", [])
    assert study.spec(study.cells[0], study.middle, 0).training.stop_when_solved == THRESHOLD
    plain = declare(str(study_file(SAYS, SHARE)), "cpu", [])
    assert plain.spec(plain.cells[0], plain.middle, 0).training.stop_when_solved is None
    assert main_measure(study.declaration) == main_measure(plain.declaration)


def test_keys_that_are_unset_are_not_stored(study_file: Edit) -> None:
    stored = declare(str(study_file()), "cpu", []).declaration.model_dump(mode="json")
    assert not {"solved_at", "stop_when_solved", "first_seed", "futility"} & set(stored)
    later = declare(str(study_file(("seeds = 5\n", "seeds = 5\nfirst_seed = 100\n"))), "cpu", []).declaration
    assert later.model_dump(mode="json") == stored | {"first_seed": 100}
    says = declare(str(study_file(SAYS)), "cpu", []).declaration
    assert says.model_dump(mode="json")["solved_at"] == 0.9
    assert StudyDeclaration.model_validate_json(says.model_dump_json()) == says
