"""lab report: where the page goes, what is answered, and what is refused."""

import json
from pathlib import Path

import pytest

from lab.__main__ import main
from reports.commands.reports import app
from tests.reports.conftest import Stored


def report(*arguments: str | Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        app(["report", *map(str, arguments)], prog_name="lab")
    assert stopped.value.code == 0


def test_the_page_goes_under_the_home_by_default(usual_store: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    report("small", "--home", usual_store.home)
    page = usual_store.home / "reports" / "small-cpu.html"
    assert page.read_text().startswith("<!DOCTYPE html>")
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["SUPPORTED", "SUPPORTED", "28 of 28 runs complete", "page"]
    assert lines[-1] == f"page: {page.absolute()}"


def test_json_tells_the_page_and_the_verdicts_and_nothing_stored_is_changed(
    broken_store: Stored, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def kept() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted(broken_store.home.rglob("*")) if path.is_file()}

    before = kept()
    out = tmp_path / "new" / "folder" / "page.html"
    report("small", "--scale", "cpu", "--out", out, "--home", broken_store.home, "--json")
    value = json.loads(capsys.readouterr().out)
    found = {name: value[name] for name in ("report", "study", "scale", "runs")}
    assert found == {"report": str(out), "study": "small", "scale": "cpu", "runs": 19}
    assert [one["verdict"] for one in value["verdicts"]] == ["inconclusive", "inconclusive"]
    assert out.exists()
    assert kept() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quick"], "study 'quick' never ran"),
        (["small", "--scale", "gpu"], "study 'small' never ran at scale gpu"),
        (["small", "--out", "{file}/below/page.html"], "no folder can be made there"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_a_sentence(
    usual_store: Stored,
    tmp_path: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    given = [argument.format(file=tmp_path / "file") for argument in arguments]
    monkeypatch.setattr("sys.argv", ["lab", "report", *given, "--home", str(usual_store.home)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
