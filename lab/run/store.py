"""The folder of a run on disk. A kill at any moment loses nothing and leaves nothing that would be trusted wrongly.

    runs/<identity>/
        spec.json            the settings, every default written out
        environment.json     format of the folder; the code, package versions and machine of the latest start
        metrics.jsonl        one line per measurement, without clock times, so that equal runs have equal bytes
        timing.jsonl         seconds of each stretch of training and of evaluation
        last.safetensors     weights, optimiser and progress after the latest evaluation
        best.safetensors     weights at the best validation score
        weights-*.safetensors  weights kept at the steps that `training.keep_every_steps` names
        result.json          written last: the run is complete
        anew/                the same files of the run while it is trained again, until they replace those above

Whole files are written under a temporary name, flushed and renamed. The two logs are appended to and flushed before
the checkpoint that counts their lines; when a run resumes, lines after that count are cut off. Every file says to
which run it belongs. A file that is damaged, or of another run or format, is refused with a sentence that says which
files to delete.
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

from generators.foundation.code.version import CodeVersion, changed_parts
from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.outside import distribution_name, distribution_version
from generators.foundation.settings import Tree
from generators.table import TASKS
from lab.code.coverage import code_of_kinds
from lab.model.table import MODELS
from lab.objectives.table import OBJECTIVES
from lab.run.checkpoints import InvalidCheckpoint, pack_checkpoint, read_checkpoint
from lab.run.files import json_bytes, lock_folder, write_atomically
from lab.run.spec import RunSpec, parse_spec

FORMAT = 2
"""Format of a run's folder, raised whenever older folders would be read wrongly. Format 1 stored no number."""

SPEC, ENVIRONMENT, RESULT = "spec.json", "environment.json", "result.json"
METRICS, TIMING = "metrics.jsonl", "timing.jsonl"
LOG_KEYS = {METRICS: {"step", "split"}, TIMING: {"step", "train_seconds", "evaluate_seconds"}}
"""Keys that every line of a log has."""
LAST, BEST = "last.safetensors", "best.safetensors"
ANEW = "anew"
CODE = "code"
"""The key of the code in environment.json."""

REWRITE = "delete it and train the run again, which writes it again"
RESUME = "delete it and train the run again, which resumes from the last checkpoint"


