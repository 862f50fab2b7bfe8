"""A name in a home belongs to one file: no command on a file returns results of another file or another version of it."""

import json
import shutil
from pathlib import Path

import pytest

from studies.ledger.archive import pack
from studies.ledger.folder import StudyFolder
from tests.studies.workshop import Workshop

SEEDS = ("seeds = 2\ntrials = 1", "seeds = 3\ntrials = 1")
STEPS = ("\nsteps = 3\n", "\nsteps = 4\n")
RATE = ("learning_rate = 0.01", "learning_rate = 0.02")


READERS = {
    "claims": ("claims", "{file}"),
    "report": ("report", "{file}"),
    "results": ("results", "{file}", "--out", "runs.csv"),
    "status": ("study", "status", "{file}"),
    "pack": ("study", "pack", "{file}", "--out", "packed"),
    "compare": ("compare", "{file}", "other"),
    "compare second": ("compare", "other", "{file}@smoke"),
    "dashboard": ("dashboard", "{file}", "--port", "0"),
    "tensorboard": ("tensorboard", "{file}", "--out", "events"),
}


def test_a_file_is_never_answered_with_what_another_file_of_its_name_left(workshop: Workshop) -> None:
    for path in ("a/x.toml", "other.toml"):
        workshop.write(path)
        workshop.run(path)
    workshop.write("b/x.toml", STEPS)
    origin = "(base.training.steps); the stored study came from a/x.toml: rename the file or give another --home"
    for reader, words in READERS.items():
        sentence = workshop.refused(*(word.format(file="b/x.toml") for word in words))
        assert "b/x.toml: differs from what is stored in" in sentence, reader
        assert origin in sentence, reader
        assert "or give the name x to read what is stored" in sentence, reader


def test_an_edited_file_is_not_answered_with_its_earlier_version(workshop: Workshop) -> None:
    for path in ("x.toml", "other.toml"):
        workshop.write(path)
        workshop.run(path)
    workshop.write("x.toml", RATE, ("margin = 0.1", "margin = 0.2"))
    for reader, words in READERS.items():
        sentence = workshop.refused(*(word.format(file="x.toml") for word in words))
        reason = "(claims.same.margin, base.training.learning_rate); it was edited since it ran: run it again"
        assert reason in sentence, reader
        assert f"(lab study run x.toml --scale smoke --home {workshop.home})" in sentence, reader


def test_a_moved_or_copied_file_is_answered_while_its_content_is_what_is_stored(workshop: Workshop) -> None:
    workshop.write("a/x.toml")
    workshop.run("a/x.toml")
    (workshop.folder / "b").mkdir()
    text = (workshop.folder / "a/x.toml").read_text()
    (workshop.folder / "b/x.TOML").write_text(f"# moved, and commented\n{text}")
    shutil.rmtree(workshop.folder / "a")
    for reader in ("claims", "report", "results", "status", "pack"):
        workshop.answer(*(word.format(file="b/x.TOML") for word in READERS[reader]))


def test_a_file_that_does_not_exist_is_not_answered_at_all(workshop: Workshop) -> None:
    workshop.write("a/x.toml")
    workshop.run("a/x.toml")
    assert "b/x.toml: no such file" in workshop.refused("claims", "b/x.toml")


def test_a_renamed_file_is_another_study_that_trains_nothing_new(workshop: Workshop) -> None:
    workshop.write("x.toml")
    workshop.run("x.toml")
    (workshop.folder / "x.toml").rename(workshop.folder / "y.toml")
    assert "study 'y' never ran" in workshop.refused("claims", "y.toml")
    assert "0 runs trained" in workshop.run("y.toml")
    assert set(workshop.answer("claims")[0]) == {"x", "y"}


def test_running_another_file_of_the_same_name_is_refused_and_changes_nothing(workshop: Workshop) -> None:
    workshop.write("a/x.toml")
    workshop.run("a/x.toml")
    before = {path: path.read_bytes() for path in (workshop.home / "studies").rglob("*.json")}
    workshop.write("b/x.toml", SEEDS)
    for scale in ("smoke", "cpu"):
        sentence = workshop.refused("study", "run", "b/x.toml", "--scale", scale, "--executor", "here")
        assert "b/x.toml: the name 'x' belongs to a/x.toml under" in sentence
        assert "which differs (seeds); rename the file or give another --home" in sentence
    assert {path: path.read_bytes() for path in (workshop.home / "studies").rglob("*.json")} == before


