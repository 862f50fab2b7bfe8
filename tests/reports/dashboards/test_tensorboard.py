"""TensorBoard reads back what the runs logged."""

import json
import sys
from pathlib import Path

import pytest

from lab.doctor.extras import install_command
from tests.conftest import Lab
from tests.reports.stored_study import StoredStudy, ledger_file


def test_every_logged_number_of_every_run_is_read_back(broken_store: StoredStudy, tmp_path: Path, lab: Lab) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "events"
    value = json.loads(lab("tensorboard", "--out", out, "--home", broken_store.home, "--json").stdout)
    folders = sorted((out / "small-cpu").iterdir())
    assert value == {"folder": str(out), "runs": {"small-cpu": len(folders)}, "left_out": {}}
    assert "width=8 n=1, seed 0" in [folder.name for folder in folders]
    for cell in ledger_file(broken_store):
        trials = 0
        for entry in cell["entries"]:
            tuned = entry["phase"] == "tune"
            name = f"{cell['cell']}, " + (f"trial {trials}" if tuned else f"seed {entry['seed']}")
            trials += tuned
            log = broken_store.home / "runs" / entry["run"] / "metrics.jsonl"
            if not log.exists():
                assert not (out / "small-cpu" / name).exists()
                continue
            reader = EventAccumulator(str(out / "small-cpu" / name)).Reload()
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            expected = {
                (f"{line['split']}/{metric}", line["step"]): value
                for line in lines
                for metric, value in line.items()
                if metric not in ("step", "split")
            }
            tags = reader.Tags()["scalars"]
            events = {(tag, event.step): event.value for tag in tags for event in reader.Scalars(tag)}
            assert events == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["induction-quick"], "study 'induction-quick' never ran"),
        (["--home", "nowhere"], "no study ran under"),
        ([], f"needs tensorboard: {install_command('tensorboard')}"),
    ],
)
def test_requests_that_cannot_be_met_are_refused_in_a_sentence(
    usual_store: StoredStudy,
    tmp_path: Path,
    arguments: list[str],
    reason: str,
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.chdir(tmp_path)
    output = lab("tensorboard", "--home", usual_store.home, "--out", "new", *arguments)
    assert output.returncode == 2
    assert reason in output.stderr
    assert not (tmp_path / "new").exists()
