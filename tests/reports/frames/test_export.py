"""`lab results` exports every run of a ledger, in either format, and refuses other formats before it reads."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from generators.foundation.errors import UserError
from lab.doctor.extras import install_command
from reports.frames.export import check_format, every_run, write_frame
from tests.conftest import Lab
from tests.reports.stored_study import StoredStudy, ledger_file


def test_every_run_of_the_ledger_is_a_row_of_the_file(broken_store: StoredStudy, tmp_path: Path, lab: Lab) -> None:
    out = tmp_path / "new" / "runs.csv"
    output = lab("results", "small", "--home", broken_store.home, "--out", out, "--json")
    entries = {entry["run"]: entry for cell in ledger_file(broken_store) for entry in cell["entries"]}
    assert json.loads(output.stdout)["runs"] == len(entries)
    frame = pd.read_csv(out, dtype={"run": str}).set_index("run")
    assert frame.index.is_unique
    assert set(frame.index) == set(entries)
    assert set(frame["study"] + frame["scale"]) == {"smallcpu"}
    for run, entry in entries.items():
        assert frame.loc[run, "score"] == pytest.approx(entry["score"], nan_ok=True) or entry["score"] is None


def test_parquet_reads_back_the_same(usual_store: StoredStudy, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = every_run(usual_store.home, [usual_store.study])
    frame["mixed"] = ["a", 1] * (len(frame) // 2)
    write_frame(frame, tmp_path / "runs.parquet")
    stored = pd.read_parquet(tmp_path / "runs.parquet")
    assert list(stored.columns) == list(frame.columns)
    assert (stored["score"] == frame["score"]).all()
    assert set(stored["mixed"]) == {"a", "1"}


def test_a_format_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.frames.export.find_spec", lambda name: None if name == "pyarrow" else find_spec(name))
    with pytest.raises(UserError, match=re.escape(install_command("pyarrow"))):
        check_format(Path("runs.parquet"))