def test_an_edited_file_goes_on_in_its_place_and_the_keys_are_named(workshop: Workshop) -> None:
    workshop.write("x.toml")
    assert "was edited" not in workshop.run("x.toml")
    workshop.write("x.toml", STEPS, SEEDS)
    done = workshop.lab(
        "study", "run", "x.toml", "--scale", "smoke", "--executor", "here", "--home", workshop.home, "--json"
    )
    assert "x.toml: was edited since it last ran (base.training.steps, seeds)" in done.stderr
    assert json.loads(done.stdout)["changed"] == ["base.training.steps", "seeds"]
    assert json.loads(done.stdout)["study"] == "x"
    assert "was edited" not in workshop.run("x.toml")
    assert workshop.answer("study", "status", "x.toml")[0]["runs"] == 4 * (1 + 3)


def test_a_moved_file_takes_its_place_with_it_and_may_then_be_edited(workshop: Workshop) -> None:
    workshop.write("a/x.toml")
    workshop.run("a/x.toml")
    (workshop.folder / "a").rename(workshop.folder / "b")
    assert "was edited" not in workshop.run("b/x.toml")
    workshop.write("b/x.toml", STEPS)
    assert "was edited since it last ran (base.training.steps)" in workshop.run("b/x.toml")
    workshop.write("a/x.toml")
    assert "belongs to b/x.toml" in workshop.refused("study", "run", "a/x.toml", "--scale", "smoke")


