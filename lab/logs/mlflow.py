"""MLflow. Runs go to a local database in the home folder, or to MLFLOW_TRACKING_URI."""

import os
import shlex
import time
from collections.abc import Mapping

from generators.foundation.settings import Tree
from lab.logs.run_log import LoggedRun, RunLog

EXPERIMENT = "mtp-lab"
TAG = "mtp_lab.run"
"""The tag with a run's key, by which the run is found again."""
ADDRESS = "MLFLOW_TRACKING_URI"


class MLflowLog(RunLog):
    """A run of the experiment `mtp-lab`, or of MLFLOW_EXPERIMENT_NAME."""

    module, package = "mlflow", "mlflow-skinny"

    def __init__(self, run: LoggedRun) -> None:
        from mlflow.entities import Metric
        from mlflow.tracking import MlflowClient

        run.folder.mkdir(parents=True, exist_ok=True)
        self.address = os.environ.get(ADDRESS) or f"sqlite:///{(run.folder / 'mlflow.db').absolute()}"
        self.metric_class, self.client = Metric, MlflowClient(tracking_uri=self.address)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        experiment = self.client.get_experiment_by_name(name)
        local = None if os.environ.get(ADDRESS) else (run.folder / "artifacts").absolute().as_uri()
        number = (
            experiment.experiment_id if experiment else self.client.create_experiment(name, artifact_location=local)
        )
        stored = self.client.search_runs([number], filter_string=f"tags.`{TAG}` = '{run.key}'", max_results=1)
        if stored:
            self.run_id = stored[0].info.run_id
        else:
            self.run_id = self.client.create_run(number, tags={TAG: run.key}, run_name=run.name).info.run_id
            for key, value in flat_settings(run.settings).items():
                self.client.log_param(self.run_id, key, value)
        self.client.update_run(self.run_id, status="RUNNING")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(
            self.run_id, [self.metric_class(name, value, now, step) for name, value in values.items()]
        )

    def close(self) -> None:
        self.client.set_terminated(self.run_id)

    def place(self) -> str:
        return f"mlflow ui --backend-store-uri {shlex.quote(self.address)}"


def flat_settings(tree: Tree, prefix: str = "") -> dict[str, object]:
    """Returns the settings by their paths, as in `objective.n`."""
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= flat_settings(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
