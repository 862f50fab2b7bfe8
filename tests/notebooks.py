"""Executes the notebooks in examples/. `make examples` does it again and stores their outputs."""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SECONDS_MAXIMUM = 600


def place_in(folder: Path) -> Path:
    """Prepares a folder in which notebooks run: the published archives are at `../reports` from it. Returns it."""
    examples = folder / "examples"
    examples.mkdir()
    (folder / "reports").symlink_to(ROOT / "reports")
    return examples


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Returns a notebook with new outputs.

    Args:
        path: the notebook.
        folder: as `place_in` returns it; what the notebook writes stays there.

    Raises:
        CellExecutionError: a cell raised an error.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS_MAXIMUM,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("LAB_HOME", None)
    client.execute(env=environment)
    return notebook


def code_of(path: Path) -> list[str]:
    """Returns the code cells of a notebook."""
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


if __name__ == "__main__":
    for notebook_path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as temporary:
            nbformat.write(executed(notebook_path, place_in(Path(temporary))), notebook_path)
