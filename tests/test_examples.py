"""The notebooks in examples/ and the code of docs/python.md run, and their stored outputs are those of a user."""

import ast
import linecache
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

import lab
import studies
from generators.foundation import outside
from tests.notebooks import NOTEBOOKS, ROOT, code_of, executed, place_in

ARCHIVE = ROOT / "reports" / "published" / "controls" / "star-quick-cpu.tar.xz"
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs everything in a folder of its own, without windows, and forgets the registered classes afterwards."""
    monkeypatch.chdir(place_in(tmp_path))
    plt.switch_backend("agg")
    with matplotlib.rc_context():  # a notebook sets a theme
        yield
    plt.close("all")
    outside.REGISTERED.clear()
    lab.OBJECTIVES.__dict__.pop("outside", None)
    for forget in outside.AFTER_REGISTRATION:
        forget()


def run_cells(cells: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Executes cells as a kernel does, in the module `__main__`; returns its names."""
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    for number, source in enumerate(cells):
        file = f"<cell {number}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), main.__dict__)
    return main.__dict__


def test_the_cells_of_a_notebook_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = [path for path in NOTEBOOKS if path.stem == "own_objective"]
    cells = [cell.replace("STEPS = 300", "STEPS = 30") for cell in code_of(path) if "check_objective" not in cell]
    assert sum("STEPS = 30\n" in cell for cell in cells) == 1
    names = run_cells(cells, monkeypatch)
    assert names["run"].spec.objective.kind == "future_bag"
    assert (Path.cwd() / "experiments" / "runs").is_dir()


@notebooks
def test_stored_notebooks_have_their_outputs_and_nothing_of_a_machine(path: Path) -> None:
    assert path.stat().st_size < 200_000
    text = re.sub(r'"image/png": "[^"]*"', "", path.read_text(encoding="utf-8"))
    assert re.findall(r"/(?:root|home|tmp|work|usr|Users)/[^\"\s]*", text) == []
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"] == []
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    for cell in notebook.cells:
        if cell.cell_type == "code" and not cell.outputs:
            kinds = {type(statement) for statement in ast.parse(cell.source).body}
            assert kinds & {ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef}, cell.source


@pytest.mark.slow
@notebooks
def test_a_notebook_runs_in_a_kernel(path: Path) -> None:
    notebook = executed(path, Path.cwd())
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.slow
def test_a_session_that_follows_the_documentation_gets_the_p_values_of_the_lab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "LAB_HOME" not in os.environ
    studies.unpack(ARCHIVE)  # the runs of star-quick, which take five minutes
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    names = run_cells(re.findall(r"```python\n(.*?)```", text, re.DOTALL), monkeypatch)
    assert names["run"].scores["test"]["exact"] > 0.5
    assert 2 * names["test"].pvalue == pytest.approx(names["verdicts"].loc["heads_solve_it", "p"])
    printed = re.findall(r"^(\d\.\d+) (\d\.\d+)$", capsys.readouterr().out, re.MULTILINE)
    assert len(printed) == 2
    assert all(np.isclose(float(scipy_p), float(lab_p), rtol=1e-9) for scipy_p, lab_p in printed)
    assert Path("share-solved.pdf").stat().st_size > 1000
