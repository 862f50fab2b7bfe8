"""A command writes to streams that lack its letters or are closed, and says in one sentence where it cannot run."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from generators.foundation.streams import prepare_streams
from lab.__main__ import COMMANDS, main
from tests.lab.spec_text import SPEC

ROOT = Path(__file__).parents[1]


SLOW_CLOSED = [("<&- 2>&-", True), ("2>&-", True), ("<&- >&- 2>&-", False)]
"""Streams that other rows close together, or apart."""


def run_in_shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of shell in which $LAB is the command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LAB": f"{sys.executable} -m lab", **variables}
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment, cwd=folder)


@pytest.mark.parametrize(
    ("encoding", "sign"), [("ascii", r"\u2218"), ("latin-1", r"\u2218"), ("ascii:replace", "?"), ("utf-8", "∘")]
)
def test_a_letter_that_standard_output_lacks_is_written_in_ascii(encoding: str, sign: str, tmp_path: Path) -> None:
    done = run_in_shell("$LAB data show polynomial --count 20", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert f" {sign} " in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_letter_can_be_printed_whatever_the_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    buffers = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, buffer in buffers.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(buffer, encoding=encoding))
    prepare_streams()
    text = "∘ → Ġ ⁴ × … \udcff 🙂 é"
    for name, buffer in buffers.items():
        stream = getattr(sys, name)
        stream.write(text)
        stream.flush()
        content = buffer.getvalue().decode(encoding)
        assert content.count(" ") == text.count(" ")
        assert r"\udcff" in content, "a byte of a file name that is not UTF-8"


def test_the_help_of_every_command_fits_an_ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in COMMANDS:
        buffer = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
        monkeypatch.setattr(sys, "argv", ["lab", name, "--help"])
        with pytest.raises(SystemExit) as end:
            main()
        sys.stdout.flush()
        assert end.value.code == 0
        assert f"lab {name}" in buffer.getvalue().decode("ascii")


@pytest.mark.parametrize(
    ("closed", "shows_scores"),
    [(">&-", False), *(pytest.param(*row, marks=pytest.mark.slow) for row in SLOW_CLOSED)],
)
def test_training_ends_as_usual_where_streams_are_closed(closed: str, shows_scores: bool, tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(SPEC)
    done = run_in_shell(f"$LAB train spec.toml --home home {closed}", tmp_path)
    assert done.returncode == 0
    assert ("accuracy" in done.stdout) == shows_scores
    (result,) = tmp_path.glob("home/runs/*/result.json")
    assert '"status": "complete"' in result.read_text()


def test_an_error_keeps_its_exit_code_where_standard_error_is_closed(tmp_path: Path) -> None:
    assert run_in_shell("$LAB data show absent 2>&-", tmp_path).returncode == 2


def test_without_posix_locks_training_is_refused_in_one_sentence_and_data_can_be_shown(tmp_path: Path) -> None:
    program = "import sys; sys.modules['fcntl'] = None; sys.argv = ['lab', *sys.argv[1:]]; import lab.__main__ as door; door.main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    done = run("train", "spec.toml")
    assert done.returncode == 2
    assert done.stderr.startswith("lab: the lab trains on Linux and macOS")
    assert done.stderr.count("\n") == 1
    assert run("data", "show", "star").returncode == 0


@pytest.mark.slow
def test_a_study_that_compiles_ends_without_warnings(tmp_path: Path) -> None:
    line = "$LAB study run star-quick --scale smoke --set training.compile=true --workers 1"
    done = run_in_shell(line, tmp_path, LAB_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert "trained" in done.stderr + done.stdout
    assert "Warning" not in done.stderr, "a lock of the compiler's bars stayed when the worker was killed"
