"""What TensorBoard reads back is what the runs logged."""

import json
import sys
from pathlib import Path

import pytest

from lab.__main__ import main
from reports.dashboards.tensorboard import app
from tests.reports.conftest import Stored, ledger


def export(stored: Stored, out: Path, *names: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        app(["tensorboard", *names, "--out", str(out), "--home", str(stored.home), "--json"], prog_name="lab")
    assert stopped.value.code == 0


def test_every_logged_number_of_every_run_is_read_back(
    broken_store: Stored, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "events"
    export(broken_store, out)
    told = json.loads(capsys.readouterr().out)
    folders = sorted(path for path in (out / "small-cpu").iterdir())
    assert told == {"folder": str(out), "runs": {"small-cpu": len(folders)}}
    assert "width=8 n=1, seed 0" in [folder.name for folder in folders]
    for cell in ledger(broken_store):
        trials = 0
        for entry in cell["entries"]:
            tuned = entry["phase"] == "tune"
            name = f"{cell['cell']}, " + (f"trial {trials}" if tuned else f"seed {entry['seed']}")
            trials += tuned
            log = broken_store.home / "runs" / entry["run"] / "metrics.jsonl"
            if not log.exists():
                assert not (out / "small-cpu" / name).exists()
                continue
            found = EventAccumulator(str(out / "small-cpu" / name)).Reload()
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            expected = {
                (f"{line['split']}/{metric}", line["step"]): value
                for line in lines
                for metric, value in line.items()
                if metric not in ("step", "split")
            }
            events = {(tag, event.step): event.value for tag in found.Tags()["scalars"] for event in found.Scalars(tag)}
            assert events == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "{full}"], "is not empty"),
        (["quick", "--out", "{new}"], "study 'quick' never ran"),
        (["--out", "{new}"], "pip install 'mtp-lab[tensorboard]'"),
        (["--out", "{new}", "--home", "{new}"], "no study ran under"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_sentence(
    usual_store: Stored,
    tmp_path: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    given = [argument.format(full=tmp_path / "full", new=tmp_path / "new") for argument in arguments]
    monkeypatch.setattr("sys.argv", ["lab", "tensorboard", "--home", str(usual_store.home), *given])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
