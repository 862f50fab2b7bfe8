"""A row of a matrix is a study: one objective against the baseline on every task, with equal operations."""

import json
from pathlib import Path
from typing import Any

import pytest

from generators.foundation.errors import UserError
from lab.run.spec import RunSpec
from studies.declared.catalog import COLLECTIONS, STUDIES
from studies.declared.collection import load_collection
from studies.declared.loading import declare
from studies.declared.matrix.equal_operations import budget_settings, step_operations
from studies.declared.matrix.matrix_file import load_matrix
from studies.declared.study import TUNING_SEED, Study
from tests.conftest import Lab
from tests.studies.declared.mini_matrix import write_mini_matrix


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes a catalog whose only file is the small matrix."""
    folder = write_mini_matrix(tmp_path)
    monkeypatch.setattr(COLLECTIONS, "folder", folder / "collections")
    monkeypatch.setattr(STUDIES, "folder", folder)
    return folder


def runs_of(study: Study, objective: str) -> list[str]:
    """Returns the first trial and the first seeds of an objective on every task."""
    cells = [cell for cell in study.cells if dict(cell.levels)["objective"] == objective]
    return [study.spec(cell, study.middle, seed).identity for cell in cells for seed in (0, 1, TUNING_SEED)]


def test_the_baseline_is_the_same_runs_in_every_row(catalog: Path) -> None:
    heads, order = declare("mini-heads", "cpu"), declare("mini-token-order", "cpu")
    assert runs_of(heads, "next-token") == runs_of(order, "next-token")
    assert not set(runs_of(heads, "heads")) & set(runs_of(order, "token-order"))
    assert heads.declaration.tuning.sampler_seed == order.declaration.tuning.sampler_seed == "mini"


def test_both_arms_of_a_task_have_equal_operations_and_equally_many_evaluations(catalog: Path) -> None:
    study = declare("mini-heads", "cpu")
    for first, second in zip(study.cells[::2], study.cells[1::2], strict=True):
        assert dict(first.levels)["task"] == dict(second.levels)["task"]
        baseline, arm = (study.spec(cell, study.middle, 0) for cell in (first, second))
        budgets = [step_operations(spec) * spec.training.steps for spec in (baseline, arm)]
        half_a_step = 0.5 / arm.training.evaluate_every_steps
        assert arm.training.steps < baseline.training.steps, "a head costs operations"
        assert budgets[1] == pytest.approx(budgets[0], rel=1.1 * half_a_step)
        evaluations = {spec.training.steps / spec.training.evaluate_every_steps for spec in (baseline, arm)}
        assert evaluations == {2.0}
        assert arm.training.warmup_steps == pytest.approx(
            baseline.training.warmup_steps * arm.training.steps / baseline.training.steps, abs=0.6
        )


def retrained(spec: RunSpec, **changes: Any) -> RunSpec:
    """Returns a run with some settings of its training changed."""
    return spec.model_copy(update={"training": spec.training.model_copy(update=changes)})


def test_an_arm_ends_with_an_evaluation_where_the_steps_are_no_multiple_of_the_interval(catalog: Path) -> None:
    study = declare("mini-heads", "cpu")
    baseline, arm = (
        retrained(study.spec(cell, study.middle, 0), steps=50, evaluate_every_steps=20) for cell in study.cells[:2]
    )
    budget = budget_settings(arm, baseline)
    assert budget["training.steps"] == 3 * budget["training.evaluate_every_steps"]


def test_a_step_takes_as_many_more_operations_as_its_batch_has_more_samples(catalog: Path) -> None:
    study = declare("mini-heads", "cpu")
    spec = study.spec(study.cells[0], study.middle, 0)
    assert step_operations(retrained(spec, batch_size=6)) == 3 * step_operations(retrained(spec, batch_size=2))


def test_what_a_scale_changes_in_a_task_prevails_over_what_it_changes_in_all(catalog: Path) -> None:
    matrix = catalog / "collections" / "mini.toml"
    own, longer = '{ "task.nodes" = 7 }', '{ "task.nodes" = 7, "training.warmup_steps" = 1 }'
    matrix.write_text(matrix.read_text().replace(own, longer))
    study = declare("mini-heads", "smoke")
    sums, graphs = (study.spec(study.cells[place], study.middle, 0) for place in (0, 2))
    assert (sums.training.warmup_steps, graphs.training.warmup_steps) == (2, 1)


def test_each_task_has_two_claims_its_own_threshold_and_its_own_changes_of_a_scale(catalog: Path) -> None:
    study, smoke = declare("mini-heads", "cpu"), declare("mini-heads", "smoke")
    names = [claim.name for claim in study.declaration.claims]
    assert names == ["sums_solves", "sums_sooner", "graphs_solves", "graphs_sooner"]
    assert [claim.metric for claim in study.declaration.claims] == ["solved", "budget_to_solve"] * 2
    thresholds = [study.threshold_of(cell) for cell in study.cells]
    assert [threshold.at for threshold in thresholds if threshold] == [0.01, 0.01, 0.9, 0.9]
    graphs = [s.spec(s.cells[2], s.middle, 0) for s in (study, smoke)]
    assert [spec.task.canonical()["nodes"] for spec in graphs] == [6, 7]
    assert [spec.training.steps for spec in graphs] == [20, 4]


def test_an_installed_objective_joins_under_a_name_that_says_its_settings(catalog: Path, lab: Lab) -> None:
    shown = lab("study", "show", "mini", "--scale", "smoke", "--with", "multi_token:n=3,match=none")
    assert shown.stdout.splitlines()[-1] == "next: lab study run mini --scale smoke --with multi_token:n=3,match=none"
    joined = load_collection("mini").joined(["multi_token:n=3,match=none"])
    studies = [member.study for member in joined.members]
    assert studies == ["mini-heads", "mini-token-order", "mini-multi_token:n=3,match=none"]
    study = declare(studies[-1], "smoke")
    config = study.spec(study.cells[1], study.middle, 0).objective.model_dump()
    assert (config["kind"], config["n"], config["match"]) == ("multi_token", 3, "none")


def test_a_scale_without_tuning_may_give_some_objectives_a_rate_of_their_own(catalog: Path) -> None:
    matrix = catalog / "collections" / "mini.toml"
    text = matrix.read_text()

    def with_settings(scale: str, **names: list[str]) -> None:
        rate = {"training.learning_rate": 0.02}
        tables = "".join(f"{key} = {json.dumps(value)}\n" for key, value in names.items())
        matrix.write_text(f"{text}\n[[scales.{scale}.settings]]\n{tables}set = {json.dumps(rate).replace(':', ' =')}\n")

    def rates(row: str) -> list[float]:
        study = declare(row, "smoke")
        return [study.spec(cell, study.middle, 0).training.learning_rate for cell in study.cells]

    with_settings("smoke", tasks=["graphs"], objectives=["heads"])
    assert rates("mini-heads") == [0.01, 0.01, 0.01, 0.02]
    assert rates("mini-token-order") == [0.01] * 4
    with_settings("smoke", tasks=["graphs"])
    assert rates("mini-registers") == [0.01, 0.01, 0.02, 0.02]
    with_settings("cpu", tasks=["graphs"])
    with pytest.raises(UserError, match=r"training\.learning_rate is decided by a factor, by tuning"):
        declare("mini-heads", "smoke")
    with_settings("smoke", tasks=["graph"])
    with pytest.raises(UserError, match='"graph" should be one of sums, graphs'):
        declare("mini-heads", "smoke")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("mini-head", "no such objective is installed; the nearest is heads"),
        ("mini-token_order:windw=3", "windw"),
        ("mini-token_order:3", "should be key=value, as in token_order:key=value"),
    ],
)
def test_an_objective_that_cannot_join_is_refused_in_a_sentence(catalog: Path, row: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        declare(row, "smoke")


def test_an_objective_that_joins_pays_for_its_own_row_alone(catalog: Path, lab: Lab) -> None:
    home = catalog / "home"
    run = ("study", "run", "mini", "--scale", "smoke", "--executor", "here", "--home", home, "--json")
    first = json.loads(lab(*run).stdout)["studies"]
    baseline, own = 4, 4
    assert first["mini-heads"]["trained"] == baseline + own
    runs = {path.name for path in (home / "runs").iterdir()}
    joining = lab(*run, "--with", "multi_token:n=3,match=none")
    assert joining.returncode == 0, joining.stderr
    new = {path.name for path in (home / "runs").iterdir()} - runs
    row = "mini-multi_token:n=3,match=none"
    study = declare(row, "smoke")
    assert new == {study.spec(cell, study.middle, seed).identity for cell in study.cells[1::2] for seed in (0, 1)}
    assert [result["trained"] for result in json.loads(joining.stdout)["studies"].values()] == [0, 0, own]
    again = json.loads(lab(*run, "--with", "multi_token:n=3,match=none").stdout)["studies"]
    assert sum(result["trained"] for result in again.values()) == 0
    status = json.loads(lab("study", "status", "mini", "--home", home, "--json").stdout)
    assert [status[name]["ended"] for name in ("mini-heads", "mini-token-order", row)] == [8, 8, 8]
    assert list(json.loads(lab("claims", "mini", "--home", home, "--json").stdout)) == [*status]


def test_a_row_or_the_baseline_of_a_matrix_cannot_join_it_again(catalog: Path, lab: Lab) -> None:
    for objective in ("heads", load_matrix("mini").baseline):
        refused = lab("study", "show", "mini", "--with", objective)
        assert refused.returncode == 2
        assert f"--with {objective}: mini has this objective already; leave the option out" in refused.stderr


def test_the_file_of_a_matrix_is_no_study_file(lab: Lab, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(COLLECTIONS.path("matrix").read_text(encoding="utf-8"), encoding="utf-8")
    refused = lab("study", "show", own)
    assert refused.returncode == 2
    assert "tasks: is the file of a matrix, which runs from the catalog alone" in refused.stderr


def test_only_a_matrix_can_be_joined(lab: Lab) -> None:
    for name, reason in (("controls", "is no matrix"), ("star-quick", "is a study")):
        refused = lab("study", "show", name, "--with", "registers")
        assert refused.returncode == 2
        assert reason in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["smoke", "cpu", "gpu"])
def test_every_row_of_the_shipped_matrix_can_run(scale: str) -> None:
    for member in load_collection("matrix").members:
        study = declare(member.study, scale)
        for task in load_matrix("matrix").tasks.values():
            assert task.shortcut is not None
        assert len(study.cells) == 2 * len(load_matrix("matrix").tasks)
