"""`lab --help` is instant and imports nothing heavy; every command of the table exists."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from lab.__main__ import COMMANDS, load_command
from tests.conftest import Lab
from tests.fake_package import Install

ROOT = Path(__file__).parents[1]


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    program = (
        "import sys; from lab.__main__ import main\n"
        "sys.argv = ['lab', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'numpy', 'pandas', 'optuna', 'pydantic', 'importlib.metadata'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


def test_every_command_loads_and_explains_itself(lab: Lab) -> None:
    for name, (target, _) in COMMANDS.items():
        assert isinstance(load_command(name, target), typer.Typer)
        done = lab(name, "--help")
        assert done.returncode == 0, done.stderr
        assert f"lab {name}" in done.stdout


def test_an_unknown_command_exits_with_2(lab: Lab) -> None:
    assert lab("trian").returncode == 2


TASK = '''"""A task that breaks in one place."""
from typing import Literal
from generators import Batch, Task, TaskConfig

class MineConfig(TaskConfig):
    kind: Literal["mine"] = "mine"

class Mine(Task):
    config: MineConfig
    def __init__(self, config):
        super().__init__(config)
        {creation}
    def draw(self, stream, split): ...
    def oracle(self, batch): ...
'''


@pytest.mark.parametrize(
    ("creation", "text"), [("raise OSError('full')", "OSError: full"), ("raise SystemExit(0)", "SystemExit: 0")]
)
def test_an_error_from_another_package_is_one_sentence_that_names_it(
    creation: str, text: str, install: Install, lab: Lab
) -> None:
    install("outside_door", "[mtp_lab.tasks]\nmine = outside_door:Mine", TASK.format(creation=creation))
    done = lab("data", "show", "mine")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"outside_door 1.2 failed with {text} (outside_door.py, line 12)" in done.stderr


def test_an_error_of_the_lab_itself_keeps_its_traceback(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generators.commands.answer", None)
    with pytest.raises(TypeError):
        lab("data", "list")


SPLITS = "self.vocabulary, self.length, self.splits = ('a',), 3, {'train': None, 'validation': 1, 'test': 1}"


def test_an_error_from_what_a_part_returned_names_the_part(install: Install, lab: Lab) -> None:
    install("outside_returned", "[mtp_lab.tasks]\nmine = outside_returned:Mine", TASK.format(creation=SPLITS))
    done = lab("data", "show", "mine")
    assert done.returncode == 1
    assert done.stderr.startswith("lab: AttributeError: 'NoneType' object has no attribute 'tokens' (task.py, line ")
    assert done.stderr.endswith("), in a command that uses task mine of outside_returned 1.2\n")


def test_what_a_part_prints_is_no_part_of_an_answer_in_json(install: Install, lab: Lab) -> None:
    creation = f"{SPLITS}\n        print('welcome')"
    code = TASK.format(creation=creation).replace(
        "def draw(self, stream, split): ...", f"def draw(self, stream, split):\n{DRAWING}"
    )
    install("outside_chatty", "[mtp_lab.tasks]\nmine = outside_chatty:Mine", code)
    done = lab("data", "show", "mine", "--count", "1", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["samples"][0]["text"] == "a a a"
    assert done.stderr == "welcome\ndrawing\n"


DRAWING = """
        print("drawing")
        tokens = stream.integers("letters", 1, 3)
        return Batch(tokens=tokens, loss=tokens == 0, scored=tokens == 0)
    def belongs(self, batch, split): return batch.loss.all(axis=1)
"""
