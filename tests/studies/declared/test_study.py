"""A study file with any mistake is refused with a one-sentence error before anything runs."""

import re
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.declared.catalog import STUDIES
from studies.declared.loading import declare
from studies.declared.study import TUNING_SEED, Study
from tests.conftest import Lab
from tests.generators.corpora import invented_tales, write_tales
from tests.studies.conftest import Edit

WRONG = {
    "misspelt key": (("[tuning]\ntrials", "[tuning]\ntrails"), 'tuning.trails = 2: no such key; the nearest is tuning.trials'),
    "misspelt table": (("[tuning]", "[tunign]"), "tunign = "),
    "misspelt claim key": (("margin = 0.1", "marign = 0.1"), "claims.1: marign = 0.1: an equivalence has no such key; the nearest is margin"),
    "misspelt task key": (("characters = 3", "charcters = 3"), "task.charcters = 3: no such key; the nearest is task.characters"),
    "string for a number": (("trials = 2", 'trials = "2"'), 'tuning.trials = "2": should be a valid integer, without quotes: 2'),
    "string for a setting": (("steps = 3\nb", 'steps = "3"\nb'), 'training.steps = "3": should be a valid integer'),
    "n = 0": (('"objective.n" = [1, 2]', '"objective.n" = [1, 0]'), "objective.n = 0: should be greater than or equal to 1"),
    "unknown task": (('kind = "induction"', 'kind = "inductoin"'), "task.kind = 'inductoin': no such task; the nearest is induction"),
    "unknown objective": (('kind = "multi_token"', 'kind = "multi_tokn"'), "objective.kind = 'multi_tokn': no such objective; the nearest is multi_token"),
    "empty factor": (('"model.width" = [8, 16]', '"model.width" = []'), "factors.model.width = []: should have at least one level"),
    "factor of no table": (('"model.width" = [8, 16]', '"modle.width" = [8, 16]'), "modle: no such table; the nearest is model"),
    "level twice": (('"objective.n" = [1, 2]', '"objective.n" = [1, 1, 2]'), "lists a level twice"),
    "claim on no level": (("treatment = 2\ncontrol = 1\nwhere = { \"model.width\" = 16", "treatment = 4\ncontrol = 1\nwhere = { \"model.width\" = 16"), "claims.same: objective.n = 4 is not a level of that factor"),
    "claim on no factor": (('factor = "objective.n"', 'factor = "objective.m"'), "no such factor; the nearest is objective.n"),
    "claim without margin": (("margin = 0.1\n", ""), "claims.1: margin is missing: an equivalence needs it; its own keys are treatment, control, margin"),
    "claim without where": (('where = { "model.width" = "first" }', ""), "claims.helps.where has no level of model.width; give one of [8, 16]"),
    "too few seeds": (("seeds = 5", "seeds = 3"), "seeds = 3: a verdict needs at least 5; 5 seeds would do"),
    "paired seeds cannot decide": (("seeds = 5", 'seeds = 5\ntest = "paired"'), "the paired test can give is 0.125, above the level of 0.05; 7 seeds would do"),
    "range upside down": (("low = 0.001, high = 0.1", "low = 0.1, high = 0.001"), "should be below high"),
    "range at zero": (("low = 0.001", "low = 0.0"), "above 0 if log"),
    "model without room for the heads": (("layers = 3", "layers = 2"), "leave no trunk"),
    "missing question": (('question = "Does it?"\n', ""), "question is missing"),
    "misspelt metric": (('metric = "accuracy"', 'metric = "acuracy"'), "metric = 'acuracy': no such score; the nearest is accuracy"),
    "misspelt shortcut": (('shortcut = "name_before"', 'shortcut = "name_befor"'), "no such shortcut; the nearest is name_before"),
    "shortcut of a loss": (('metric = "accuracy"', 'metric = "loss_1"'), "shortcut = 'name_before': a shortcut has the scores accuracy and exact, and the study has metric = 'loss_1'; leave it out"),
    "misspelt where": (('where = { "model.width" = 16 }', 'where = { "model.width" = 16, "model.widht" = 16 }'), "claims.same.where.model.widht: no such factor; the nearest is model.width"),
    "claim twice": (('name = "same"', 'name = "helps"'), "claims: two have the same name"),
    "arm against itself": (("treatment = 2\ncontrol = 1\nwhere = { \"model.width\" = 16", "treatment = 1\ncontrol = 1\nwhere = { \"model.width\" = 16"), "claims.same: treatment and control are the same cell"),
    "another scale's setting": (('summary = "fewer"', 'summary = "fewer"\nset = { "training.stpes" = 2 }'), "training.stpes = 2: no such key; the nearest is training.steps"),
    "another scale's key of the file": (('summary = "fewer"', 'summary = "fewer"\nset = { seeds = 2 }'), "scales.smoke.set: seeds is a key of "),
    "another scale's factor": (('summary = "fewer"', 'summary = "fewer"\nset = { "objective.n" = 2 }'), "scales.smoke.set: objective.n is a factor"),
    "base that a factor replaces": (("[base.objective]\n", "[base.objective]\nn = 0\n"), "base at scale cpu: objective.n = 0: should be greater than or equal to 1"),
    "base that tuning replaces": (("learning_rate = 0.01\n", "learning_rate = -1.0\n"), "base at scale cpu: training.learning_rate = -1.0"),
    "seed in base": (("[base.task]", "[base]\nseed = 3\n\n[base.task]"), "base.seed: every run is given its seed"),
    "too many seeds": (("seeds = 5", "seeds = 100000000000000000000"), "seeds = 100000000000000000000: should be less than or equal to 1000"),
    "a list as a level": (("treatment = 2\ncontrol = 1\nwhere = { \"model.width\" = 16", "treatment = [2]\ncontrol = 1\nwhere = { \"model.width\" = 16"), "claims.1: treatment = [2]: should be a number, a text, or true or false"),
    "warm-up beyond the end": (("\nsteps = 3\n", "\nsteps = 3\nwarmup_steps = 4\n"), "warmup_steps = 4 should be at most steps = 3"),
    "another scale's search": (('summary = "fewer"', 'summary = "fewer"\nsearch."training.learning_rat" = { low = 0.1, high = 0.2 }'), "scales.smoke.search.training.learning_rat: is not tuned at other scales; the nearest is training.learning_rate"),
    "a scale's empty range": (('summary = "fewer"', 'summary = "fewer"\nsearch."training.learning_rate" = { low = 0.2, high = 0.1 }'), "scales.smoke.search.training.learning_rate: low = 0.2 should be below high = 0.1"),
    "no scale": (("[scales.cpu]", "[scales.cpuu]"), "--scale cpu: no such scale; the nearest is cpuu"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_a_study_file_is_one_sentence(study_file: Edit, name: str) -> None:
    replacement, sentence = WRONG[name]
    path = study_file(replacement)
    with pytest.raises(UserError) as raised:
        declare(str(path), "cpu", [])
    assert sentence in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_mistake_gives_exit_code_2_on_the_command_line(study_file: Edit, lab: Lab, tmp_path: Path) -> None:
    done = lab("study", "run", study_file(("trials = 2", 'trials = "2"')), "--home", tmp_path / "home")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_an_unknown_study_is_answered_with_the_nearest(lab: Lab) -> None:
    done = lab("study", "show", "induction-qiuck")
    assert done.returncode == 2
    assert "the nearest is induction-quick" in done.stderr


def test_the_cells_are_the_full_grid_and_its_runs_are_counted(small: Study) -> None:
    assert [cell.label for cell in small.cells] == ["width=8 n=1", "width=8 n=2", "width=16 n=1", "width=16 n=2"]
    assert small.runs == 4 * (2 + 5)


def test_a_scale_and_assignments_change_the_base(study_file: Edit) -> None:
    study = declare(str(study_file()), "smoke", ["training.steps=7"])
    spec = study.spec(study.cells[1], {"training.learning_rate": 0.02}, 3)
    assert (study.seeds, study.trials) == (2, 1)
    assert (spec.training.steps, spec.training.learning_rate, spec.seed) == (7, 0.02, 3)
    assert spec.model.shape.width == 8


def test_an_assignment_to_a_key_of_the_file_is_refused(study_file: Edit) -> None:
    file = study_file()
    expected = f"--set: first_seed is a key of {file} and not a setting of its runs; change it in a copy of that file"
    with pytest.raises(UserError, match=rf"^{re.escape(expected)}$"):
        declare(str(file), "cpu", ["first_seed=7"])


def test_a_wrong_assignment_is_named_with_the_scale_that_was_requested(study_file: Edit) -> None:
    with pytest.raises(UserError, match=r"base at scale cpu --set training.steps=abc: training.steps = \"abc\": "):
        declare(str(study_file()), "cpu", ["training.steps=abc"])


def test_the_file_of_a_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[task]\nkind = 'star'\n")
    with pytest.raises(
        UserError, match=rf"^{re.escape(str(file))}: task: is the file of a run; .*: lab train {re.escape(str(file))}$"
    ):
        declare(str(file))


def test_an_assignment_to_a_factor_is_refused(study_file: Edit) -> None:
    with pytest.raises(UserError, match=r"objective.n is a factor of small"):
        declare(str(study_file()), "cpu", ["objective.n=4"])


def test_a_scale_may_have_other_ranges(study_file: Edit) -> None:
    path = study_file(
        ('summary = "fewer"', 'summary = "fewer"\nsearch."training.learning_rate" = { low = 0.4, high = 0.9 }')
    )
    spans = {scale: declare(str(path), scale, []) for scale in ("smoke", "cpu")}
    assert spans["smoke"].middle == {"training.learning_rate": pytest.approx(0.6)}
    assert spans["cpu"].middle == {"training.learning_rate": pytest.approx(0.01)}


def test_tuning_and_confirming_runs_share_no_seed(small: Study) -> None:
    assert small.seeds < TUNING_SEED


@pytest.mark.parametrize("name", STUDIES.names)
@pytest.mark.parametrize("scale", ["cpu", *(pytest.param(scale, marks=pytest.mark.slow) for scale in ("smoke", "gpu"))])
def test_every_scale_of_a_shipped_study_is_valid(name: str, scale: str, tmp_path: Path) -> None:
    assignments = []
    if name == "induction-stories":
        write_tales(tmp_path / "tales.txt", invented_tales())
        # Invented tales are shorter than the length of its gpu scale.
        assignments = [f"task.corpus={tmp_path / 'tales.txt'}", "task.vocabulary_tokens=400", "task.length_tokens=128"]
    assert declare(name, scale, assignments).runs > 0


@pytest.mark.parametrize("name", ["polynomial-sizes", "pause-tokens", "epochs"])
def test_studies_of_polynomials_share_the_runs_of_equal_cells(name: str) -> None:
    def runs(study: Study) -> set[str]:
        return {study.spec(cell, study.middle, 0).identity for cell in study.cells}

    assert len(runs(declare(name, "cpu", [])) & runs(declare("polynomial", "cpu", []))) == 2


@pytest.mark.parametrize(
    "content", ["a = " + "[" * 5000, "seeds = " + "9" * 6000, "a" + ".a" * 3000 + " = 1", "[" * 9000]
)
def test_a_file_that_breaks_the_parser_is_one_sentence_too(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"x\.toml: .*(not valid TOML|too deeply)"):
        declare(str(path), "cpu", [])


def test_too_many_cells_are_refused_before_they_are_built(study_file: Edit) -> None:
    levels = str(list(range(1, 400)))
    path = study_file(
        (
            '"model.width" = [8, 16]',
            f'"model.width" = [8, 16]\n"task.name_parts" = {levels}\n"training.steps" = {levels}',
        )
    )
    with pytest.raises(UserError, match="cells; should be at most 10,000"):
        declare(str(path), "cpu", [])
