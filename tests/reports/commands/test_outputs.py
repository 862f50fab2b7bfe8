"""An output that a command cannot write is refused in one sentence, before the command reads or computes anything."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import typer

from lab.__main__ import COMMANDS, load_command
from tests.conftest import Lab

# Commands that write where an option or an argument says; the studies and runs that they name do not exist.
FILES = {
    "lab report out": (["report", "absent", "--out"], ".html", "should end in .html, or be a folder"),
    "lab compare out": (["compare", "absent", "missing", "--out"], ".html", "should end in .html"),
    "lab results out": (["results", "absent", "--out"], ".csv", "should end in .csv or .parquet"),
    "lab analyse figure": (["analyse", "absent", "step", "--figure"], ".svg", "should end in .svg"),
    "lab figure out": (["figure", "absent", "score", "--out"], ".pdf", "should end in .pdf or .svg or .png"),
    "lab table out": (["table", "absent", "--format", "csv", "--out"], ".csv", "should end in .csv"),
}
FOLDERS = {
    "lab report out": ["report", "paper", "--out"],
    "lab study pack out": ["study", "pack", "absent", "--out"],
    "lab tensorboard out": ["tensorboard", "absent", "--out"],
    "lab export folder": ["export", "absent"],
    "lab new to": ["new", "study", "mine", "--to"],
}
READ = {"lab train spec_file", "lab study unpack files", "lab compare second_home"}


@pytest.fixture(autouse=True)
def _nothing_but_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs a test in a folder that holds one file, and checks that nothing is created."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    yield
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def refusal(lab: Lab, arguments: list[str], path: str) -> str:
    """Returns the one sentence of a refused command without the path of the output."""
    done = lab(*arguments, path)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert path in line
    return line.partition(path)[2]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("path", ["x.txt", "x.jpg", "x.htm", "x.html.gz"])
def test_another_ending_is_refused_and_the_endings_offered_are_named(lab: Lab, name: str, path: str) -> None:
    arguments, _, endings = FILES[name]
    assert refusal(lab, arguments, path) == f": {endings}"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("file/", "the folder cannot be created (Not a directory)"),
        ("file/below/", "the folder cannot be created (Not a directory)"),
        ("x" * 300, "cannot be written (File name too long)"),
        ("closed/", "cannot be written to; give another path"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, name: str, folder: str, reason: str
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: folder != "closed/")
    arguments, ending, _ = FILES[name]
    assert reason in refusal(lab, arguments, f"{folder}x{ending}")


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("x.html", "should be a folder, which gets several files; give a name that does not end in .html"),
        ("x.tar.xz", "give a name that does not end in .xz"),
        ("file/below", "the folder cannot be created (Not a directory)"),
        ("x" * 300, "cannot be made a folder (File name too long)"),
        ("closed", "cannot be written to; give another path"),
    ],
)
def test_a_folder_that_cannot_be_filled_is_refused(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, name: str, path: str, reason: str
) -> None:
    monkeypatch.setattr("os.access", lambda place, mode: path != "closed")
    assert reason in refusal(lab, FOLDERS[name], path)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_in_place_of_a_folder_is_refused(lab: Lab, name: str) -> None:
    done = lab(*FOLDERS[name], "file")
    assert done.returncode == 2
    assert "is a file" in done.stderr


@pytest.mark.parametrize("name", ["lab tensorboard out", "lab export folder"])
def test_a_folder_with_content_is_refused_where_an_empty_one_is_needed(lab: Lab, name: str) -> None:
    assert "is not empty; give a folder that is empty" in refusal(lab, FOLDERS[name], ".")


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_a_format_whose_package_is_missing_is_refused(lab: Lab) -> None:
    assert "Parquet needs pyarrow" in refusal(lab, FILES["lab results out"][0], "x.parquet")


def paths_of(app: typer.Typer, name: str) -> Iterator[str]:
    """Yields the parameters of an app's commands that are paths, each after the name of its command."""
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from paths_of(group.typer_instance, f"{name} {group.name}")
    for command in app.registered_commands:
        assert command.callback is not None
        for parameter, hint in get_type_hints(command.callback).items():
            if Path in (hint, *get_args(hint)):
                yield f"{name} {command.name} {parameter}"


def test_every_path_of_every_command_is_read_or_tested_here() -> None:
    apps = [load_command(name, target) for name, (target, _) in COMMANDS.items()]
    paths = {path for app in apps for path in paths_of(app, "lab") if not path.endswith(" home")}
    assert paths == READ | FILES.keys() | FOLDERS.keys()
