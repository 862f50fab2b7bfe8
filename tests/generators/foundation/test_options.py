"""Lists of names fit the width of the terminal, and no word of theirs is lost."""

import json
import os
from typing import NoReturn

import pytest

from generators.foundation.options import two_columns
from tests.conftest import Lab

LISTS = (("study", "list"), ("data", "list"), ("objective", "list"), ("objective", "show", "multi_token"))


def no_terminal(descriptor: int) -> NoReturn:
    raise OSError(25, os.strerror(25))


@pytest.mark.parametrize("columns", [None, 60, 80, 300])
@pytest.mark.parametrize("arguments", LISTS)
def test_a_list_fits_the_terminal_or_80_columns_without_one(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], columns: int | None
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((columns or 0, 24)))
    if columns is None:
        monkeypatch.setattr(os, "get_terminal_size", no_terminal)
    output = lab(*arguments).stdout
    assert max(map(len, output.splitlines())) <= (columns or 80)
    words = " ".join(output.split())
    for name, entry in json.loads(lab(*arguments, "--json").stdout).items():
        text = entry if isinstance(entry, str) else entry.get("question", entry.get("description"))
        assert name in words
        assert " ".join(text.split()) in words


def test_columns_stay_readable_where_a_terminal_is_narrower_than_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    texts = {"a": "one two three four five six seven", "a-long-name": "", "b": "x" * 50}
    assert two_columns(texts) == [
        "a            one two three four five six",
        "             seven",
        "a-long-name",
        "b            " + "x" * 50,
    ]
