"""Workers on an existing Ray cluster. Each is an actor, which keeps its resources from run to run.

Ray places the workers, packs several on a GPU and reports those that died, alone or with their node; `workers.py`
decides which worker trains which run, as on one machine. There are never more runs than workers, and a result has a few
hundred bytes: everything else is in the run's folder, on storage that every machine sees under the same path. Ray:
Moritz et al. 2018, "Ray: a distributed framework for emerging AI applications".
"""

import logging
import socket
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.processes import SAFE_PATH_FLAG
from lab.doctor.extras import install_command
from studies.running.executors.attempt import attempt, attempt_stack
from studies.running.executors.executor import ExecutorContext, Key, Outcome, RunRequest
from studies.running.executors.workers import Message, WorkerExecutor, WorkerSettings

CONNECT_SECONDS = 60
PROBE = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
HINT = (
    "give the HOST:PORT that `ray start --head` showed, and run this on a machine of the cluster; if the cluster was "
    "started with RAY_AUTH_MODE=token, set that here too, with its token in RAY_AUTH_TOKEN"
)


class RaySettings(WorkerSettings):
    """The settings of the Ray executor."""

    address: str | None = Field(default=None, description="HOST:PORT of the head of the cluster")
    gpus_per_run: float | None = Field(default=None, ge=0, description="0.25 lets four runs share a GPU")


class RayWorker:
    """A worker in a process of the cluster."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder

    def ready(self) -> str | None:
        """Returns why this process cannot be a worker, None if it can."""
        if not self.folder.is_dir():
            return (
                f"{self.folder}: not there on {socket.gethostname()}; "
                "--home should be on storage that every machine of the cluster has under this path"
            )
        import lab.run.training  # noqa: F401  # before it is ready, so that the import counts against no run's limit

        return None

    def attempt(self, requests: tuple[RunRequest, ...]) -> list[Outcome]:
        """Trains one run, or several as one stack."""
        return [attempt(requests[0], self.home)] if len(requests) == 1 else attempt_stack(requests, self.home)


class RayWorkers(WorkerExecutor[Key, Any]):
    """The executor of a cluster; its workers are handles of actors.

    Args:
        folder: the folder of the study, which must exist where the workers are too.
        count: number of workers; None for as many as the cluster has room for.
        gpus: GPUs per worker: 0.25 lets four workers share one.

    Raises:
        UserError: Ray is not installed, no cluster answers at the address, or it refuses the connection.
    """

    summary = "workers on an existing Ray cluster"
    settings = RaySettings

    def __init__(
        self, home: Path, folder: Path, address: str, count: int | None, gpus: float, limit_seconds: float | None
    ) -> None:
        self.ray = import_ray()
        connect(self.ray, address)
        super().__init__(home.absolute(), count or workers_that_fit(self.ray, gpus), limit_seconds)
        self.folder = folder.absolute()
        self.actor = self.ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(RayWorker)
        self.answers: dict[Any, Any] = {}

    @classmethod
    def create(cls, settings: RaySettings, context: ExecutorContext) -> Self:
        if settings.address is None:
            raise UserError("--executor ray: connects to an existing cluster; give --address HOST:PORT of its head")
        gpus = settings.gpus_per_run or 0.0
        return cls(context.home, context.folder, settings.address, settings.workers, gpus, settings.run_limit)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.ray.shutdown()  # the connection; the cluster stays

    def start(self) -> Any:
        worker = self.actor.remote(self.home, self.folder)
        self.answers[worker.ready.remote()] = worker
        return worker

    def send(self, worker: Any, requests: tuple[RunRequest, ...]) -> None:
        self.answers[worker.attempt.remote(requests)] = worker

    def receive(self, seconds: float) -> list[tuple[Any, Message]]:
        answers, _ = self.ray.wait(list(self.answers), timeout=seconds)
        return [(self.answers[answer], self._message(answer)) for answer in answers]

    def _message(self, answer: Any) -> Message:
        try:
            content = self.ray.get(answer)
        except self.ray.exceptions.RayTaskError as error:  # not from the run: what a run raises is its outcome
            raise UserError(
                f"--executor ray: a worker could not start ({error.cause}); the lab should be installed, in the same "
                "version, on every machine of the cluster"
            ) from None
        except self.ray.exceptions.RayError:
            return "died"
        finally:
            del self.answers[answer]
        if isinstance(content, str):
            raise UserError(content)
        return content if isinstance(content, list) else "ready"

    def kill(self, worker: Any) -> None:
        self.answers = {answer: other for answer, other in self.answers.items() if other is not worker}
        self.ray.kill(worker)


def import_ray() -> Any:
    """Returns the ray module, an optional dependency."""
    try:
        import ray
    except ImportError:
        raise UserError(f"--executor ray: Ray is not installed; {install_command('ray')}") from None
    return ray


def connect(ray: Any, address: str) -> None:
    """Connects to a cluster.

    Ray itself keeps trying and then reports only that it failed, so the first attempt is made in a process that can be
    ended.

    Raises:
        UserError: there is no connection within about a minute.
    """
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal()):
        raise UserError(f"--address {address}: should be HOST:PORT, for example 10.0.0.1:6379")
    refusal = f"--address {address}: no Ray cluster accepts the connection"
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"{refusal} ({error}); {HINT}") from None
    try:
        command = [sys.executable, SAFE_PATH_FLAG, "-c", PROBE, address]
        subprocess.run(command, check=True, capture_output=True, timeout=CONNECT_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise UserError(f"{refusal}; {HINT}") from None
    with TemporaryDirectory() as empty, chdir(empty):  # Ray puts the current folder first on the path of every worker
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


def workers_that_fit(ray: Any, gpus: float) -> int:
    """Returns the number of workers that the cluster has room for."""
    resources = ray.cluster_resources()
    places = resources.get("CPU", 0.0)
    if gpus:
        places = min(places, resources.get("GPU", 0.0) / gpus)
    if places < 1:
        needs = f"a CPU and {gpus:zg} GPUs" if gpus else "a CPU"
        raise UserError(f"--executor ray: no machine of the cluster has {needs} for a run")
    return int(places)
