"""The package `lab` exports its public names lazily, and another package's objective needs no others."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lab
from tests.conftest import Spec
from tests.generators.test_public_names import imported_names

EXAMPLE_OBJECTIVE = Path(__file__).parents[1] / "example_package" / "mtp_lab_example" / "previous_token.py"


@pytest.mark.parametrize("name", lab.__all__)
def test_every_public_name_is_importable(name: str) -> None:
    assert getattr(lab, name) is not None


def test_type_checkers_see_the_same_names_as_the_interpreter() -> None:
    assert imported_names(Path(lab.__file__)) == set(lab.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lab' has no attribute 'Objectiv'"):
        _ = lab.Objectiv  # type: ignore[attr-defined]


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, lab; print([name for name in ('numpy', 'pydantic', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_objective_of_another_package_needs_public_names_only() -> None:
    modules = {
        node.module
        for node in ast.walk(ast.parse(EXAMPLE_OBJECTIVE.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("generators", "lab"))
    }
    assert modules == {"lab"}


def test_a_notebook_trains_a_run_and_reads_it_back(tiny: Spec, tmp_path: Path) -> None:
    spec = lab.parse_spec(tiny(training__keep_every_steps=4).tree())
    trained = lab.train(spec, str(tmp_path))
    assert trained.folder.result()["scores"]["best"] == trained.scores  # type: ignore[index]
    for checkpoint in ("best", "last"):
        run = lab.load_run(spec.identity[:6], tmp_path, checkpoint)
        assert run.spec == spec
        assert lab.Evaluator(run.task, "test", run.device)(run.network) == run.scores["test"]
    early = lab.load_run(spec.identity, tmp_path, "4")
    assert early.scores.keys() == {"validation"}
    assert early.scores["validation"] == lab.Evaluator(early.task, "validation", early.device)(early.network)
