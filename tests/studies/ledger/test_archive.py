"""Archives: the same verdicts and page in another home, and refusal of an archive that is not a whole study."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.ledger.archive import pack, read, unpack
from tests.conftest import Lab
from tests.small_study import write_small_study
from tests.studies.conftest import Edit
from tests.studies.home_versions import call


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs the small study and returns its home."""
    folder = tmp_path_factory.mktemp("trained")
    study, home = str(write_small_study(folder)), str(folder / "home")
    assert call("study", "run", study, "--scale", "smoke", "--executor", "here", "--home", home).code == 0
    return folder / "home"


@pytest.fixture
def home(trained: Path, study_file: Edit, tmp_path: Path) -> Path:
    """Returns a copy of the home, and writes the study's file beside it."""
    study_file()
    return Path(shutil.copytree(trained, tmp_path / "home"))


def archive(path: Path, members: dict[str, bytes | None]) -> Path:
    """Writes an archive; a member without content is a link."""
    with tarfile.open(path, "w:xz") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            member.size = len(content or b"")
            file.addfile(member, io.BytesIO(content or b""))
    return path


def test_in_another_home_a_study_has_the_same_verdicts_and_page_and_trains_nothing(
    home: Path, tmp_path: Path, lab: Lab
) -> None:
    assert lab("study", "pack", "small", "--out", tmp_path / "out", "--home", home).returncode == 0
    packed = tmp_path / "out" / "small-smoke.tar.xz"
    with tarfile.open(packed) as file:
        assert not [name for name in file.getnames() if name.endswith(("safetensors", "lock"))]
    other = tmp_path / "other"
    assert lab("study", "unpack", packed, "--home", other).returncode == 0
    verdicts, pages = [], []
    for place in (home, other):
        verdicts.append(lab("claims", "small", "--home", place, "--json").stdout)
        assert lab("report", "small", "--home", place).returncode == 0
        pages.append((place / "reports" / "small-smoke.html").read_bytes())
    assert verdicts[0] == verdicts[1]
    assert pages[0] == pages[1]
    run = lab("study", "run", tmp_path / "small.toml", "--scale", "smoke", "--home", other, "--json")
    assert json.loads(run.stdout)["trained"] == 0


def test_packing_a_study_twice_gives_the_same_bytes(home: Path) -> None:
    assert pack(home, "small", "smoke") == pack(home, "small", "smoke")


def test_existing_files_are_never_overwritten(home: Path, tmp_path: Path) -> None:
    name, content = pack(home, "small", None)
    (tmp_path / name).write_bytes(content)
    run = next((home / "runs").iterdir())
    (run / "timing.jsonl").write_text("{}\n")
    assert unpack(tmp_path / name, home) == ("small", "smoke", 0)
    assert (run / "timing.jsonl").read_text() == "{}\n"
    kept = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=rf"has run {run.name} already, with other content"):
        unpack(tmp_path / name, home)
    (run / "metrics.jsonl").write_bytes(kept)
    (home / "studies" / "small" / "smoke" / "ledger.json").write_text("{}")
    with pytest.raises(UserError, match="has study small at scale smoke already, with other content"):
        unpack(tmp_path / name, home)
    assert (home / "studies" / "small" / "smoke" / "ledger.json").read_text() == "{}"


def test_a_study_without_verdicts_is_not_packed(home: Path) -> None:
    (home / "studies" / "small" / "smoke" / "verdicts.json").unlink()
    with pytest.raises(
        UserError, match=r"has no verdicts yet; finish it first: lab study run .*small.toml --scale smoke"
    ):
        pack(home, "small", "smoke")


@pytest.mark.parametrize(
    "name", ["../evil.json", "/etc/evil", "runs/0123456789abcdef/last.safetensors", "studies/a/../study.json"]
)
def test_an_unexpected_member_stops_unpacking_before_anything_is_written(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.tar.xz", {"studies/a/cpu/study.json": b"{}", name: b"{}"})
    with pytest.raises(UserError, match="writes no such file; nothing is unpacked"):
        unpack(path, tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_links_and_files_that_are_not_archives_are_refused(tmp_path: Path) -> None:
    linked = archive(tmp_path / "a.tar.xz", {"studies/a/cpu/study.json": None})
    with pytest.raises(UserError, match="writes no such file"):
        unpack(linked, tmp_path / "home")
    (tmp_path / "b.tar.xz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot be read as an archive of a study"):
        unpack(tmp_path / "b.tar.xz", tmp_path / "home")
    two = archive(tmp_path / "c.tar.xz", {f"studies/{name}/cpu/study.json": b"{}" for name in "ab"})
    with pytest.raises(UserError, match="holds 2 studies"):
        unpack(two, tmp_path / "home")


def test_an_archive_that_is_not_a_whole_study_is_refused(home: Path, tmp_path: Path) -> None:
    name, content = pack(home, "small", None)
    (tmp_path / name).write_bytes(content)
    whole = {str(member): data for member, data in read(tmp_path / name).items()}
    study, ledger = "studies/small/smoke/study.json", "studies/small/smoke/ledger.json"
    result = next(member for member in whole if member.endswith("result.json"))
    elsewhere = json.dumps(json.loads(whole[study]) | {"name": "../../elsewhere"}).encode()
    for changed, message in (
        ({study: elsewhere}, "is of another study"),
        ({ledger: b'{"cells": 3}'}, "is not a whole study"),
        ({result: None}, "is not a whole study"),
        ({result: b'{"run": "0123456789abcdef"}'}, "does not hold the run of that name"),
        ({result: b"{"}, "result.json: not valid JSON"),
    ):
        members = {member: data for member, data in (whole | changed).items() if data is not None}
        path = archive(tmp_path / "changed.tar.xz", dict(members))
        with pytest.raises(UserError, match=message):
            unpack(path, tmp_path / "other")
        assert not (tmp_path / "other").exists()


def test_commands_refuse_a_damaged_ledger(home: Path, lab: Lab) -> None:
    (home / "studies" / "small" / "smoke" / "ledger.json").write_text('{"cells": 3}')
    for words in (("claims", "small"), ("report", "small"), ("study", "status", "small")):
        done = lab(*words, "--home", home)
        assert done.returncode == 2
        assert "its ledger is damaged; run the study again" in done.stderr


def test_what_is_no_file_is_refused_in_one_sentence(tmp_path: Path, lab: Lab) -> None:
    done = lab("study", "unpack", tmp_path, "--home", tmp_path / "home")
    assert done.returncode == 2
    assert done.stderr == f"lab: {tmp_path}: is a folder; give an archive that lab study pack wrote\n"
    (tmp_path / "text").write_text("nothing")
    done = lab("study", "unpack", tmp_path / "text" / "below", "--home", tmp_path / "home")
    assert (
        done.stderr
        == f"lab: {tmp_path / 'text' / 'below'}: cannot be read as an archive of a study (Not a directory)\n"
    )
