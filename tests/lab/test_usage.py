"""A command line that does not fit its command gets one sentence and the exit code 2; the help is as before."""

from pathlib import Path

import pytest

from tests.conftest import Lab

CASES = {
    "table x --format latx": "--format latx: no such value; the nearest is latex (there are: latex, csv, md)",
    "table x --of arm": "--of arm: no such value; the nearest is arms (there are: claims, arms)",
    "decode RUN --draft x": "--draft x: should be a valid integer",
    "decode RUN --draft 0": "--draft 0: should be greater than or equal to 1",
    "model show": "lab model show: KIND is missing: a kind of model from `lab model list`",
    "new objective": "lab new: NAME is missing: its name; a part's is a Python name such as my_loss",
    "model show gru --jsn": "lab model show --jsn: no such option; the nearest is --json (there are: --json, --help)",
    "model shw gru": "lab model shw: no such command; the nearest is show (there are: list, show, check)",
    "new objective --to": "--to requires an argument",
    "new objective --json=3": "--json does not take a value",
    "model show gru gpt": "lab model show: unexpected argument gpt; it takes KIND",
    "model list gpt": "lab model list: unexpected argument gpt; it takes no arguments",
    "--hepl": "lab --hepl: no such option; the nearest is --help (there are: --help)",
}


@pytest.mark.parametrize("line", CASES)
def test_a_usage_error_is_one_sentence(lab: Lab, line: str) -> None:
    done = lab(*line.split())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"lab: {CASES[line]}\n")


def test_a_misspelt_command_gets_the_nearest(lab: Lab) -> None:
    assert lab("tabel").stderr.startswith("lab: lab tabel: no such command; the nearest is table (there are: study,")


def test_the_sentence_names_the_option_or_the_variable_that_gave_the_value(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    assert lab("table", "x", "--home", file).stderr == f"lab: --home {file}: is a file, not a folder\n"
    assert lab("table", "x", "--out", tmp_path).stderr == f"lab: --out {tmp_path}: is a folder, not a file\n"
    monkeypatch.setenv("LAB_HOME", str(file))
    assert lab("table", "x").stderr == f"lab: LAB_HOME {file}: is a file, not a folder\n"


@pytest.mark.parametrize("line", ["--help", "model --help", "model show --help"])
def test_help_is_no_error(lab: Lab, line: str) -> None:
    done = lab(*line.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: lab" in done.stdout


@pytest.mark.parametrize("line", ["", "model"])
def test_a_group_without_a_command_shows_its_help(lab: Lab, line: str) -> None:
    done = lab(*line.split())
    assert done.returncode == 2
    assert "Usage: lab" in done.stdout + done.stderr
    assert "lab: " not in done.stderr
