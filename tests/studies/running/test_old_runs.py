"""Runs of a study that were made by code other than the installed code: they stand, are trained again, or are mixed on demand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.run import store
from lab.run.spec import RunSpec
from lab.run.store import CODE, ENVIRONMENT, RESULT, code_of
from reports.drawing.tables import number, word
from reports.exhibits.study.method.environment import Environment
from reports.frames.wording import cautions
from studies.declared.study import Study
from studies.ledger.declared_study import find_study, ledger_of
from studies.ledger.folder import StudyFolder
from studies.ledger.records import LedgerRecord
from studies.reading.judged import read_judged
from studies.reading.results import read_results
from studies.running import coordinator
from tests.conftest import Lab
from tests.lab.killed_runs import Killed
from tests.small_study import write_small_study
from tests.stub_training import stub_attempt

PART = "lab.model.layers"
INSTALLED = ((store, "code_of"), (coordinator, "code_of"))


class OldStudy:
    """The small study, which runs without training, now and before the code changed."""

    def __init__(self, folder: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.lab, self.monkeypatch = folder / "home", lab, monkeypatch
        self.path = write_small_study(folder)

    def run(self, *options: str) -> tuple[dict[str, Any], str]:
        """Runs the study; returns its answer and the notes on standard error."""
        done = self.command("study", "run", str(self.path), "--executor", "here", *options, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    def run_before(self, part: str = PART, of: Callable[[RunSpec], bool] = lambda spec: True, *options: str) -> Any:
        """Runs the study as it ran before a part of the code changed, on which some runs rest."""
        with self.monkeypatch.context() as patch:
            for module, name in INSTALLED:
                patch.setattr(module, name, lambda spec: {**code_of(spec), **({part: "0/0"} if of(spec) else {})})
            return self.run(*options)[0]

    def command(self, *arguments: str) -> Any:
        return self.lab(*arguments, "--home", str(self.home))

    def answer(self, *arguments: str) -> tuple[dict[str, Any], str]:
        """Returns the JSON answer of a command on the study, and its prose."""
        done, prose = self.command(*arguments, "small", "--json"), self.command(*arguments, "small").stdout
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), prose

    def verdicts(self) -> dict[str, Any]:
        """Returns name of a claim -> its verdict, judged now."""
        verdicts = self.answer("claims")[0]["small"]["verdicts"]
        return {verdict["claim"]: verdict for verdict in verdicts}

    def cautions(self) -> str:
        """Returns the reasons for caution on the study's page."""
        return " ".join(cautions(read_results(self.home, find_study(self.home, "small", "cpu"))))

    def forget(self, count: int) -> None:
        """Deletes some confirming runs of every cell, as if they had never been trained."""
        for cell in StudyFolder(self.home, "small", "cpu").read_cells():
            for run in [run for run in cell.runs if run.phase == "confirm"][:count]:
                (self.home / "runs" / run.identity / RESULT).unlink()


