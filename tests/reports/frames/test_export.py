"""lab results: every run of a ledger is a row, in either format, and what cannot be written is refused first."""

import json
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from generators.foundation.errors import UserError
from reports.commands.reports import app
from reports.frames.export import every_run, examine_format, write_frame
from tests.reports.conftest import Stored, ledger


def test_every_run_of_the_ledger_is_a_row_of_the_file(
    broken_store: Stored, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "runs.csv"
    with pytest.raises(SystemExit) as stopped:
        app(["results", "small", "--home", str(broken_store.home), "--out", str(out), "--json"], prog_name="lab")
    assert stopped.value.code == 0
    entries = {entry["run"]: entry for cell in ledger(broken_store) for entry in cell["entries"]}
    assert json.loads(capsys.readouterr().out)["runs"] == len(entries)
    read = pd.read_csv(out, dtype={"run": str}).set_index("run")
    assert read.index.is_unique
    assert set(read.index) == set(entries)
    assert set(read["study"] + read["scale"]) == {"smallcpu"}
    for run, entry in entries.items():
        assert read.loc[run, "score"] == pytest.approx(entry["score"], nan_ok=True) or entry["score"] is None


def test_parquet_reads_back_the_same_where_it_is_installed(usual_store: Stored, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = every_run(usual_store.home, [usual_store.study])
    frame["mixed"] = ["a", 1] * (len(frame) // 2)
    write_frame(frame, tmp_path / "runs.parquet")
    read = pd.read_parquet(tmp_path / "runs.parquet")
    assert list(read.columns) == list(frame.columns)
    assert (read["score"] == frame["score"]).all()
    assert set(read["mixed"]) == {"a", "1"}


def test_a_format_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--out runs\.xlsx: should end in \.csv or \.parquet"):
        examine_format(Path("runs.xlsx"))
    monkeypatch.setattr("reports.frames.export.find_spec", lambda name: None if name == "pyarrow" else find_spec(name))
    with pytest.raises(UserError, match=r"pip install 'mtp-lab\[parquet\]'"):
        examine_format(Path("runs.parquet"))
