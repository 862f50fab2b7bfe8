"""A file in the current folder never stands in for a module of the lab or of Python, in a command or in its workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.outside_package import ROOT
from tests.small_study import write_small_study

MINE = 'raise RuntimeError("a file of the current folder")\n'


def run(folder: Path, *command: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Runs Python in a folder, with the lab on PYTHONPATH after another folder if one is given."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (path, str(ROOT))))
    command = (sys.executable, *command)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["reports.py", "studies/__init__.py", "generators.py"])
def test_python_m_lab_names_the_file_that_hides_a_package(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(MINE)
    done = run(tmp_path, "-m", "lab", "--help")
    room = Path(name).parts[0].removesuffix(".py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"lab: {path}: is found instead of the lab's package {room}; rename it, go to another folder, or call lab "
        "instead of python -m lab, which looks in this folder first\n"
    )


def test_the_command_lab_is_not_touched_by_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "reports.py").write_text(MINE)
    script = tmp_path / "bin" / "lab"
    script.parent.mkdir()
    script.write_text("from lab.__main__ import main\nmain()\n")
    assert run(tmp_path, str(script), "--help").returncode == 0
    done = run(tmp_path, str(script), "--help", path=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.endswith("rename it, or take its folder off PYTHONPATH\n")


def test_another_program_gets_the_sentence_as_an_error(tmp_path: Path) -> None:
    (tmp_path / "studies.py").write_text(MINE)
    done = run(tmp_path, "-c", "import lab")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "rename it, or go to another folder, since Python looks in this one first"
    )


def test_python_m_lab_imports_neither_modules_of_python_nor_of_packages_from_the_current_folder(tmp_path: Path) -> None:
    for name in ("typer.py", "rich.py", "statistics.py"):
        (tmp_path / name).write_text(MINE)
    done = run(tmp_path, "-m", "lab", "--help")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_workers_import_nothing_from_the_current_folder(tmp_path: Path) -> None:
    for name in ("socket.py", "signal.py", "random.py", "torch.py"):
        (tmp_path / name).write_text(MINE)
    one_width = ("[8, 16]", "[8]"), ('{ "model.width" = 16 }', '{ "model.width" = "first" }')
    study = write_small_study(tmp_path, *one_width)
    script = tmp_path / "bin" / "lab"
    script.parent.mkdir()
    script.write_text("from lab.__main__ import main\n\nif __name__ == '__main__':\n    main()\n")
    done = run(tmp_path, str(script), "study", "run", f"./{study.name}", "--scale", "smoke", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "6 runs trained" in done.stderr
