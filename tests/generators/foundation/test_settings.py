"""Wrong input gives a one-sentence error that names the file, the key, the value and the valid values."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, assign_value, read_toml, split_assignment, validate


class Inner(Settings):
    steps: int = Field(default=10, ge=1)
    rate: float = 0.1


class Outer(Settings):
    inner: Inner = Inner()
    names: dict[str, Inner] = Field(default_factory=dict)
    flag: bool = False


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            {"inner": {"stesp": 5}},
            "f.toml: inner.stesp = 5: no such key; the nearest is inner.steps (there are: steps, rate)",
        ),
        ({"innr": {}}, "f.toml: innr = {}: no such key; the nearest is inner (there are: inner, names, flag)"),
        ({"inner": {"steps": "600"}}, 'f.toml: inner.steps = "600": should be a valid integer, without quotes: 600'),
        ({"inner": {"steps": 0}}, "f.toml: inner.steps = 0: should be greater than or equal to 1"),
        ({"inner": {"steps": True}}, "f.toml: inner.steps = true: should be a valid integer"),
        ({"inner": {"rate": float("nan")}}, "f.toml: inner.rate = NaN: should be a finite number"),
        ({"names": {"a": {"rat": 1}}}, "f.toml: names.a.rat = 1: no such key; the nearest is names.a.rate"),
        ({"flag": 1}, "f.toml: flag = 1: should be a valid boolean"),
    ],
)
def test_a_wrong_setting_is_an_error_of_one_sentence(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        validate(Outer, data, "f.toml")
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


def test_assignments_are_toml_or_plain_strings() -> None:
    tree: dict[str, Any] = {"a": {"b": 1}}
    for text in ("a.b=2", "a.c = [1, 2]", "a.d=true", "e=../some/path.txt", "f='7'"):
        assign_value(tree, *split_assignment(text))
    assert tree == {"a": {"b": 2, "c": [1, 2], "d": True}, "e": "../some/path.txt", "f": "7"}


@pytest.mark.parametrize("text", ["a.b", "=3", ""])
def test_an_assignment_without_key_or_equals_sign_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="should be key=value"):
        split_assignment(text)


def test_an_assignment_to_a_key_of_a_number_is_refused() -> None:
    with pytest.raises(UserError, match="a is not a table"):
        assign_value({"a": 1}, "a.b", 2)


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"a = ", "not valid TOML"), (b"\xff\xfe\x00", "cannot be read as text")]
)
def test_a_file_that_is_missing_or_not_toml_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read_toml(path)
    with pytest.raises(UserError, match="no such file"):
        read_toml(tmp_path / "none.toml")


def test_a_value_that_is_no_text_is_told_from_tables_that_are_too_deep() -> None:
    class AnyValue(Settings):
        value: Any = None

    nested: Any = 1
    for _ in range(300):
        nested = [nested]
    with pytest.raises(UserError, match=r"^f\.toml: tables or lists are nested too deeply to be settings$"):
        validate(AnyValue, {"value": nested}, "f.toml")
    with pytest.raises(
        UserError, match=r"^f\.toml: a value has bytes that are no text; settings should be valid UTF-8$"
    ):
        validate(AnyValue, {"value": "\udcff"}, "f.toml")