class RunFolder:
    """One run on disk.

    Args:
        home: the folder that holds `runs`.
        identity: the run's identity, the name of its folder.
        part: a folder within that folder; by default that folder itself.

    Every method that reads raises a UserError if the file is damaged, or of another run or format.
    """

    def __init__(self, home: Path, identity: str, part: str = "") -> None:
        self.home, self.identity = home, identity
        self.path = home / "runs" / identity / part

    @property
    def anew(self) -> "RunFolder":
        """The folder in which the run is trained again while its results are kept."""
        return RunFolder(self.home, self.identity, ANEW)

    @contextmanager
    def locked(self, spec: RunSpec) -> Iterator[None]:
        """Locks the folder for this process, as `lock_folder` does, and writes the spec.

        Raises:
            FolderInUse: another process is training this run.
            UserError: the folder has another format.
        """
        with lock_folder(self.path, "training this run"):
            self.check_format()
            # Written even if it exists, because it may be torn or name a corpus by an old path.
            write_atomically(self.path / SPEC, json_bytes(spec.tree()))
            yield

    def stored_settings(self) -> Tree:
        """Reads the settings of the run as they are stored, without validating them."""
        return read_object(self.path / SPEC, REWRITE)

    def spec(self) -> RunSpec:
        """Reads the spec of the run."""
        self.check_format()
        path = self.path / SPEC
        spec = parse_spec(self.stored_settings(), str(path))
        if spec.identity != self.identity:
            texts = " or ".join(f"task.{key}" for key, tree in spec.task.canonical().items() if isinstance(tree, dict))
            changed = f"the text of {texts} has changed (restore it), or " if texts else ""
            raise UserError(
                f"{path}: describes run {spec.identity}, not the run its folder is named after: {changed}it was edited "
                "or written by a lab with other settings; train the run again, which writes it again"
            )
        return spec

    def result(self) -> Tree | None:
        """Reads the result of the run; None while the run is not complete."""
        path = self.path / RESULT
        if not path.exists():
            return None
        self.check_format()
        result = read_object(path, RESUME)
        if (run := result.pop("run", None)) != self.identity or "status" not in result:
            content = f"the result of run {run}" if run not in (None, self.identity) else "not a run's result"
            raise UserError(f"{path}: {content}; {RESUME}")
        return result

    def write_result(self, result: Tree) -> None:
        """Writes the result, which declares the run complete."""
        write_atomically(self.path / RESULT, json_bytes({"run": self.identity, **result}))

    def write_environment(self, spec: RunSpec) -> None:
        """Writes the code, the versions of all packages that the numbers depend on, and the machine.

        A run that resumes keeps the code that it began with.
        """
        resumes = (self.path / LAST).exists()
        code = self.code() if resumes else code_of(spec)
        packages = {name: version(name) for name in ("torch", "numpy")}
        kinds = (TASKS, spec.task.kind), (MODELS, spec.model.kind), (OBJECTIVES, spec.objective.kind)
        origins = [registry.package(kind) for registry, kind in kinds]
        packages |= {distribution_name(package): distribution_version(package) for package in origins if package}
        machine = {"python": platform.python_version(), "system": platform.platform(), "processor": platform.machine()}
        environment: Tree = {"format": FORMAT, **packages, **machine, "threads": torch.get_num_threads()}
        environment |= {} if code is None else {CODE: dict(code)}
        write_atomically(self.path / ENVIRONMENT, json_bytes(environment))

    def environment(self) -> Tree:
        """Reads the versions and the machine of the run; returns an empty dictionary if the run never started."""
        return {key: value for key, value in self._read_environment().items() if key != CODE}

    def code(self) -> CodeVersion | None:
        """Reads the version of the code that makes the run.

        Returns:
            None if it is unknown, because the run never started or an earlier version of the lab began it.
        """
        code = self._read_environment().get(CODE)
        whole = isinstance(code, dict) and all(isinstance(digest, str) for digest in code.values())
        return code if whole else None

    def changed_code(self) -> list[str]:
        """Returns the parts of the code whose installed version differs from the one that trained the run."""
        return changed_parts(self.code() or {})

    def _read_environment(self) -> Tree:
        path = self.path / ENVIRONMENT
        return read_object(path, REWRITE) if path.exists() else {}

    def check_format(self) -> None:
        """Refuses a folder that another version of the lab wrote in another format.

        Raises:
            UserError: says what to do about it.
        """
        if not (self.path / ENVIRONMENT).exists():  # killed before anything was stored
            return
        stored = self._read_environment().get("format", 1)
        if stored != FORMAT:
            age = "an earlier" if isinstance(stored, int) and stored < FORMAT else "a later"
            raise UserError(
                f"{self.path}: written by {age} version of the lab (format {stored}, this version has {FORMAT}); "
                "read it with that version, or delete the folder or choose another --home and train again"
            )

    def append(self, log: str, line: Tree) -> None:
        """Appends one line to a log; the line is on disk when this returns."""
        try:
            with (self.path / log).open("ab") as file:
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WorkFailed(
                f"{self.path / log}: could not be written ({error.strerror}); the last checkpoint is intact"
            ) from None

    def truncate(self, log: str, lines: int) -> None:
        """Cuts a log back to its first `lines` lines, all of which must exist and be whole."""
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
            raise WorkFailed(f"{path}: could not be cut back to the last checkpoint ({error.strerror})") from None

    def _check_log(self, log: str, kept: list[bytes], lines: int) -> None:
        whole = sum(line.endswith(b"\n") for line in kept)
        if whole < lines:
            raise self.damaged(log, f"has {whole} whole lines, but {LAST} was written after {lines}")
        self._parse(log, kept)

    def lines(self, log: str) -> list[Tree]:
        """Reads the lines of a log; a last line torn by a kill is left out."""
        path = self.path / log
        if not path.exists():
            return []
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        return self._parse(log, whole.splitlines())

    def validation_scores(self, step: int) -> dict[str, dict[str, float]]:
        """Reads the logged validation metrics of a step: "validation" -> metric -> value."""
        lines = self.lines(METRICS)
        (line,) = (line for line in lines if line["step"] == step and line["split"] == "validation")
        return {"validation": {name: value for name, value in line.items() if name not in ("step", "split")}}

    def _parse(self, log: str, lines: list[bytes]) -> list[Tree]:
        parsed = []
        for number, line in enumerate(lines, start=1):
            try:
                entry: Any = json.loads(line)
            except ValueError:
                raise self.damaged(log, f"line {number} is not JSON") from None
            if not (isinstance(entry, dict) and entry.keys() >= LOG_KEYS[log]):
                raise self.damaged(log, f"line {number} has not {', '.join(sorted(LOG_KEYS[log]))}")
            parsed.append(entry)
        return parsed

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor], progress: Tree) -> None:
        """Writes a checkpoint: tensors, and the progress of the run in the header."""
        write_atomically(self.path / name, pack_checkpoint(tensors, self.identity, progress))

    def read_tensors(self, name: str) -> tuple[dict[str, Tensor], Tree] | None:
        """Reads the tensors and the progress of a checkpoint; None if no such checkpoint was written yet."""
        path = self.path / name
        self.check_format()
        if not path.exists():
            if name == BEST and (self.path / LAST).exists():
                raise self.damaged(name, f"is missing, though {LAST} says it was written")
            return None
        try:
            return read_checkpoint(path, self.identity)
        except InvalidCheckpoint as error:
            raise self.damaged(name, f"is {error}") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None

    def damaged(self, name: str, reason: str) -> UserError:
        """Builds the error for a file that training cannot resume from; the message says how to train again."""
        path = self.path / name
        stored = [other for other in (LAST, RESULT) if (self.path / other).exists()] or [name]
        return UserError(
            f"{path}: {reason}; delete {' and '.join(stored)} there and train the run again from its start"
        )


def code_of(spec: RunSpec) -> CodeVersion:
    """Returns the version of the code that would make a run now."""
    runs = [spec, *([spec.start.run] if spec.start else [])]
    kinds = [frozenset(getattr(run, noun).kind for run in runs) for noun in ("task", "model", "objective")]
    return code_of_kinds(*kinds, finetuned=len(runs) > 1, stacked=any(run.training.stack > 1 for run in runs))


def read_object(path: Path, remedy: str) -> Tree:
    """Reads a file with one JSON object; `remedy` ends the error message if it holds something else."""
    try:
        value: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # also raised for bytes that are not UTF-8
        raise UserError(f"{path}: not valid JSON ({error}); {remedy}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object; {remedy}")
    return value


def find_run(home: Path, name: str) -> RunFolder:
    """Finds the run whose identity begins with `name`.

    Raises:
        UserError: no run or several runs match.
    """
    stored = sorted(path.parent.name for path in (home / "runs").glob("*/spec.json"))
    matches = [identity for identity in stored if name and identity.startswith(name)]
    if len(matches) != 1:
        problem = f"{len(matches)} runs start with that" if matches else "no run starts with that"
        remedy = "give more of its identity" if matches else "give the name of a folder there, or the start of one"
        raise UserError(f"run {name!r}: {problem} in {home / 'runs'}; {remedy}")
    return RunFolder(home, matches[0])
