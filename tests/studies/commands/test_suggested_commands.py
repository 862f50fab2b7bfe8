"""A command that the lab suggests can be pasted into a shell as it is, and does what the suggestion is for."""

import re
import subprocess
from pathlib import Path

import pytest

from lab.commands.options import HOME_VARIABLE
from tests.conftest import Lab
from tests.studies.workshop import Workshop

HOME = "a home's $HOME; `ls` & ~"
FILE = 'my "study"\'s $0 *.toml'
SETTING = "objective.kind='multi_token'"
HERE = ("--executor", "here")


@pytest.fixture(autouse=True)
def _in_a_home_with_spaces(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    workshop.home = Path(HOME)
    workshop.write(FILE)


def suggestion(output: str) -> list[str]:
    """Returns the arguments that a shell passes to `lab` when the command at the end of an output is pasted into it."""
    command = re.findall(r": lab (.*)\n", output)[-1]
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    return words.stdout.splitlines()


def follow(workshop: Workshop, output: str) -> str:
    """Runs a suggestion, and returns what it printed."""
    words = suggestion(output)
    done = workshop.lab(*words, *(HERE if words[:2] == ["study", "run"] else ()))
    assert done.returncode == 0, done
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", ["report", "claims", "results"])
def test_following_the_advice_lets_the_command_succeed(workshop: Workshop, command: str) -> None:
    arguments = (command, FILE, "--scale", "smoke")
    follow(workshop, workshop.refused(*arguments))
    assert workshop.lab(*arguments, "--home", HOME).returncode == 0


def test_each_step_leads_to_the_next(workshop: Workshop) -> None:
    shown = workshop.lab("study", "show", FILE, "--scale", "smoke", "--no-probe", "--set", SETTING).stdout
    assert suggestion(shown) == ["study", "run", FILE, "--scale", "smoke", "--set", SETTING]
    shard = ("--scale", "smoke", "--set", SETTING, "--shard", "1/2", "--home", HOME, *HERE)
    report = follow(workshop, follow(workshop, workshop.lab("study", "run", FILE, *shard).stdout))
    assert f"page: {Path(HOME).absolute()}" in report


def test_the_advice_keeps_the_scale_and_the_home(workshop: Workshop) -> None:
    for arguments in (["report"], ["claims"], ["results"], ["report", "paper"]):
        advised = suggestion(workshop.refused(*arguments, "--scale", "smoke"))
        assert advised == ["study", "run", *(arguments[1:] or ["induction-quick"]), "--scale", "smoke", "--home", HOME]


def test_a_study_that_cannot_be_read_is_run_again_as_it_ran(workshop: Workshop) -> None:
    workshop.run(FILE, "--set", SETTING)
    record = next(workshop.home.glob("studies/*/smoke/study.json"))
    record.write_text(record.read_text().replace('"question"', '"query"'))
    advised = suggestion(workshop.refused("report"))
    assert advised == ["study", "run", FILE, "--scale", "smoke", "--set", SETTING, "--home", HOME]
    assert "0 runs trained" in follow(workshop, workshop.refused("report"))


def test_the_home_of_the_environment_needs_no_option(
    workshop: Workshop, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, HOME)
    assert suggestion(lab("claims", "--scale", "smoke").stderr) == [
        "study",
        "run",
        "induction-quick",
        "--scale",
        "smoke",
    ]
    (workshop.folder / "experiments").mkdir()
    advised = suggestion(lab("claims", "--home", "experiments").stderr)
    assert advised == ["study", "run", "induction-quick", "--home", "experiments"]


def test_an_unpacked_study_is_reported_from_its_home(workshop: Workshop) -> None:
    workshop.run(FILE)
    assert workshop.lab("study", "pack", FILE, "--out", "packed", "--home", HOME).returncode == 0
    (archive,) = Path("packed").iterdir()
    unpacked = workshop.lab("study", "unpack", archive, "--home", f"{HOME} 2")
    assert suggestion(unpacked.stdout) == ["report", "--home", f"{HOME} 2"]


def test_a_file_that_a_note_names_can_be_given_as_it_is_printed(workshop: Workshop) -> None:
    workshop.run(FILE)
    workshop.write("b/" + FILE)
    Path(FILE).unlink()
    Path("b", FILE).rename(FILE.replace(".toml", ".TOML"))
    note = workshop.answer("claims", FILE.removesuffix(".toml"))[1]
    file = note.rpartition("give ")[2].strip()
    printed = subprocess.run(["sh", "-c", f"ls {file}"], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == FILE.replace(".toml", ".TOML")