def test_a_home_that_moves_with_its_files_still_knows_them(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.write("project/x.toml")
    workshop.home = workshop.folder / "project" / "home"
    workshop.run("project/x.toml")
    (workshop.folder / "project").rename(workshop.folder / "renamed")
    monkeypatch.chdir(workshop.folder / "renamed")
    workshop.home = Path("home")
    workshop.write("renamed/x.toml", STEPS)
    assert "x.toml: was edited since it last ran" in workshop.run("x.toml")


def test_settings_given_with_the_command_count_as_an_edit_and_are_named_when_read(workshop: Workshop) -> None:
    workshop.write("x.toml")
    workshop.run("x.toml")
    assert "edited since it last ran (base.training.steps)" in workshop.run("x.toml", "--set", "training.steps=4")
    assert "x.toml: ran with --set training.steps=4" in workshop.answer("claims", "x.toml")[1]


def test_a_name_says_where_what_it_reads_came_from(workshop: Workshop) -> None:
    workshop.write("a/x.toml")
    workshop.run("a/x.toml")
    assert workshop.answer("claims", "x")[1] == ""
    workshop.write("x.toml", STEPS)
    note = workshop.answer("claims", "x")[1]
    assert (
        "x: means the stored study, which came from a/x.toml; for the file of that name in this folder, give x.toml"
        in note
    )


def test_a_catalog_study_and_a_file_of_its_name_are_told_apart(workshop: Workshop) -> None:
    workshop.write("induction-quick.toml")
    shown = workshop.lab("study", "show", "induction-quick", "--no-probe")
    assert (
        "induction-quick: means the catalog's study; for the file of that name in this folder, give induction-quick.toml"
        in shown.stderr
    )
    assert "induction-quick: means the catalog's study" in workshop.run("induction-quick")
    assert "from the catalog's induction-quick" in workshop.answer("claims", "induction-quick")[1]
    assert "came from the catalog's induction-quick" in workshop.refused("claims", "induction-quick.toml")
    assert "'induction-quick' belongs to the catalog's induction-quick" in workshop.refused(
        "study", "run", "induction-quick.toml", "--scale", "smoke"
    )
    workshop.home = workshop.folder / "second"
    workshop.run("induction-quick.toml")
    assert (
        "induction-quick: the stored study came from induction-quick.toml, not from the catalog"
        in workshop.answer("claims", "induction-quick")[1]
    )
    assert "'induction-quick' belongs to induction-quick.toml" in workshop.refused(
        "study", "run", "induction-quick", "--scale", "smoke"
    )


def test_the_name_of_a_file_in_the_folder_is_answered_with_its_path(workshop: Workshop) -> None:
    workshop.write("mine.toml")
    refused = workshop.lab("study", "show", "mine")
    assert refused.returncode == 2
    assert refused.stderr == "lab: study 'mine': not in the catalog; for the file in this folder, give mine.toml\n"


def test_a_collection_does_not_count_a_file_of_a_members_name(workshop: Workshop) -> None:
    workshop.write("induction-quick.toml")
    workshop.run("induction-quick.toml")
    assert "no study of paper ran" in workshop.lab("claims", "paper", "--home", workshop.home).stderr
    workshop.lab("study", "run", "heads", "--scale", "smoke", "--executor", "here", "--home", workshop.home)
    value, note = workshop.answer("claims", "paper")
    assert value["induction-quick"] == {
        "verdicts": [],
        "left_out": "came from induction-quick.toml, not from the catalog",
    }
    assert "induction-quick is left out: came from induction-quick.toml, not from the catalog" in note
    pages, _ = workshop.answer("report", "paper")
    assert pages["left_out"] == {"induction-quick": "came from induction-quick.toml, not from the catalog"}
    index = (workshop.home / "reports" / "index.html").read_text()
    assert "induction-quick is left out, with its claims: came from induction-quick.toml, not from the catalog" in index


def test_an_unpacked_study_is_only_continued_by_a_file_of_its_content(workshop: Workshop) -> None:
    workshop.write("x.toml")
    workshop.run("x.toml")
    name, content = pack(workshop.home, "x", "smoke")
    Path(name).write_bytes(content)
    workshop.home = workshop.folder / "elsewhere"
    workshop.answer("study", "unpack", name)
    text = Path("x.toml").read_text()
    workshop.write("x.toml", STEPS)
    sentence = workshop.refused("study", "run", "x.toml", "--scale", "smoke")
    assert "belongs to an archive, or an earlier version of the lab under" in sentence
    Path("x.toml").write_text(text)
    assert "0 runs trained" in workshop.run("x.toml")
    workshop.write("x.toml", STEPS)
    assert "was edited since it last ran (base.training.steps)" in workshop.run("x.toml")


@pytest.mark.parametrize("name", ["lr0.01", "two words", "größe[1]*?", "x.conf"])
def test_every_command_takes_every_valid_name(workshop: Workshop, name: str) -> None:
    workshop.write(f"{name}.toml")
    workshop.run(f"./{name}.toml")
    for arguments in ((name,), (f"./{name}.toml",), ()):
        for command in (("claims",), ("results", "--out", "runs.csv"), ("report",)):
            done = workshop.lab(*command, "--home", workshop.home, "--json", *arguments)
            assert done.returncode == 0, done.stderr
            assert name in done.stdout or name in json.loads(done.stdout).get("studies", [name])
        if arguments:
            status = workshop.lab("study", "status", "--home", workshop.home, "--json", *arguments)
            assert json.loads(status.stdout)["study"] == name
            packed = workshop.lab("study", "pack", "--out", "packed", "--home", workshop.home, *arguments)
            assert packed.returncode == 0, packed.stderr
    other = workshop.folder / "other"
    unpacked = workshop.lab("study", "unpack", f"./packed/{name}-smoke.tar.xz", "--home", other, "--json")
    assert json.loads(unpacked.stdout)[0]["study"] == name
    assert [folder.name for folder in StudyFolder.all_stored(other, name)] == [name]


def test_a_name_and_a_scale_are_never_read_as_patterns(workshop: Workshop) -> None:
    workshop.write("x.toml")
    workshop.run("x.toml")
    for arguments in (("*",), ("[x]",), ("?",), (".",), ("..",), ("x", "--scale", "*"), ("x", "--scale", "../x/smoke")):
        assert "never ran" in workshop.refused("claims", *arguments)


def test_a_renamed_folder_is_not_read_as_another_study(workshop: Workshop) -> None:
    for path in ("x.toml", "y.toml"):
        workshop.write(path)
        workshop.run(path)
    shutil.rmtree(workshop.home / "studies" / "y")
    shutil.copytree(workshop.home / "studies" / "x", workshop.home / "studies" / "y")
    assert "is study 'x' at scale smoke, but its folder has another name" in workshop.refused("claims", "y")
