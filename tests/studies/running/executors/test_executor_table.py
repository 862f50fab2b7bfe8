"""The table of executors: their settings, what they refuse, and an executor of another package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.declared.loading import declare
from studies.declared.study import Study
from studies.running.executors.local import LocalWorkers
from studies.running.executors.table import ExecutorChoice
from tests.small_study import write_small_study
from tests.studies.conftest import Edit

ROOT = Path(__file__).parents[4]
RECORDING = '''
"""Runs in the command's process that are also listed in a file."""

from pathlib import Path

from generators.foundation.settings import Settings
from studies import InProcess


class RecordingSettings(Settings):
    """Where the list is."""

    file: str


class Recording(InProcess):
    settings = RecordingSettings

    @classmethod
    def create(cls, settings, context):
        executor = cls(context.home)
        executor.file = Path(settings.file)
        return executor

    def submit(self, key, spec, analyses=()):
        with self.file.open("a") as file:
            file.write(spec.identity + "\\n")
        super().submit(key, spec, analyses)
'''


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("locl", {}, "--executor locl: no such executor; the nearest is local"),
        ("lif0", {}, "--executor lif0: no such executor; the nearest is local"),
        ("here", {"workers": 2}, "--workers: --executor here has no such setting; executors that have it: local, ray"),
        ("here", {"run_limit": 2.0}, "--run-limit: .* has no such setting; executors that have it: local, ray"),
        ("local", {"address": "a:1"}, "--address: --executor local has no such setting; executors that have it: ray"),
        ("local", {"gpus_per_run": 0.5}, "--gpus-per-run: .* has no such setting; executors that have it: ray"),
        ("local", {"worker": 2}, "--executor-set worker: .* has no such setting; the nearest is workers"),
        ("local", {"workers": 0}, "--executor local: workers = 0: should be greater than or equal to 1"),
        ("ray", {}, "--executor ray: connects to an existing cluster; give --address"),
    ],
)
def test_an_executor_refuses_a_setting_that_it_does_not_have(
    name: str, settings: dict[str, object], message: str, small: Study, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        ExecutorChoice(name, tmp_path, settings).create(small)


def test_settings_that_the_command_does_not_give_have_their_defaults(small: Study, tmp_path: Path) -> None:
    executor = ExecutorChoice("local", tmp_path, {"workers": None, "run_limit": 3.0}).create(small)
    assert isinstance(executor, LocalWorkers)
    assert (executor.count, executor.limit_seconds) == (os.cpu_count(), 3.0)


def test_runs_on_a_gpu_are_trained_one_at_a_time_unless_more_workers_are_asked_for(
    study_file: Edit, tmp_path: Path
) -> None:
    study = declare(str(study_file()), "cpu", ['training.device="cuda"'])
    counts = [ExecutorChoice("local", tmp_path, {"workers": workers}).create(study).count for workers in (None, 3)]
    assert counts == [1, 3]


@pytest.mark.slow
def test_an_executor_of_another_package_runs_a_study(tmp_path: Path) -> None:
    """The executor is one file and one entry point, installed as a wheel installs them."""
    package = tmp_path / "installed"
    metadata = package / "lab_recording-1.0.dist-info"
    metadata.mkdir(parents=True)
    (package / "lab_recording.py").write_text(RECORDING)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-recording\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[mtp_lab.executors]\nrecording = lab_recording:Recording\n")
    environment = {**os.environ, "PYTHONPATH": f"{package}:{ROOT}"}
    runs = tmp_path / "runs.txt"

    def lab(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lab", "study", *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)

    study, home = write_small_study(tmp_path), tmp_path / "home"
    run = ("run", study, "--scale", "smoke", "--home", home, "--json", "--executor", "recording")
    done = lab(*run, "--executor-set", f"file={runs}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trained"] == len(set(runs.read_text().split())) == 12
    assert "recording" in lab("run", "--help").stdout
    misspelt = lab(*run, "--executor-set", f"fil={runs}")
    assert misspelt.returncode == 2
    assert "--executor-set fil: --executor recording has no such setting; the nearest is file" in misspelt.stderr
