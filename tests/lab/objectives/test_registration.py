"""An objective that is defined in a notebook is registered at run time, and its runs record the source of its cell."""

import linecache
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import lab
from generators import UserError
from generators.foundation import outside
from lab.run.other_code.standing import OtherCodeError
from tests.conftest import tiny_tree

EXAMPLE = Path(__file__).parents[2] / "example_package" / "mtp_lab_example" / "previous_token.py"
SOURCE = EXAMPLE.read_text().replace('"previous_token"', '"mine"')
NUMBERS = count()


def run_cell(source: str, name: str = "PreviousToken") -> type[Any]:
    """Executes a cell as a notebook's kernel does, and returns the class that it defines."""
    file = f"<cell {next(NUMBERS)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, file, "exec"), namespace)
    row: type[Any] = namespace[name]
    return row


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Forgets the registered classes after each test."""
    yield
    outside.REGISTERED.clear()
    lab.OBJECTIVES.__dict__.pop("outside", None)
    for forget in outside.AFTER_REGISTRATION:
        forget()


def test_a_class_of_a_notebook_is_trained_and_read_like_any_other(tmp_path: Path) -> None:
    assert lab.OBJECTIVES.register(run_cell(SOURCE)) is not None
    run = lab.train(tiny_tree(objective={"kind": "mine", "weight": 0.5}), tmp_path)
    assert run.network.config.kind == "mine"
    assert lab.load_run(run.folder.identity, tmp_path).scores == run.scores
    (recorded,) = [value for part, value in (run.folder.code() or {}).items() if part == "objectives mine"]
    assert re.fullmatch("PreviousToken, cell [0-9a-f]{16}", recorded)


def test_a_comment_in_the_cell_changes_nothing_and_other_code_is_refused(tmp_path: Path) -> None:
    tree = tiny_tree(objective={"kind": "mine"}, training__steps=4)
    lab.OBJECTIVES.register(run_cell(SOURCE))
    first = lab.train(tree, tmp_path)
    scores = first.scores
    lab.OBJECTIVES.register(run_cell(f"# the same again\n{SOURCE}"))
    assert first.folder.changed_code() == []
    lab.OBJECTIVES.register(run_cell(SOURCE.replace("previous.flatten()", "previous.flatten() * 0")))
    assert first.folder.changed_code() == ["objectives mine"]
    with pytest.raises(OtherCodeError, match="objectives mine differs"):
        lab.train(tree, tmp_path)
    again = lab.train(tree, tmp_path, other_code="retrain")
    assert again.folder.changed_code() == []
    assert again.scores != scores


def test_a_run_of_a_class_that_is_not_registered_here_is_refused(tmp_path: Path) -> None:
    lab.OBJECTIVES.register(run_cell(SOURCE))
    run = lab.train(tiny_tree(objective={"kind": "mine"}, training__steps=4), tmp_path)
    outside.REGISTERED.clear()
    del lab.OBJECTIVES.outside
    with pytest.raises(UserError, match=r"objective.kind = 'mine': no such objective"):
        lab.load_run(run.folder.identity, tmp_path)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (lambda: int, "objective 'int': is not a subclass of lab.objectives.objective.Objective"),
        (
            lambda: run_cell(SOURCE.replace('"mine"', '"multi_token"')),
            "objective 'PreviousToken': has the kind 'multi_token', which is taken; choose another",
        ),
        (
            lambda: run_cell(SOURCE.replace("def hidden", "def hide")),
            "objective 'PreviousToken': does not implement hidden",
        ),
        (
            lambda: type("Nowhere", (run_cell(SOURCE),), {"__module__": "__main__"}),
            "class Nowhere: has no source that its runs could record",
        ),
    ],
)
def test_a_class_that_cannot_be_registered_is_refused_in_one_sentence(
    row: Callable[[], type[Any]], sentence: str
) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        lab.OBJECTIVES.register(row())
