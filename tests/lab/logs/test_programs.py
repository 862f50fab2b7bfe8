"""`lab train --log`: TensorBoard itself, and stand-ins for Weights & Biases and MLflow that record their calls."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lab.doctor.extras import install_command
from tests.conftest import Lab

TITLE = "multi_token on induction, 4 steps, seed 0"
SHORT = ("--set", "training.steps=4", "--set", "training.evaluate_every_steps=2", "--set", "training.warmup_steps=1")


@pytest.fixture
def train(lab: Lab, spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: lab("train", spec_file, "--home", tmp_path / "home", *SHORT, *arguments)


def test_tensorboard_shows_a_run_under_its_title_and_identity(train: Lab, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        assert train("--log", "tensorboard").returncode == 0
    ((folder, run),) = [
        (path, next((tmp_path / "home" / "runs").iterdir()).name)
        for path in (tmp_path / "home" / "logs" / "tensorboard").glob("multi*")
    ]
    assert folder.name.endswith(f"({run})")
    reader = EventAccumulator(str(folder))
    reader.Reload()
    assert {"train/loss_1", "train/learning_rate", "validation/accuracy"} <= set(reader.Tags()["scalars"])
    assert [event.step for event in reader.Scalars("validation/loss_1")] == [2, 4]


def test_weights_and_biases_runs_offline_unless_the_environment_says_otherwise(
    train: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []
    fake: Any = ModuleType("wandb")
    fake.Settings = SimpleNamespace
    run = SimpleNamespace(
        log=lambda values, step, commit: calls.append(("log", (step, sorted(values)[0]))),
        finish=lambda: calls.append(("finish", None)),
        url="the address",
    )
    fake.init = lambda **options: calls.append(("init", options)) or run
    monkeypatch.setitem(sys.modules, "wandb", fake)
    assert train("--log", "wandb").returncode == 0
    (_, options), *rest = calls
    assert (options["mode"], options["resume"], options["config"]["objective"]["n"]) == ("offline", "allow", 2)
    assert options["name"].endswith(f"({options['id']})")
    assert Path(options["dir"]) == tmp_path / "home" / "logs" / "wandb"
    first_name = "train/learning_rate"
    assert rest == [("log", (2, first_name)), ("log", (4, first_name)), ("finish", None)]
    monkeypatch.setenv("WANDB_MODE", "online")
    assert "--log wandb: the address" in train("--log", "wandb", "--seed", 1).stderr
    assert calls[4][1]["mode"] == "online"


class FakeClient:
    """The part of MLflow's client that the lab uses; experiments and runs are those of the class."""

    calls: list[Any] = []  # noqa: RUF012
    runs: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, tracking_uri: str) -> None:
        self.calls.append(("address", tracking_uri))

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="1") if self.runs else None

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        return "1"

    def search_runs(self, experiments: list[str], filter_string: str, max_results: int) -> list[Any]:
        return [
            SimpleNamespace(info=SimpleNamespace(run_id=run)) for key, run in self.runs.items() if key in filter_string
        ]

    def create_run(self, experiment: str, tags: dict[str, str], run_name: str) -> Any:
        (key,) = tags.values()
        self.runs[key] = run_name
        return SimpleNamespace(info=SimpleNamespace(run_id=run_name))

    def log_param(self, run: str, key: str, value: object) -> None:
        self.calls.append((key, value))

    def update_run(self, run: str, status: str) -> None:
        self.calls.append(status)

    def log_batch(self, run: str, metrics: list[Any]) -> None:
        self.calls.append((run, {step for *_, step in metrics}))

    def set_terminated(self, run: str) -> None:
        self.calls.append("terminated")


def test_mlflow_finds_a_run_again_and_stays_in_the_home_folder(
    train: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeClient.calls.clear()
    FakeClient.runs.clear()
    for name, content in (
        ("mlflow", {}),
        ("mlflow.entities", {"Metric": lambda *values: values}),
        ("mlflow.tracking", {"MlflowClient": FakeClient}),
    ):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    assert train("--log", "mlflow").returncode == 0
    (identity,) = FakeClient.runs
    name = FakeClient.runs[identity]
    database = tmp_path / "home" / "logs" / "mlflow" / "mlflow.db"
    assert FakeClient.calls[0] == ("address", f"sqlite:///{database}")
    assert ("objective.n", 2) in FakeClient.calls
    assert FakeClient.calls[-4:] == ["RUNNING", (name, {2}), (name, {4}), "terminated"]
    (tmp_path / "home" / "logs" / "mlflow" / "delivered" / f"{identity}.jsonl").unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "elsewhere")
    assert "mlflow ui --backend-store-uri elsewhere" in train("--log", "mlflow").stderr
    assert list(FakeClient.runs) == [identity]


@pytest.mark.parametrize(
    ("program", "package"), [("tensorboard", "tensorboard"), ("wandb", "wandb"), ("mlflow", "mlflow-skinny")]
)
def test_a_program_that_is_not_installed_is_refused_with_the_command_that_installs_it(
    program: str, package: str, train: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.logs.run_log.find_spec", lambda name: None)
    refused = train("--log", program)
    assert refused.returncode == 2
    assert refused.stderr == f"lab: --log {program}: needs {package}: {install_command(package)}\n"
    assert not (tmp_path / "home").exists()


def test_an_unknown_program_is_refused_with_the_nearest(train: Lab) -> None:
    assert importlib.util.find_spec("tensorbord") is None
    refused = train("--log", "tensorbord")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "the nearest is tensorboard" in refused.stderr
