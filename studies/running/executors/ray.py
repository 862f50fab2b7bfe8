"""Workers on a Ray cluster that exists. Each is an actor: it keeps a place in the cluster for run after run.

Ray finds the places, packs several workers on a GPU and tells of those that died, with their node or alone; who does
which run is `workers.py`'s affair, as it is on one machine. Never more runs are in flight than there are workers, and
what comes back is a result of a few hundred bytes: everything else is in the run's folder, on storage that every
machine sees under the same path. Ray: Moritz et al. 2018, "Ray: a distributed framework for emerging AI applications".
"""

import logging
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from generators.foundation.errors import UserError
from studies.running.executors.executor import Key, Outcome, Work, attempt
from studies.running.executors.workers import Message, Workers

try:
    import ray
except ImportError:
    raise UserError("--executor ray: Ray is not installed; pip install 'mtp-lab[ray]'") from None

CONNECT_SECONDS = 60
PROBE = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
HINT = (
    "give the HOST:PORT that `ray start --head` showed, run this on a machine of the cluster, and where that was "
    "started with RAY_AUTH_MODE=token set that here too, with its token in RAY_AUTH_TOKEN"
)


class RayWorker:
    """The life of a worker, in a process of the cluster."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder

    def ready(self) -> str | None:
        """Why it cannot be a worker, if so."""
        if not self.folder.is_dir():
            return (
                f"{self.folder}: not there on {socket.gethostname()}; "
                "--home should be on storage that every machine of the cluster has under this path"
            )
        import lab.run.training  # noqa: F401  # before it is ready, so that no run's limit pays for it

        return None

    def attempt(self, work: Work) -> Outcome:
        """One run."""
        return attempt(work, self.home)


class RayWorkers(Workers[Key, Any]):
    """The executor of a cluster; its workers are handles of actors.

    Args:
        folder: of the study, which has to be where the workers are too.
        count: of workers; as many as the cluster now has room for where None.
        gpus: of each worker: 0.25 lets four share one.

    Raises:
        UserError: no cluster answers there, or it does not let us in.
    """

    def __init__(
        self, home: Path, folder: Path, address: str, count: int | None, gpus: float, limit_seconds: float | None
    ) -> None:
        connect(address)
        super().__init__(home.absolute(), count or room(gpus), limit_seconds)
        self.folder = folder.absolute()
        self.actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(RayWorker)
        self.answers: dict[Any, Any] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        ray.shutdown()  # the connection; the cluster stays

    def start(self) -> Any:
        worker = self.actor.remote(self.home, self.folder)
        self.answers[worker.ready.remote()] = worker
        return worker

    def hand(self, worker: Any, work: Work) -> None:
        self.answers[worker.attempt.remote(work)] = worker

    def listen(self, seconds: float) -> list[tuple[Any, Message]]:
        answered, _ = ray.wait(list(self.answers), timeout=seconds)
        return [(self.answers[answer], self._message(answer)) for answer in answered]

    def _message(self, answer: Any) -> Message:
        try:
            said = ray.get(answer)
        except ray.exceptions.RayTaskError as error:  # not the run's: what that raises is its outcome
            raise UserError(
                f"--executor ray: a worker could not start ({error.cause}); the lab should be installed, in the same "
                "version, on every machine of the cluster"
            ) from None
        except ray.exceptions.RayError:
            return "died"
        finally:
            del self.answers[answer]
        if isinstance(said, str):
            raise UserError(said)
        return said if isinstance(said, Outcome) else "ready"

    def kill(self, worker: Any) -> None:
        self.answers = {answer: other for answer, other in self.answers.items() if other is not worker}
        ray.kill(worker)


def connect(address: str) -> None:
    """Connect to a cluster, or say in one sentence why not, within about a minute. Ray by itself keeps trying and then
    says only that it failed, so it tries in a process that can be ended, first."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal()):
        raise UserError(f"--address {address}: should be HOST:PORT, for example 10.0.0.1:6379")
    refused = f"--address {address}: no Ray cluster lets us in there"
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"{refused} ({error}); {HINT}") from None
    try:
        command = [sys.executable, "-c", PROBE, address]
        subprocess.run(command, check=True, capture_output=True, timeout=CONNECT_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise UserError(f"{refused}; {HINT}") from None
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


def room(gpus: float) -> int:
    """Workers that the cluster has room for."""
    resources = ray.cluster_resources()
    places = resources.get("CPU", 0.0)
    if gpus:
        places = min(places, resources.get("GPU", 0.0) / gpus)
    if places < 1:
        what = f"a CPU and {gpus:g} GPUs" if gpus else "a CPU"
        raise UserError(f"--executor ray: no machine of the cluster has {what} for a run")
    return int(places)
