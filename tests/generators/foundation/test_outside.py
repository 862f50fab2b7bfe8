"""The code of other packages: damaged installations, prints while importing, and errors that name their package."""

import re
import sys
from abc import ABC
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.kinds import Registry
from generators.foundation.outside import PARTS_IN_USE, PartFailed, blame, guarded, installed_points
from generators.foundation.settings import Settings
from tests.fake_package import write_package


class Shown(ABC):
    """The base of a table, with class attributes that a subclass has to set."""

    page: ClassVar[Literal["study", "index"]]
    sizes: ClassVar[Mapping[str, int]] = {}
    settings: ClassVar[type[Settings]] = Settings
    height = 3


def shown() -> Registry:
    return Registry("exhibit", {}, Shown, plural="exhibits")


MODULE = "from tests.generators.foundation.test_outside import Shown\n\nclass Mine(Shown):\n    height = 'free'\n"
ATTRIBUTES = {
    "": "does not set page",
    "page = 'front'": "has page = 'front', which should be 'study' or 'index'",
    "page = property(lambda self: 'study')": "has page = <property object",
    "page, sizes = 'study', {'a': 'b'}": "has sizes = {'a': 'b'}, which should be a valid integer",
    "page, sizes = 'study', None": "has sizes = None, which should be a valid",
    "page, settings = 'study', dict": "has settings = <class 'dict'>, which should be a subclass of Settings",
    "page, settings = 'study', Settings()": "has settings = Settings(), which should be a subclass of Settings",
}


def add(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, points: str, code: str) -> Path:
    site = write_package(folder, name, points, code)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return site


@pytest.mark.parametrize("attributes", ATTRIBUTES)
def test_a_class_whose_attributes_are_missing_or_of_another_type_is_refused(
    attributes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"from generators.foundation.settings import Settings\n{MODULE}    {attributes}\n"
    add(tmp_path, monkeypatch, "outside_shape", "[mtp_lab.exhibits]\nmine = outside_shape:Mine", code)
    with pytest.raises(UserError) as raised:
        shown().find("mine", "")
    assert f"of outside_shape {ATTRIBUTES[attributes]}" in str(raised.value)


def test_a_class_with_attributes_of_the_right_types_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"{MODULE}    page, sizes = 'index', {{'a': 1}}\n"
    add(tmp_path, monkeypatch, "outside_right", "[mtp_lab.exhibits]\nmine = outside_right:Mine", code)
    assert shown().find("mine", "").page == "index"


def test_a_malformed_list_of_entry_points_loses_the_parts_of_its_own_package_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = f"{MODULE}    page = 'study'\n"
    add(tmp_path, monkeypatch, "outside_tidy", "[mtp_lab.exhibits]\nmine = outside_tidy:Mine", code)
    add(tmp_path, monkeypatch, "outside_untidy", "[mtp_lab.exhibits]\nmine", code)
    assert [point.value for point in installed_points()] == ["outside_tidy:Mine"]
    assert shown().find("mine", "").page == "study"
    assert "package outside_untidy provides no parts: its list of entry points is malformed" in capsys.readouterr().err


def test_a_package_without_metadata_is_named_as_one_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = add(tmp_path, monkeypatch, "outside_bare", "[mtp_lab.exhibits]\nmine = outside_bare:Mine", "raise OSError")
    (site / "outside_bare-1.2.dist-info" / "METADATA").unlink()
    classes, left_out = shown().usable()
    assert classes == {}
    assert left_out == [
        "exhibit mine of a package without a name is left out: entry point outside_bare:Mine of a package without a name cannot be imported (OSError)"
    ]
    assert shown().subject("mine") == "exhibit mine of a package without a name"


def test_what_an_import_prints_is_no_answer_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = f"print('welcome')\n{MODULE}    page = 'study'\n"
    add(tmp_path, monkeypatch, "outside_loud", "[mtp_lab.exhibits]\nmine = outside_loud:Mine", code)
    shown().find("mine", "")
    assert capsys.readouterr() == ("", "welcome\n")


def test_what_a_part_prints_is_no_answer_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with guarded("it"):
        print("so far, so good")
    assert capsys.readouterr() == ("", "so far, so good\n")


def test_whatever_a_part_raises_becomes_one_sentence_that_names_it() -> None:
    with pytest.raises(PartFailed) as raised, guarded("exhibit mine of other 1.2"):
        raise OSError("the disk\nis full")
    assert str(raised.value).startswith(
        "exhibit mine of other 1.2 failed with OSError: the disk (test_outside.py, line "
    )
    with pytest.raises(WorkFailed, match=r"failed with SystemExit: 3 \("), guarded("it"):
        raise SystemExit(3)
    with pytest.raises(UserError, match=r"^a sentence of its own$"), guarded("it"):
        raise UserError("a sentence of its own")
    with pytest.raises(KeyboardInterrupt), guarded("it"):
        raise KeyboardInterrupt


def test_an_error_is_blamed_on_the_package_whose_code_it_came_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def mine(call): return call()\n"
    add(tmp_path, monkeypatch, "outside_guilty", "[mtp_lab.exhibits]\nmine = outside_guilty:mine", code)
    point = EntryPoint("mine", "outside_guilty:mine", "mtp_lab.exhibits")

    def fail() -> None:
        raise OSError

    with pytest.raises(OSError) as raised:  # noqa: PT011
        point.load()(fail)
    assert str(blame(raised.value)) == "a part of outside_guilty 1.2 failed with OSError (outside_guilty.py, line 1)"
    with pytest.raises(OSError) as raised:  # noqa: PT011
        fail()
    monkeypatch.setattr("generators.foundation.outside.PARTS_IN_USE", [])
    assert blame(raised.value) is None


def test_an_error_in_the_lab_names_the_parts_that_the_command_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PARTS_IN_USE.clear()
    code = f"{MODULE}    page = 'study'\n"
    add(
        tmp_path,
        monkeypatch,
        "outside_asked",
        "[mtp_lab.exhibits]\nmine = outside_asked:Mine\nyours = outside_asked:Mine",
        code,
    )
    registry = shown()
    registry.find("mine", "")
    registry.usable()
    with pytest.raises(ZeroDivisionError) as raised:
        1 / 0  # noqa: B018
    assert re.fullmatch(
        r"ZeroDivisionError: division by zero \(test_outside.py, line \d+\), in a command that uses exhibit mine of "
        "outside_asked 1.2",
        str(blame(raised.value)),
    )
    PARTS_IN_USE.clear()


def test_a_group_that_the_lab_does_not_have_is_named_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path, monkeypatch, "outside_group_name", "[mtp_lab.exhibit]\nmine = outside_group_name:Mine", "")
    assert shown().names == []
    assert capsys.readouterr().err == (
        "package outside_group_name 1.2: its entry point mine has no effect: there is no group mtp_lab.exhibit; the "
        "nearest is mtp_lab.exhibits\n"
    )


def test_a_module_that_cannot_be_imported_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    code = f"open({str(log)!r}, 'a').write('x')\nraise OSError"
    add(tmp_path, monkeypatch, "outside_slow", "[mtp_lab.exhibits]\nmine = outside_slow:Mine", code)
    registry = shown()
    assert registry.usable() == registry.usable()
    assert log.read_text() == "x"
