"""`lab --help` imports nothing heavy, and every command in the table is there."""

import subprocess
import sys
from pathlib import Path

from lab.__main__ import COMMANDS
from tests.conftest import Lab


def test_help_lists_every_command_and_imports_neither_torch_nor_numpy() -> None:
    program = (
        "import sys; from lab.__main__ import main\n"
        "sys.argv = ['lab', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'numpy', 'pandas', 'optuna', 'pydantic'} & set(sys.modules); assert not heavy, heavy"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


def test_every_command_explains_itself(lab: Lab) -> None:
    for name in COMMANDS:
        done = lab(name, "--help")
        assert done.returncode == 0, done.stderr
        assert f"lab {name}" in done.stdout


def test_an_unknown_command_exits_with_2(lab: Lab) -> None:
    assert lab("trian").returncode == 2
