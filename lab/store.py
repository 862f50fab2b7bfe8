"""A run's folder on disk, written so that a kill at any moment loses nothing and leaves nothing to trust wrongly.

    runs/<identity>/
        spec.json            what was asked, every default written out
        environment.json     versions and machine of the latest start
        metrics.jsonl        one line a measurement; no clock in it, so that equal runs have equal bytes
        timing.jsonl         seconds of each stretch of training and of evaluation
        last.safetensors     weights, optimiser and progress after the latest evaluation
        best.safetensors     weights at the best validation score
        result.json          written last: the run is complete

Whole files are written to a temporary name, flushed and renamed. The two logs are appended to; lines
behind the number noted in `last.safetensors` are cut off when a run is taken up again.
"""

import fcntl
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from generators.errors import UserError, WorkFailed
from generators.settings import Tree
from generators.table import TASKS
from lab.objectives.table import OBJECTIVES
from lab.spec import RunSpec, parse_spec

METRICS, TIMING = "metrics.jsonl", "timing.jsonl"
LAST, BEST = "last.safetensors", "best.safetensors"
PROGRESS = "progress"  # one metadata key only: safetensors does not keep the order of several


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file at once: afterwards it is the old one or the new one, whole, also after a power cut."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise WorkFailed(f"{path}: could not be written ({error.strerror}); what was there before is intact") from None


def make_folder(path: Path) -> None:
    """The folder, made where it is not there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: no folder can be made there ({error.strerror}); choose another --home") from None


@contextmanager
def exclusive(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder for one process; the lock ends with the process, however it ends.

    Raises:
        UserError: another process holds it; `what` says what that process is doing.
    """
    make_folder(folder)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another process is {what}; wait for it or end it") from None
        yield


def dump(value: object) -> bytes:
    """JSON as files hold it: indented, keys in the order given, one newline at the end."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


class RunFolder:
    """One run on disk."""

    def __init__(self, home: Path, identity: str) -> None:
        self.path = home / "runs" / identity
        self.identity = identity

    @contextmanager
    def locked(self, spec: RunSpec) -> Iterator[None]:
        """Hold the folder for one process; the lock ends with the process, however it ends.

        Raises:
            UserError: another process is training this run, or the folder's spec is another one.
        """
        with exclusive(self.path, "training this run"):
            if not (self.path / "spec.json").exists():
                write_whole(self.path / "spec.json", dump(spec.tree()))
            yield

    def spec(self) -> RunSpec:
        """The run's spec as stored."""
        path = self.path / "spec.json"
        return parse_spec(_read_json(path), str(path))

    def result(self) -> Tree | None:
        """What the run came to, or None while it is not complete."""
        path = self.path / "result.json"
        return _read_json(path) if path.exists() else None

    def write_result(self, result: Tree) -> None:
        """Declare the run complete."""
        write_whole(self.path / "result.json", dump(result))

    def write_environment(self, spec: RunSpec) -> None:
        """Versions, those of the packages that task and objective come from included, and the machine."""
        packages = {name: version(name) for name in ("torch", "numpy")}
        origins = (TASKS.package(spec.task.kind), OBJECTIVES.package(spec.objective.kind))
        packages |= {package.name: package.version for package in origins if package}
        machine = {"python": platform.python_version(), "system": platform.platform(), "processor": platform.machine()}
        write_whole(self.path / "environment.json", dump({**packages, **machine, "threads": torch.get_num_threads()}))

    def append(self, log: str, line: Tree) -> None:
        """One line behind a log."""
        try:
            with (self.path / log).open("ab") as file:
                file.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise WorkFailed(f"{self.path / log}: could not be written ({error.strerror})") from None

    def cut(self, log: str, lines: int) -> None:
        """Take a log back to its first `lines` lines."""
        path = self.path / log
        if path.exists():
            kept = path.read_bytes().splitlines(keepends=True)[:lines]
            os.truncate(path, sum(map(len, kept)))

    def lines(self, log: str) -> list[Tree]:
        """A log's lines; a last line torn by a kill is left out."""
        path = self.path / log
        if not path.exists():
            return []
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor], progress: Tree) -> None:
        """A safetensors file with the progress of the run in its header."""
        plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        write_whole(self.path / name, save(plain, metadata={PROGRESS: json.dumps(progress)}))

    def read_tensors(self, name: str) -> tuple[dict[str, Tensor], Tree] | None:
        """Tensors and progress of a file, or None where there is none.

        Raises:
            UserError: the file is not what its name says.
        """
        path = self.path / name
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                progress = json.loads((file.metadata() or {})[PROGRESS])
                return {key: file.get_tensor(key) for key in file.keys()}, progress  # noqa: SIM118
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise UserError(f"{path}: not a checkpoint of this lab ({error}); delete it and run again") from None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from None


def find_run(home: Path, name: str) -> RunFolder:
    """The run whose identity starts with `name`.

    Raises:
        UserError: none does, or several do.
    """
    stored = sorted(path.parent.name for path in (home / "runs").glob("*/spec.json"))
    found = [identity for identity in stored if name and identity.startswith(name)]
    if len(found) != 1:
        what = "no run starts with that" if not found else f"{len(found)} runs start with that"
        raise UserError(f"run {name!r}: {what} in {home / 'runs'}; give more of its identity")
    return RunFolder(home, found[0])
