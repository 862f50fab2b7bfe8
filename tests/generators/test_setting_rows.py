"""The rows of a settings class: types and ranges in words, and the keys of tables inside it."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from generators.foundation.settings import Settings
from generators.setting_rows import setting_rows

Count = Annotated[int | None, Field(ge=1, le=2000)]


class Inner(Settings):
    at: float = Field(gt=0, lt=1, description="a place")


class Outer(Settings):
    kind: Literal["outer"] = "outer"
    choice: Literal["a", "b"] = "a"
    count: Count = None
    name: str = Field(pattern="^[a-z]+$", description="a name")
    level: bool | int | float | str = 2
    many: list[Inner] = Field(default_factory=list, min_length=2)
    by_name: dict[str, Inner] = Field(default_factory=dict)
    free: dict[str, Any] = Field(min_length=1)
    numbers: tuple[float, ...] | None = None
    inner: Inner | None = None


ROWS = {row.key: row for row in setting_rows(Outer, "table.")}


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        ("choice", '"a" or "b", default "a"'),
        ("count", "integer, 1 to 2,000, absent by default"),
        ("name", "text, matches ^[a-z]+$, required"),
        ("level", "scalar, default 2"),
        ("many", "list of tables, at least 2 entries, absent by default"),
        ("many.at", "number, above 0, below 1, required"),
        ("by_name.NAME.at", "number, above 0, below 1, required"),
        ("free", "table, not empty, required"),
        ("numbers", "list of numbers, absent by default"),
        ("inner", "table, absent by default"),
        ("inner.at", "number, above 0, below 1, required"),
    ],
)
def test_a_setting_has_type_range_and_default_in_words(key: str, facts: str) -> None:
    assert ROWS[f"table.{key}"].facts == facts


def test_only_a_kind_that_names_the_class_itself_is_left_out() -> None:
    class Kinds(Settings):
        kind: str

    assert "table.kind" not in ROWS
    assert [row.key for row in setting_rows(Kinds)] == ["kind"]


def test_descriptions_and_defaults_are_those_of_the_class() -> None:
    assert ROWS["table.name"].description == "a name"
    assert (ROWS["table.choice"].default, ROWS["table.name"].is_required) == ("a", True)
