"""Broken study files: a small valid one with a few random changes, or arbitrary text."""

import json
import sys
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import strategies as st

from lab.__main__ import main
from tests.small_study import SMALL

WHOLE: dict[str, Any] = tomllib.loads(
    SMALL
    + """
[[exclude]]
where = { "model.width" = 24, "objective.n" = [2] }
reason = "nobody asked"
"""
)
WHOLE["factors"]["model.width"] = [8, 16, 24]

WORDS = ("", "first", "last", "n", "kind", "multi_token", "choice", "paired", "seed", "test/m=1", "loss_2", "..", "ü\n", "🙂", "a.b", "\x00")  # fmt: skip
NUMBERS = (0, -1, 1, 2, 7, 1.5, 1e308, float("nan"), float("inf"), 10**40, 2**31, 2**63, True, False, -0.0, 1e-320)
SCALARS = st.sampled_from([*WORDS, *NUMBERS]) | st.text(max_size=8)


def deep() -> Any:
    """Returns a hundred nested tables."""
    tree: Any = "end"
    for _ in range(100):
        tree = {"deep": tree}
    return tree


VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
) | st.builds(deep)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Returns the paths of all keys and list items below a tree."""
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    return [place for key in keys for place in ((*path, key), *places(tree[key], (*path, key)))]


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draws the valid study with one to three random changes."""
    tree = json.loads(json.dumps(WHOLE))
    for _ in range(draw(st.integers(1, 3))):
        if not (paths := places(tree)):
            break
        *stem, key = draw(st.sampled_from(paths))
        parent = at(tree, tuple(stem))
        change = draw(st.sampled_from(["replace", "replace", "number", "remove", "add", "rename", "swap", "double"]))
        if change == "remove":
            del parent[key]
        elif change == "replace":
            parent[key] = draw(VALUES)
        elif change == "number":
            parent[key] = draw(st.integers(0, 5) | st.floats() | st.sampled_from(NUMBERS))
        elif change == "add" and isinstance(parent[key], dict):
            parent[key][draw(st.sampled_from(WORDS) | st.text(max_size=6))] = draw(VALUES)
        elif change == "rename" and isinstance(parent, dict):
            parent[draw(st.sampled_from(WORDS) | st.just(str(key)[1:]))] = parent.pop(key)
        elif change == "double" and isinstance(parent, list):
            parent.append(parent[key])
        elif change == "swap":
            *other_stem, other = draw(st.sampled_from(paths))
            if [*stem, key] == [*other_stem, other][: len(stem) + 1]:
                continue  # a tree cannot contain itself
            elsewhere = at(tree, tuple(other_stem))
            value = json.loads(json.dumps(parent[key]))
            parent[key], elsewhere[other] = json.loads(json.dumps(elsewhere[other])), value
    return "\n".join(f"{json.dumps(key, ensure_ascii=False)} = {toml(value)}" for key, value in tree.items())


@st.composite
def torn(draw: st.DrawFn) -> str:
    """Draws the valid study with text cut out and inserted, which may not be valid TOML."""
    start, end = sorted((draw(st.integers(0, len(SMALL))), draw(st.integers(0, len(SMALL)))))
    return SMALL[:start] + draw(st.text(max_size=6)) + SMALL[min(end, start + 40) :]


STUDY_FILES = mutated() | torn() | st.text(max_size=200)


def toml(value: Any) -> str:
    """Returns a value as inline TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {toml(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value) if value == value and abs(value) != float("inf") else str(value)
    return json.dumps(value, ensure_ascii=False)


def show(text: str, folder: Path) -> tuple[int, str]:
    """Runs `lab study show` on a file with that text; returns the exit code and standard error."""
    path = folder / "broken.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    out, err = StringIO(), StringIO()
    arguments = ["lab", "study", "show", str(path), "--no-probe"]
    with patch.object(sys, "argv", arguments), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None), err.getvalue()
    return 0, err.getvalue()


def assert_one_sentence(text: str, folder: Path) -> None:
    """Asserts that a file is shown, or refused in one line."""
    code, errors = show(text, folder)
    assert code in (0, 2), errors
    if code == 2:
        assert errors.startswith("lab: "), errors
        assert errors.count("\n") == 1, errors
    else:
        assert not errors
