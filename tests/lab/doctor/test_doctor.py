"""`lab doctor` compares tiny runs with known losses and lists the parts of other packages, broken ones with the reason."""

import json
from pathlib import Path

import pytest

from lab.doctor import figures
from lab.doctor.figures import compare_figures
from lab.doctor.machine import examine
from lab.doctor.parts import TABLES, check_parts
from lab.model.layers import Block
from tests.conftest import Lab
from tests.fake_package import Install

ANALYSIS = '''"""An analysis from elsewhere."""
from lab import Analysis

class Mine(Analysis):
    name = "mine"
    summary = "counts"
    measures = {}
    def analyse(self, run): ...
'''
EXHIBIT = '''"""An exhibit from elsewhere."""
from reports import StudyExhibit

class Mine(StudyExhibit):
    section = "cost"
    def table(self): ...
'''


def test_doctor_finds_nothing_wrong_here(tmp_path: Path, lab: Lab) -> None:
    done = lab("doctor", "--json", "--home", tmp_path)
    assert done.returncode == 0
    value = json.loads(done.stdout)
    assert value["training"]["ok"]
    assert value["reference losses"] == {
        "ok": True,
        "finding": "4 losses of tiny runs agree with the reference values to within 0.01%",
    }


def test_a_loss_that_is_off_is_named_with_both_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lab: Lab
) -> None:
    monkeypatch.setitem(figures.EXPECTED[0][1], "loss_2", 4.5309)
    done = lab("doctor", "--home", tmp_path)
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if "reference losses" in line)
    assert line.startswith("WRONG")
    assert line.endswith("loss_2 of multi_token after 12 steps is 4.531879 instead of 4.530900")
    assert "the lines marked WRONG say why" in done.stderr


@pytest.mark.parametrize(
    ("setting", "value"), [("weight_decay", 0.0), ("clip_norm", 1e9), ("beta1", 0.91), ("beta2", 0.999)]
)
def test_the_figures_are_off_where_a_setting_of_training_is_ignored(
    setting: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(figures.TINY_RUN, "training", {**figures.TINY_RUN["training"], setting: value})
    with pytest.raises(AssertionError, match="loss_1 of multi_token after 12 steps is"):
        compare_figures()


def test_the_figures_are_off_where_norms_compute_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Block, "forward", lambda self, x_BxTxD, *rest: x_BxTxD)
    with pytest.raises(AssertionError, match="loss_1 of registers after 12 steps is"):
        compare_figures()


def test_parts_are_listed_by_group_and_name_with_package_and_version(install: Install) -> None:
    install("other", "[mtp_lab.analyses]\nmine = other:Mine\n", ANALYSIS)
    install("third", "[mtp_lab.exhibits]\nmine = third:Mine\n", EXHIBIT)
    parts = {check.name: (check.mark, check.finding) for check in check_parts()}
    assert parts == {"mtp_lab.analyses mine": ("ok", "other 1.2"), "mtp_lab.exhibits mine": ("ok", "third 1.2")}


@pytest.mark.parametrize(
    ("point", "code", "reason"),
    [
        ("[mtp_lab.analyses]\nmine = broken:Mine", "import absent", "ModuleNotFoundError: No module named 'absent'"),
        ("[mtp_lab.claims]\nmine = broken:Mine", "raise SystemExit('no')", "cannot be imported (SystemExit: no)"),
        ("[mtp_lab.tasks]\nmine = broken:Mine", "Mine = 3", "is not a subclass of generators.task.Task"),
        ("[mtp_lab.executors]\nmine = broken:Absent", "Mine = 3", "AttributeError: module 'broken' has no attribute"),
        ("[mtp_lab.objectives]\ntoken_order = broken:Mine", "Mine = 3", "provided by mtp-lab and by broken"),
        ("[mtp_lab.exhibits]\nscore = broken:Mine", "Mine = 3", "provided by mtp-lab and by broken"),
        ("[mtp_lab.executors]\nlocal = broken:Mine", "Mine = 3", "provided by mtp-lab and by broken"),
        ("[mtp_lab.task]\nmine = broken:Mine", "Mine = 3", "no such group; the nearest is mtp_lab.tasks"),
    ],
)
def test_a_part_that_cannot_be_used_is_listed_with_the_reason(
    point: str, code: str, reason: str, install: Install, tmp_path: Path, lab: Lab
) -> None:
    install("broken", f"{point}\n", code)
    done = lab("doctor", "--home", tmp_path / "home")
    assert done.returncode == 0, "the rest of the lab works"
    (line,) = (line for line in done.stdout.splitlines() if "mtp_lab." in line.split()[1])
    assert line.startswith("broken  mtp_lab.")
    assert "broken 1.2: " in line
    assert reason in line


def test_every_group_of_the_lab_is_known_to_doctor() -> None:
    from generators.table import TASKS
    from lab.analysis.table import ANALYSES
    from lab.model.table import MODELS
    from lab.objectives.table import OBJECTIVES
    from reports.exhibits.table import EXHIBITS
    from studies.declared.claims.table import CLAIMS
    from studies.running.executors.table import EXECUTORS

    tables = (EXHIBITS, CLAIMS, EXECUTORS, TASKS, MODELS, OBJECTIVES, ANALYSES)
    assert {table.group for table in tables} == TABLES.keys()


def test_the_machine_lists_every_check_once(tmp_path: Path) -> None:
    names = [check.name for check in examine(tmp_path)]
    assert len(names) == len(set(names))