@pytest.fixture
def old(tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> OldStudy:
    monkeypatch.setattr("studies.running.executors.here.attempt", stub_attempt)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    return OldStudy(tmp_path, lab, monkeypatch)


def test_a_study_of_one_older_version_stays_judged_and_says_so_everywhere(old: OldStudy) -> None:
    before = old.run_before()
    after, notes = old.run()
    assert after["trained"] == 0
    assert after["verdicts"] == before["verdicts"]
    remark = f"28 runs of 4 cells were made by code other than the installed code ({PART})"
    assert remark in notes
    assert after["changed_code"] == [PART]
    assert after["old_runs"] == dict.fromkeys(after["old_runs"], 7)
    for command in (("study", "status"), ("claims",)):
        value, prose = old.answer(*command)
        assert remark in prose
        assert "--retrain trains them again" in prose
        assert (value if command[0] == "study" else value["small"])["old_runs"] == after["old_runs"]
    assert remark in old.cautions()
    assert {verdict["reason"] for verdict in old.verdicts().values()} == {
        verdict["reason"] for verdict in before["verdicts"]
    }


def test_old_runs_are_trained_again_on_demand_and_once(old: OldStudy) -> None:
    old.run_before()
    after, notes = old.run("--retrain")
    assert after["trained"] == 28
    assert after["old_runs"] == {}
    assert "code other than" not in notes
    assert old.run("--retrain")[0]["trained"] == 0
    assert "code other than" not in old.cautions()


def test_a_study_of_the_installed_code_says_nothing_of_it(old: OldStudy) -> None:
    assert "code" not in old.run()[1]
    assert "code" not in old.answer("study", "status")[1]
    assert "code" not in old.answer("claims")[1]


def test_missing_runs_are_not_trained_beside_old_ones_unless_asked_for(old: OldStudy, tmp_path: Path) -> None:
    old.run_before()
    old.forget(1)
    stored = {path: path.read_bytes() for path in old.home.glob("runs/*/result.json")}
    refused = old.command("study", "run", str(old.path), "--executor", "here")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith(
        f"lab: small: stored runs were made by code other than the installed code ({PART}), and runs of this study are "
        "missing; give --retrain"
    )
    assert {path: path.read_bytes() for path in old.home.glob("runs/*/result.json")} == stored

    mixed, notes = old.run("--mix-code")
    assert mixed["trained"] == 4
    assert (mixed["mixed_code"], mixed["different_code"]) == (True, [PART])
    assert "claims compare them, as --mix-code asked" in notes
    assert "claims compare them, as --mix-code asked" in old.cautions().replace("Claims", "claims")
    assert all(verdict["p"] is not None for verdict in mixed["verdicts"])
    assert old.run()[0]["verdicts"] == mixed["verdicts"], (
        "what was asked for once holds until the runs are trained anew"
    )

    old.command("study", "pack", "small", "--out", str(tmp_path / "archives"))
    elsewhere = str(tmp_path / "elsewhere")
    old.lab("study", "unpack", *(tmp_path / "archives").iterdir(), "--home", elsewhere)
    judged = json.loads(old.lab("claims", "small", "--home", elsewhere, "--json").stdout)
    assert judged["small"]["verdicts"] == mixed["verdicts"]

    assert old.run("--retrain")[0]["mixed_code"] is False


@pytest.mark.parametrize("first_seed", [0, 100])
def test_without_trials_missing_runs_of_the_first_cell_are_not_trained_beside_old_ones_of_others(
    first_seed: int, old: OldStudy
) -> None:
    seeds = ("seeds = 5\n", f"seeds = 5\nfirst_seed = {first_seed}\n")
    old.path = write_small_study(old.path.parent, ("trials = 2", "trials = 0"), seeds)
    old.run_before()
    for run in ledger(old).cells[0].runs:
        (old.home / "runs" / run.identity / RESULT).unlink()
    done = old.command("study", "run", str(old.path), "--executor", "here")
    assert done.returncode == 2
    assert "runs of this study are missing; give --retrain" in done.stderr


def test_a_claim_about_runs_of_different_code_is_not_tested_and_others_are(old: OldStudy) -> None:
    complete = {verdict["claim"]: verdict for verdict in old.run()[0]["verdicts"]}
    for identity in (run.identity for cell in ledger(old).cells if cell.label == "width=8 n=1" for run in cell.runs):
        for name in (ENVIRONMENT, RESULT):
            (old.home / "runs" / identity / name).unlink()
    old.run_before(PART, lambda spec: spec.model.width == 8 and getattr(spec.objective, "n", 1) == 1, "--mix-code")
    folder = StudyFolder(old.home, "small", "cpu")
    folder.write_ledger(folder.read_ledger().model_copy(update={"mixed_code": False}))
    judged = old.verdicts()
    assert judged["helps"]["p"] is None
    assert judged["helps"]["reason"] == f"its runs were made by different code and are not compared ({PART})"
    assert judged["same"]["difference"] == complete["same"]["difference"]
    assert judged["same"]["p"] == complete["same"]["p"]
    shown = {
        judgement.claim.name: judgement.reason for judgement in read_judged(old.home, stored_study(old)).judgements
    }
    assert shown["helps"] == judged["helps"]["reason"]
    assert "a claim about both is not tested unless --mix-code is given" in old.answer("study", "status")[1]


def stored_study(old: OldStudy) -> Study:
    return find_study(old.home, "small", "cpu")


def ledger(old: OldStudy) -> LedgerRecord:
    return ledger_of(old.home, stored_study(old))


def test_runs_that_do_not_use_the_changed_part_are_trained(old: OldStudy) -> None:
    two = "lab.objectives.of_two"
    old.run_before(two, lambda spec: getattr(spec.objective, "n", 1) == 2)
    for cell in ledger(old).cells:
        if cell.label.endswith("n=1"):
            (old.home / "runs" / cell.runs[-1].identity / RESULT).unlink()
    after, _ = old.run()
    assert after["trained"] == 2
    assert after["old_runs"] == {"width=8 n=2": 7, "width=16 n=2": 7}
    assert after["different_code"] == []
    assert all(verdict["p"] is not None for verdict in after["verdicts"])


def test_runs_from_before_code_was_stored_are_judged_as_before_and_named_in_one_place(old: OldStudy) -> None:
    before, _ = old.run()
    for path in old.home.glob(f"runs/*/{ENVIRONMENT}"):
        path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != CODE}))
    folder = StudyFolder(old.home, "small", "cpu")
    cells = [cell.model_dump(by_alias=True) for cell in folder.read_cells()]
    text = json.dumps(
        {"cells": [{**cell, "entries": [without_code(run) for run in cell["entries"]]} for cell in cells]}
    )
    (folder.path / "ledger.json").write_text(text)
    assert list(old.verdicts().values()) == before["verdicts"]
    old.forget(1)
    after, notes = old.run()
    assert after["trained"] == 4
    assert "code other than" not in notes
    assert after["verdicts"] == before["verdicts"]
    assert "code" not in old.cautions()
    (environment,) = Environment.instances(read_judged(old.home, stored_study(old)))
    assert [row[1:] for row in environment.table().rows if row[0] == word("code")] == [
        [word("unknown"), number(24, "d")]
    ]
    assert old.run("--retrain")[0]["trained"] == 24


