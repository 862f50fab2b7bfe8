"""Names: a file gives one, wherever it lies, and commands tell names from paths."""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.declared.catalog import STUDIES, name_of
from studies.declared.loading import declare
from studies.declared.names import is_path, refusal_of_name, refusal_of_scale, split_scale
from tests.small_study import write_small_study


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("lr0.01.toml", "lr0.01"),
        ("a/b.c/x.y.z.toml", "x.y.z"),
        ("T.TOML", "T"),
        ("T.Toml", "T"),
        ("two words.toml", "two words"),
        ("größe-für-n=2 (neu)[1]*.toml", "größe-für-n=2 (neu)[1]*"),
        ("./x", "x"),
        ("x.conf", "x.conf"),
    ],
)
def test_a_file_gives_its_study_the_name_before_its_ending(path: str, name: str) -> None:
    assert name_of(Path(path)) == name
    assert not is_path(name)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (".toml", "it is empty"),
        ("a/.hidden.toml", "it begins with a dot"),
        ("..", "it begins with a dot"),
        ("a/-x.toml", "it begins with '-', so it reads as an option"),
        ("a\\b.toml", "which separates the parts of paths"),
        ("x@cpu.toml", "which separates the parts of STUDY@SCALE"),
        ("x.toml.toml", "it ends in .toml, so it reads as a path"),
        ("a\nb.toml", "a character that cannot be printed"),
        ("\udcff.toml", "a character that cannot be printed"),
        ("paper.toml", "a collection has it"),
        ("PAPER.toml", None),
    ],
)
def test_a_name_that_could_be_mistaken_is_refused(path: str, reason: str | None) -> None:
    if reason is None:
        assert name_of(Path(path)) == "PAPER"
        return
    with pytest.raises(UserError, match="cannot be the name of a study or a search") as raised:
        name_of(Path(path))
    assert reason in str(raised.value)


def test_every_name_of_the_catalog_is_valid() -> None:
    assert [name for name in STUDIES.names if refusal_of_name(name)] == []


@pytest.mark.parametrize("argument", ["x.toml", "X.TOML", "./x", "a/x", "/x", "a\\x"])
def test_an_argument_with_the_ending_or_a_separator_is_a_path(argument: str) -> None:
    assert is_path(argument)


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("x", ("x", None)),
        ("x@cpu", ("x", "cpu")),
        ("lr0.01@cpu", ("lr0.01", "cpu")),
        ("x@", ("x", None)),
        ("a@b/x.toml", ("a@b/x.toml", None)),
        ("a@b/x.toml@gpu", ("a@b/x.toml", "gpu")),
        ("@cpu", ("@cpu", None)),
    ],
)
def test_a_scale_after_a_study_is_told_from_a_sign_in_its_path(argument: str, parts: tuple[str, str | None]) -> None:
    assert split_scale(argument) == parts


@pytest.mark.parametrize("scale", ["a/b", "..", "gpu-8", "", "x@y"])
def test_a_scale_whose_name_could_be_mistaken_is_refused(tmp_path: Path, scale: str) -> None:
    assert refusal_of_scale(scale)
    path = write_small_study(tmp_path, ("[scales.smoke]", f"[scales.'{scale}']"))
    with pytest.raises(UserError, match="cannot be the name of a scale"):
        declare(str(path), "cpu", [])
