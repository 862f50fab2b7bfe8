"""A study that is running again, or was stopped: its earlier verdicts stay, and no reader takes them for those of now."""

import json
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run import files
from reports.dashboards.studies import StudySource
from studies.declared.loading import declare
from studies.judging.from_ledger import judge_stored
from studies.ledger.archive import pack
from studies.ledger.declared_study import cells_of, find_study
from studies.ledger.folder import StudyFolder
from studies.running.executors.here import InProcess
from studies.running.run_study import run_study
from studies.running.shard import Shard
from tests.studies.ledger.test_places import SEEDS, STEPS
from tests.studies.workshop import Workshop


class Killed(BaseException):
    """Stands for the death of the process, after which nothing may be written."""


class Killer:
    """Ends the process at one of its writes to the files of a study, as SIGKILL does: none of the later ones happen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes, self.last = 0, -1
        self.write = files.write_atomically
        monkeypatch.setattr(files, "write_atomically", self)

    def __call__(self, path: Path, content: bytes) -> None:
        if self.writes == self.last:
            raise Killed
        self.writes += 1
        self.write(path, content)

    def kill_after(self, writes: int) -> None:
        self.writes, self.last = 0, writes

    def spare(self) -> None:
        self.writes, self.last = 0, -1


def standing_of(workshop: Workshop) -> str:
    return StudyFolder(workshop.home, "x", "smoke").standing


def test_a_study_killed_at_any_write_never_mixes_its_versions(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = Killer(monkeypatch)
    answers = []
    for replacements in ((), (STEPS, SEEDS)):
        workshop.write("x.toml", *replacements)
        workshop.run("x.toml")
        answers.append({cell.label: cell.confirmed() for cell in StudyFolder(workshop.home, "x", "smoke").read_cells()})
    old, new = answers
    kills = 0
    while True:
        workshop.write("x.toml")
        killer.spare()
        workshop.run("x.toml")
        verdicts = (workshop.home / "studies/x/smoke/verdicts.json").read_bytes()
        workshop.write("x.toml", STEPS, SEEDS)
        killer.kill_after(kills)
        study = declare("x.toml", "smoke", [])
        try:
            run_study(study, InProcess(workshop.home), workshop.home)
        except Killed:
            kills += 1
        else:
            break
        stored = find_study(workshop.home, "x", "smoke")
        expected = old if stored.seeds == 2 else new
        for cell in cells_of(workshop.home, stored):
            assert cell.confirmed().items() <= expected[cell.label].items(), f"killed at write {kills}"
        folder = StudyFolder(workshop.home, "x", "smoke")
        kept = (folder.path / "verdicts.json").read_bytes()
        assert kept == verdicts or stored.seeds == 3
        assert not folder.has_verdicts or stored.seeds == 2
    assert kills >= 6
    assert killer.writes == kills


def test_verdicts_stay_while_a_study_runs_again_and_every_reader_is_told(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = Killer(monkeypatch)
    workshop.write("x.toml")
    workshop.run("x.toml")
    verdicts = workshop.home / "studies/x/smoke/verdicts.json"
    before = verdicts.read_bytes()
    assert standing_of(workshop) == ""
    workshop.write("x.toml", SEEDS)
    killer.kill_after(4)
    with pytest.raises(Killed):
        run_study(declare("x.toml", "smoke", []), InProcess(workshop.home), workshop.home)
    killer.spare()
    assert verdicts.read_bytes() == before
    earlier = "unfinished: it is running, or was stopped before its verdicts; the verdicts in verdicts.json are of an"
    assert standing_of(workshop).startswith(earlier)
    for command in (("claims", "x"), ("study", "status", "x")):
        done = workshop.lab(*command, "--home", workshop.home)
        assert earlier in done.stdout
        value = json.loads(workshop.lab(*command, "--home", workshop.home, "--json").stdout)
        assert value.get("x", value)["finished"] is False
    with pytest.raises(UserError, match=r"has no verdicts yet; finish it first: lab study run x.toml --scale smoke"):
        pack(workshop.home, "x", None)
    text = StudySource(workshop.home, "x", "smoke").read()[0].note
    assert "An earlier run of this study came to these verdicts:" in text
    assert "Verdicts follow when the study ends." in text
    workshop.run("x.toml")
    assert standing_of(workshop) == ""
    assert verdicts.read_bytes() != before
    text = StudySource(workshop.home, "x", "smoke").read()[0].note
    assert "earlier run" not in text


def test_verdicts_from_before_states_were_stored_count(workshop: Workshop) -> None:
    workshop.write("x.toml")
    workshop.run("x.toml")
    state = workshop.home / "studies/x/smoke/state.json"
    state.unlink()
    assert standing_of(workshop) == ""
    state.write_text("{")
    assert standing_of(workshop).startswith("unfinished")
    workshop.run("x.toml")
    assert standing_of(workshop) == ""


def test_shards_of_two_versions_are_never_counted_together(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    home = workshop.home
    workshop.write("x.toml")
    old = declare("x.toml", "smoke", [])
    run_study(old, InProcess(home), home, Shard(1, 2))
    workshop.write("x.toml", STEPS)
    new = declare("x.toml", "smoke", [])
    run_study(new, InProcess(home), home, Shard(2, 2))
    assert "was edited since it last ran (base.training.steps)" in capsys.readouterr().err
    cells = cells_of(home, find_study(home, "x", None))
    assert [cell.label for cell in cells] == [cell.label for cell in Shard(2, 2).of(new.cells)]
    status = workshop.lab("study", "status", "x", "--home", home)
    assert "left out: shard 1-of-2, which ran another version of the study" in status.stdout
    assert "6 of 12 runs ended" in status.stdout
    with pytest.raises(UserError, match=r"x.toml: differs from what is stored in .* \(base.training.steps\)"):
        judge_stored(home, old)


def test_a_whole_study_killed_after_a_shard_of_it_does_not_take_up_the_ledger_of_before(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer, home = Killer(monkeypatch), workshop.home
    workshop.write("x.toml")
    workshop.run("x.toml")
    workshop.write("x.toml", STEPS)
    new = declare("x.toml", "smoke", [])
    run_study(new, InProcess(home), home, Shard(1, 2))
    for writes in range(4):
        killer.kill_after(writes)
        with pytest.raises(Killed):
            run_study(new, InProcess(home), home)
        killer.spare()
        for record in cells_of(home, new):
            cell = next(cell for cell in new.cells if cell.label == record.label)
            assert all(run.identity == new.spec(cell, run.settings, run.seed).identity for run in record.runs)


def test_a_shard_of_an_edited_study_is_not_counted_with_the_whole_one_of_before(workshop: Workshop) -> None:
    home = workshop.home
    workshop.write("x.toml")
    workshop.run("x.toml")
    workshop.write("x.toml", STEPS)
    new = declare("x.toml", "smoke", [])
    run_study(new, InProcess(home), home, Shard(1, 2))
    assert len(cells_of(home, new)) == 2
    assert StudyFolder(home, "x", "smoke").outdated_parts() == ["the whole study"]
    workshop.run("x.toml")
    assert len(cells_of(home, new)) == 4
    assert StudyFolder(home, "x", "smoke").outdated_parts() == []
