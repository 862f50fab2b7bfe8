"""The files a study keeps beside its runs: round trips, old forms, damage, shards, and what reading them imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.ledger.archive import unpack
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord, RunCounts, RunRecord, StudyRecord

ROOT = Path(__file__).parents[3]
OLD_RUN = {"phase": "tune", "seed": 2**30, "settings": {"rate": 0.5}, "run": "a" * 16, "score": 0.25, "failure": None}
"""A run as it was written before claims had their own measures."""
OLD_CELL = {"cell": "n=1", "levels": {"objective.n": 1, "task.shuffle": True}, "winner": None, "entries": [OLD_RUN]}


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    folder = StudyFolder(tmp_path, "small", "cpu")
    folder.path.mkdir(parents=True)
    return folder


def run(phase: str, seed: int, score: float | None = None, failure: str | None = None) -> RunRecord:
    tree = {"phase": phase, "seed": seed, "settings": {}, "run": f"{seed:016x}", "score": score, "failure": failure}
    return RunRecord.model_validate(tree | {"measures": {"seconds": 2 * seed} if score is not None else {}})


def test_a_run_without_measures_is_read_and_levels_keep_their_types(folder: StudyFolder) -> None:
    (folder.path / "ledger.json").write_text(json.dumps({"cells": [OLD_CELL]}))
    (cell,) = folder.read_cells()
    assert (cell.label, cell.runs[0].identity, cell.runs[0].measures) == ("n=1", "a" * 16, {})
    assert [type(level) for level in cell.levels.values()] == [int, bool]


def test_only_scored_confirming_runs_count() -> None:
    runs = [run("tune", 9, 0.9), run("confirm", 0, 0.1), run("confirm", 1, failure="diverged"), run("confirm", 2)]
    cell = CellRecord(label="n=1", levels={}, runs=runs)
    assert cell.confirmed() == {0: 0.1}
    assert cell.confirmed("seconds") == {0: 0}
    assert cell.confirmed("accuracy") == {}
    assert cell.counts() == RunCounts(tune=1, confirm=1, failed=1, ended=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON; delete it and run the study again"),
        ('{"cells": 3}', "its ledger is damaged; run the study again, which rewrites it"),
        ('{"cells": [{"cell": "n=1"}]}', "its ledger is damaged"),
        (json.dumps({"cells": [OLD_CELL | {"entries": [OLD_RUN | {"score": "0.25"}]}]}), "its ledger is damaged"),
    ],
)
def test_a_ledger_that_does_not_have_its_form_is_named(folder: StudyFolder, content: str, message: str) -> None:
    (folder.path / "ledger.json").write_text(content)
    with pytest.raises(UserError, match=message):
        folder.read_cells()


@pytest.mark.parametrize("name", ["verdicts", "looks", "search"])
def test_any_other_file_that_does_not_have_its_form_is_named(folder: StudyFolder, name: str) -> None:
    path = folder.path / f"{name}.json"
    assert not getattr(folder, f"read_{name}")(), "nothing is stored yet"
    path.write_text('{"study": 3}')
    with pytest.raises(UserError, match=rf"{path}: is damaged; delete it and run the study again"):
        getattr(folder, f"read_{name}")()


def test_a_study_of_another_version_is_said_to_be_one(folder: StudyFolder) -> None:
    (folder.path / "study.json").write_text('{"name": "small"}')
    with pytest.raises(UserError, match=r"stored by another version of the lab, or with a package .*; run it again"):
        folder.read_study()


def test_a_shard_that_wrote_later_than_the_whole_study_counts(folder: StudyFolder) -> None:
    whole = [CellRecord(label=label, levels={}, runs=[run("confirm", 0, 0.1)]) for label in ("n=1", "n=2")]
    folder.write_cells(whole)
    shard = folder.shard(2, 2)
    shard.path.mkdir(parents=True)
    shard.write_cells([CellRecord(label="n=2", levels={}, runs=[run("confirm", 0, 0.9)])])
    assert [cell.confirmed() for cell in folder.read_cells()] == [{0: 0.1}, {0: 0.9}]
    folder.delete_shards()
    assert folder.read_cells() == whole


def test_the_scale_that_ran_last_is_found_also_where_only_a_shard_ran(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study 'small' never ran at scale cpu under .* lab study run my/small.toml"):
        StudyFolder.latest(tmp_path, "small", "cpu", "my/small.toml")
    for seconds, (scale, shard) in enumerate((("smoke", ""), ("cpu", "1-of-2"))):
        part = StudyFolder(tmp_path, "small", scale, shard)
        part.path.mkdir(parents=True)
        record = StudyRecord(
            name="small", scale=scale, source="", assignments=[], base={}, factors={}, seeds=5, trials=2, runs=28,
            declaration={"tuning": {"seeds": 3}},
        )  # fmt: skip
        part.write_study(record)
        os.utime(part.path / "study.json", (seconds, seconds))
    assert StudyFolder.latest(tmp_path, "small", None).scale == "cpu"
    assert StudyFolder.latest(tmp_path, "small", "cpu").read_study().tuning_runs == 6
    assert [stored.scale for stored in StudyFolder.all_stored(tmp_path)] == ["cpu", "smoke"]


def test_infinite_numbers_are_not_stored(folder: StudyFolder) -> None:
    with pytest.raises(ValueError, match="finite number"):
        run("tune", 0, float("inf"))


def test_asking_how_far_a_study_is_loads_no_torch(tmp_path: Path) -> None:
    unpack(ROOT / "reports" / "published" / "induction-quick-cpu.tar.xz", tmp_path)
    script = (
        "import sys; from studies.commands.status import status_command; from pathlib import Path\n"
        f"status_command('induction-quick', home=Path({str(tmp_path)!r}))\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "108 of 108 runs ended" in done.stdout