def without_code(run: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key != "code"}


def test_a_retraining_that_was_stopped_is_continued_and_mixes_nothing_meanwhile(
    old: OldStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.run_before()
    count = 0

    def stopped(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count > 3:
            raise Killed
        return stub_attempt(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("studies.running.executors.here.attempt", stopped)
        with pytest.raises(Killed):
            old.command("study", "run", str(old.path), "--executor", "here", "--retrain")
    refused = old.command("study", "run", str(old.path), "--executor", "here")
    assert refused.returncode == 2
    assert "give --retrain to train the old ones again" in refused.stderr
    after, _ = old.run("--retrain")
    assert after["trained"] == 28 - 3
    assert after["old_runs"] == {}


def test_a_run_that_was_trained_again_outside_its_study_is_named(old: OldStudy) -> None:
    old.run_before()
    path = next(old.home.glob(f"runs/*/{ENVIRONMENT}"))
    environment = json.loads(path.read_text())
    environment[CODE][PART] = "1/1"
    path.write_text(json.dumps(environment))
    sentence = "1 run was trained again after lab study run"
    assert sentence in old.answer("claims")[1]
    assert sentence in old.cautions()


def test_one_of_two_options_is_refused(old: OldStudy) -> None:
    refused = old.command("study", "run", str(old.path), "--retrain", "--mix-code")
    assert refused.returncode == 2
    assert refused.stderr == "lab: --mix-code: keeps the runs that --retrain trains again; give one of the two\n"


def test_the_comparison_of_two_studies_made_by_different_code_says_so(old: OldStudy, tmp_path: Path) -> None:
    old.run_before()
    first = old.home
    old.home = tmp_path / "second"
    old.run()
    arguments = ["compare", "small", "small", "--home", first, "--second-home", old.home]
    value = json.loads(old.lab(*arguments, "--json").stdout)
    assert value["differing_code"] == [PART]
    assert f"Their runs were made by different code ({PART})." in old.lab(*arguments).stdout
    page = Path(value["comparison"]).read_text()
    assert f"Their runs were made by different code ({PART})." in page
    assert f"code of {PART}" in page
