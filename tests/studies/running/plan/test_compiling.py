"""A study compiles its steps where its file leaves that open and its estimate says that it pays, and keeps its choice."""

from pathlib import Path

import pytest

from lab.run.store import RunFolder
from studies.declared.loading import declare
from studies.declared.study import Study
from studies.ledger.folder import StudyFolder
from studies.running.plan.compiling import CompileChoice, choice_for, choose_compile, resolve_compile
from studies.running.plan.cost import TimeEstimate, plan_study
from tests.studies.conftest import Edit
from tests.studies.workshop import Workshop


def test_compiling_has_to_save_twice_what_it_takes(small: Study) -> None:
    """Four networks, each compiled once in 40 s and loaded by two workers in 5 s each: 200 s, paid back by 400 s."""
    plan = plan_study(small)
    assert plan.networks == 4
    choices = {seconds: choice_for(plan, TimeEstimate(seconds, ""), workers=2) for seconds in (1980.0, 2040.0)}
    assert choices[2040.0].compiled
    assert choices[2040.0].reason == (
        "steps are compiled: compiling 4 networks takes about 3 minutes and saves about 7 minutes of about 34 minutes"
    )
    assert not choices[1980.0].compiled
    assert "would take about 3 minutes" in choices[1980.0].reason


def test_nothing_is_compiled_without_a_compiler(small: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    choice = choice_for(plan_study(small), TimeEstimate(1e6, ""), workers=1)
    assert choice == CompileChoice(False, "steps are not compiled, because this machine has no C++ compiler")


@pytest.mark.parametrize("value", ["true", "false"])
def test_a_setting_in_the_file_is_no_choice(study_file: Edit, tmp_path: Path, value: str) -> None:
    study = declare(str(study_file()), "cpu", [f"training.compile={value}"])
    assert resolve_compile(study, tmp_path, choose=True) == (study, "")
    assert study.spec(study.cells[0], study.middle, 0).training.compile is (value == "true")


def test_auto_is_the_same_as_no_setting(study_file: Edit) -> None:
    path = str(study_file())
    plain, auto = declare(path, "cpu", []), declare(path, "cpu", ['training.compile="auto"'])
    assert auto.base == plain.base
    assert auto.leaves_compile_open


def test_a_choice_is_made_once_stored_and_kept(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = CompileChoice(True, "steps are compiled: for this test")
    monkeypatch.setattr("studies.running.plan.compiling.choose_compile", lambda study: chosen)
    workshop.write("x.toml")
    assert "x: steps are compiled: for this test" in workshop.run("x.toml")
    folder = StudyFolder(workshop.home, "x", "smoke")
    assert folder.read_study().compiled
    runs = [run for cell in folder.read_cells() for run in cell.runs]
    specs = [RunFolder(workshop.home, run.identity).spec() for run in runs]
    assert all(spec.training.compile for spec in specs)
    monkeypatch.setattr("studies.running.plan.compiling.choose_compile", lambda study: CompileChoice(False, ""))
    workshop.write("x.toml", ("A small study", "A small, renamed study"))
    assert "was edited" in workshop.run("x.toml")
    assert [run.identity for cell in folder.read_cells() for run in cell.runs] == [run.identity for run in runs]
    answer, _ = workshop.answer("report", "x.toml")
    assert answer


def test_a_study_of_few_steps_is_not_timed(small: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studies.running.plan.compiling.plan_study", lambda study: pytest.fail("was planned"))
    assert choose_compile(small) == CompileChoice(False, "steps are not compiled, because they are few")


def test_a_shard_does_not_choose(small: Study, tmp_path: Path) -> None:
    assert resolve_compile(small, tmp_path, choose=False) == (small, "")
