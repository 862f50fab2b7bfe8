"""A run's folder on disk, written so that a kill at any moment loses nothing and leaves nothing to trust wrongly.

    runs/<identity>/
        spec.json            what was asked, every default written out
        environment.json     format of the folder; versions and machine of the latest start
        metrics.jsonl        one line a measurement; no clock in it, so that equal runs have equal bytes
        timing.jsonl         seconds of each stretch of training and of evaluation
        last.safetensors     weights, optimiser and progress after the latest evaluation
        best.safetensors     weights at the best validation score
        result.json          written last: the run is complete

Whole files are written to a temporary name, flushed and renamed. The two logs are appended to and flushed before
the checkpoint that counts their lines; lines behind that number are cut off when a run is taken up again. What is
read says whose it is: a file that is damaged, of another run or of another format is refused with a sentence that
says which files to delete.
"""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.settings import Tree
from generators.table import TASKS
from lab.objectives.table import OBJECTIVES
from lab.run.checkpoints import InvalidCheckpoint, pack, unpack
from lab.run.files import json_bytes, lock_folder, write_atomically
from lab.run.spec import RunSpec, parse_spec

FORMAT = 2
"""Of a run's folder. One more whenever a folder of before would be read wrongly; 1 had no number."""

SPEC, ENVIRONMENT, RESULT = "spec.json", "environment.json", "result.json"
METRICS, TIMING = "metrics.jsonl", "timing.jsonl"
LAST, BEST = "last.safetensors", "best.safetensors"

ANEW = "delete it and train the run again, which writes it anew"
GOES_ON = "delete it and train the run again, which goes on from the last checkpoint"


class RunFolder:
    """One run on disk.

    Everything that reads raises a UserError where a file is damaged, of another run or of another format.
    """

    def __init__(self, home: Path, identity: str) -> None:
        self.path = home / "runs" / identity
        self.identity = identity

    @contextmanager
    def locked(self, spec: RunSpec) -> Iterator[None]:
        """Hold the folder for one process; the lock ends with the process, however it ends.

        Raises:
            FolderInUse: another process is training this run.
            UserError: the folder is of another format.
        """
        with lock_folder(self.path, "training this run"):
            self._check_format()
            # Also when it exists: it may be torn, or give a corpus by an old path.
            write_atomically(self.path / SPEC, json_bytes(spec.tree()))
            yield

    def spec(self) -> RunSpec:
        """The run's spec as stored."""
        self._check_format()
        path = self.path / SPEC
        spec = parse_spec(_read_tree(path, ANEW), str(path))
        if spec.identity != self.identity:
            raise UserError(
                f"{path}: describes run {spec.identity}, not the one its folder is named after: it was edited, or "
                "written by a lab with other settings; train the run again, which writes it anew"
            )
        return spec

    def result(self) -> Tree | None:
        """What the run came to, or None while it is not complete."""
        path = self.path / RESULT
        if not path.exists():
            return None
        self._check_format()
        result = _read_tree(path, GOES_ON)
        if (run := result.pop("run", None)) != self.identity or "status" not in result:
            whose = f"the result of run {run}" if run not in (None, self.identity) else "not a run's result"
            raise UserError(f"{path}: {whose}; {GOES_ON}")
        return result

    def write_result(self, result: Tree) -> None:
        """Declare the run complete."""
        write_atomically(self.path / RESULT, json_bytes({"run": self.identity, **result}))

    def write_environment(self, spec: RunSpec) -> None:
        """Versions, those of the packages that task and objective come from included, and the machine."""
        packages = {name: version(name) for name in ("torch", "numpy")}
        origins = (TASKS.package(spec.task.kind), OBJECTIVES.package(spec.objective.kind))
        packages |= {package.name: package.version for package in origins if package}
        machine = {"python": platform.python_version(), "system": platform.platform(), "processor": platform.machine()}
        threads = {"threads": torch.get_num_threads()}
        write_atomically(self.path / ENVIRONMENT, json_bytes({"format": FORMAT, **packages, **machine, **threads}))

    def _check_format(self) -> None:
        path = self.path / ENVIRONMENT
        if not path.exists():  # killed before anything was stored
            return
        found = _read_tree(path, ANEW).get("format", 1)
        if found != FORMAT:
            age = "an earlier" if isinstance(found, int) and found < FORMAT else "a later"
            raise UserError(
                f"{self.path}: written by {age} version of the lab (format {found}, this one has {FORMAT}); "
                "read it with that version, or delete the folder or choose another --home and train again"
            )

    def append(self, log: str, line: Tree) -> None:
        """One line behind a log, on disk when this returns."""
        try:
            with (self.path / log).open("ab") as file:
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WorkFailed(
                f"{self.path / log}: could not be written ({error.strerror}); the last checkpoint is intact"
            ) from None

    def cut(self, log: str, lines: int) -> None:
        """Take a log back to its first `lines` lines, which must be there."""
        path = self.path / log
        if lines == 0 and not path.exists():
            return
        try:
            content = path.read_bytes() if path.exists() else b""
            kept = content.splitlines(keepends=True)[:lines]
            if lines:
                self._check_log(log, kept, lines)
            os.truncate(path, sum(map(len, kept)))
        except OSError as error:
            raise WorkFailed(f"{path}: could not be taken up again ({error.strerror})") from None

    def _check_log(self, log: str, kept: list[bytes], lines: int) -> None:
        whole = sum(line.endswith(b"\n") for line in kept)
        if whole < lines:
            raise self.damaged(log, f"has {whole} whole lines, and {LAST} was written after {lines}")
        self._parse(log, kept)

    def lines(self, log: str) -> list[Tree]:
        """A log's lines; a last line torn by a kill is left out."""
        path = self.path / log
        if not path.exists():
            return []
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        return self._parse(log, whole.splitlines())

    def _parse(self, log: str, lines: list[bytes]) -> list[Tree]:
        parsed = []
        for number, line in enumerate(lines, start=1):
            try:
                parsed.append(json.loads(line))
            except ValueError:
                raise self.damaged(log, f"line {number} is not JSON") from None
        return parsed

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor], progress: Tree) -> None:
        """A safetensors file with the progress of the run in its header."""
        write_atomically(self.path / name, pack(tensors, self.identity, progress))

    def read_tensors(self, name: str) -> tuple[dict[str, Tensor], Tree] | None:
        """Tensors and progress of a file, or None where there is none and none was written."""
        path = self.path / name
        self._check_format()
        if not path.exists():
            if name == BEST and (self.path / LAST).exists():
                raise self.damaged(name, f"is missing, though {LAST} says it was written")
            return None
        try:
            return unpack(path, self.identity)
        except InvalidCheckpoint as error:
            raise self.damaged(name, f"is {error}") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None

    def damaged(self, name: str, why: str) -> UserError:
        """A file that training cannot go on from, and how to train the run again from its start."""
        path = self.path / name
        stored = [other for other in (LAST, RESULT) if (self.path / other).exists()] or [name]
        return UserError(f"{path}: {why}; delete {' and '.join(stored)} there and train the run again from its start")


def _read_tree(path: Path, cure: str) -> Tree:
    """The JSON object of a file; `cure` says what to do where it is none."""
    try:
        found: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # also what is no UTF-8
        raise UserError(f"{path}: not valid JSON ({error}); {cure}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: not a JSON object; {cure}")
    return found


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
