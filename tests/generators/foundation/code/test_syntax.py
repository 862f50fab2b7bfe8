"""The digest of a module changes with everything that can change a number, and with nothing else."""

import ast
from pathlib import Path

import pytest

from generators.foundation.code.syntax import ImportedNames, read_syntax

ROOT = Path(__file__).parents[4]
MODULE = '''
"""A module."""
import math
from pydantic import Field

RATE = 0.5
"""A rate."""


class Settings(Base):
    """Settings."""

    width: int = Field(default=8, ge=1, description="its width")


def scaled(x: float, *, by: float = 2.0) -> float:
    """Scales."""
    assert by > 0, "by should be positive"
    if x < 0:
        raise UserError(f"x = {x}: should be at least {0}") from None
    names = ["a", "b"]
    return x * by * RATE + len(names)  # scaled
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another."""'),
        ('"""A module."""', ""),
        ('    """Settings."""\n', ""),
        ('"""A rate."""', ""),
        ("  # scaled", ""),
        ("    names", "    # A remark.\n\n    names"),
        ('description="its width"', 'description="the width"'),
        (', description="its width"', ""),
        ('"by should be positive"', '"by is wrong"'),
        ('f"x = {x}: should be at least {0}"', '"x is wrong"'),
        ('["a", "b"]', "['a',\n        'b']"),
        ("x * by", "(x) * by"),
    ],
)
def test_comments_docstrings_wording_and_layout_do_not_count(old: str, new: str) -> None:
    assert old in MODULE
    assert read_syntax(MODULE.replace(old, new)).digest == read_syntax(MODULE).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE = 0.5", "RATE = 0.25"),
        ("RATE = 0.5", "RATE = '0.5'"),
        ("default=8", "default=9"),
        ("ge=1", "gt=1"),
        ("x * by", "x / by"),
        ("x * by", "by * x"),
        ("by: float = 2.0", "by: float = 2"),
        ("x < 0", "x <= 0"),
        ("by > 0", "by >= 0"),
        ("UserError", "ValueError"),
        (" from None", " from error"),
        ('["a", "b"]', '["a", "c"]'),
        ('["a", "b"]', '["ab"]'),
        ("import math", "import cmath"),
        ("(Base)", "(Other)"),
        ("*, by", "by"),
        ("return x", "yield x"),
    ],
)
def test_everything_else_counts(old: str, new: str) -> None:
    assert old in MODULE
    assert read_syntax(MODULE.replace(old, new)).digest != read_syntax(MODULE).digest


@pytest.mark.parametrize("name", ["lab/run/training.py", "lab/model/layers.py", "generators/tasks/induction.py"])
def test_what_the_parser_prints_again_is_the_same_code(name: str) -> None:
    source = (ROOT / name).read_text()
    assert read_syntax(ast.unparse(ast.parse(source))).digest == read_syntax(source).digest


def test_imports_are_listed_where_they_run_and_apart_where_they_are_for_type_checking() -> None:
    syntax = read_syntax(
        "import typing\n"
        "from ..other import a as b, c\n"
        "def f():\n    import x.y\n"
        "if typing.TYPE_CHECKING:\n    from z import w\nelse:\n    from . import v\n"
    )
    assert syntax.imports == (
        ImportedNames("typing"),
        ImportedNames("other", 2, {"a": "b", "c": "c"}),
        ImportedNames("x.y"),
        ImportedNames("", 1, {"v": "v"}),
    )
    assert syntax.typing_imports == (ImportedNames("z", 0, {"w": "w"}),)
