"""The package `generators` exports its public names lazily."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import generators

INIT = Path(generators.__file__)
EXAMPLE_TASK = Path(__file__).parents[1] / "example_package" / "mtp_lab_example" / "reverse.py"


def imported_names(source: Path) -> set[str]:
    """Returns the names that the `from ... import` statements of a file bind, without its own tools."""
    statements = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.ImportFrom)]
    names = {name.name for node in statements if node.module != "typing" for name in node.names}
    return names - {"lazy_exports", "check_rooms"}


@pytest.mark.parametrize("name", generators.__all__)
def test_every_public_name_is_importable(name: str) -> None:
    assert getattr(generators, name) is not None


def test_type_checkers_see_the_same_names_as_the_interpreter() -> None:
    assert imported_names(INIT) == set(generators.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'generators' has no attribute 'Tusk'"):
        _ = generators.Tusk  # type: ignore[attr-defined]


def test_importing_the_package_imports_neither_numpy_nor_pydantic() -> None:
    code = "import sys, generators; print([name for name in ('numpy', 'pydantic', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_task_of_another_package_needs_public_names_only() -> None:
    modules = {
        node.module
        for node in ast.walk(ast.parse(EXAMPLE_TASK.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("generators", "lab"))
    }
    assert modules == {"generators"}
