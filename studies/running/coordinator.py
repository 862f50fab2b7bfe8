"""The coordinator that studies and searches share while they run.

A run that the store has is taken from it; any other is submitted to an executor. Each outcome is handed to the study or
search, which decides what runs next. What exists is decided by the store alone, so a coordinator that was killed is
simply started again.
"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from generators.foundation.code.version import CodeVersion, changed_parts, conflicting_parts, parts_text, version_digest
from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.outside import PartFailed
from generators.foundation.settings import Tree
from lab.analysis.measure_store import result_path
from lab.analysis.table import SAMPLES
from lab.run.files import lock_folder
from lab.run.other_code.replacing import begin_anew
from lab.run.spec import RunSpec
from lab.run.store import RESULT, RunFolder, code_of
from studies.judging.study_code import OldRuns
from studies.ledger.folder import StudyFolder
from studies.running.executors.checked import CheckedExecutor
from studies.running.executors.executor import Analyses, Executor, Outcome
from studies.running.interrupts import Interrupts, interruptible

LEDGER_EVERY_SECONDS = 2.0
LEDGER_TIME_SHARE = 1 / 20
"""The share of the time that writing the ledger may take."""

KEPT = "runs that ended are kept, and the same command continues from here"

Request = TypeVar("Request")
Result = TypeVar("Result")


class Interrupted(WorkFailed):
    """Ctrl-C was pressed before everything had ended."""


class Coordinator(ABC, Generic[Request, Result]):
    """Trains the missing runs of a study or a search; `Request` is the purpose of a run.

    Attributes:
        trained: runs trained so far, without those taken from the store.
        codes: digest -> version of the code that made some of the runs so far.
    """

    noun = "study"

    def __init__(self, home: Path, folder: StudyFolder, old_runs: OldRuns = "keep") -> None:
        self.home, self.folder, self.old_runs = home, folder, old_runs
        self.codes: dict[str, dict[str, str]] = {}
        self.executor: CheckedExecutor[Request]
        self.interrupts = Interrupts()
        self.stored: deque[tuple[Request, Outcome]] = deque()
        self.trained = 0
        self.next_writing = 0.0

    def run(self, executor: Executor[Request]) -> Result:
        """Trains the runs that are not complete.

        Raises:
            UserError: another process is running the same study or search.
            Interrupted: Ctrl-C was pressed; the runs that ended are kept.
            PartFailed: the executor broke its interface; the runs that ended are kept.
        """
        with self.lock():
            self.executor = CheckedExecutor(executor, self.home)
            self.begin()
            with interruptible(self.executor.stop) as self.interrupts:
                try:
                    with self.executor:
                        self.work()
                except KeyboardInterrupt:
                    pass
                except PartFailed as failure:
                    raise PartFailed(f"{failure}; {KEPT}") from failure
                finally:
                    self.write()
            if self.interrupts.times and not self.complete:
                raise Interrupted(f"interrupted after {self.progress}; {KEPT}")
            return self.finish()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the study or search for this coordinator."""
        with lock_folder(self.folder.path, f"running this {self.noun}"):
            yield

    def request(self, request: Request, spec: RunSpec, analyses: Analyses = ()) -> None:
        """Takes a run from the store, or submits it to be trained or analysed. A damaged run counts as failed.

        Raises:
            UserError: stored runs that are to be kept were made by code other than the code that would train this run.
        """
        try:
            result = self._standing_result(spec, analyses)
        except UserError as error:
            self.stored.append((request, Outcome(None, str(error))))
            return
        if result is not None:
            self.stored.append((request, Outcome(result)))
            return
        if self.old_runs == "keep":
            self._check_code(spec)
        self.executor.submit(request, spec, analyses)

    def _standing_result(self, spec: RunSpec, analyses: Analyses) -> Tree | None:
        """Returns the stored result of a run; None if the run has to be trained or analysed."""
        folder = RunFolder(self.home, spec.identity)
        if self.old_runs == "retrain":
            for run in (folder, *([RunFolder(self.home, spec.start.run.identity)] if spec.start else [])):
                begin_anew(run)
        result, code = folder.result(), folder.code()
        if result is None or folder.anew.path.exists():
            return None
        self.note_code(code)
        changed = changed_parts(code or {})
        missing = [name for name, of in analyses if not result_path(self.home, spec.identity, of, name).exists()]
        analysed = not missing or (changed and missing == [SAMPLES])  # old weights are not shown by new code
        return result if analysed or result["status"] != "complete" else None

    def note_code(self, code: CodeVersion | None) -> str | None:
        """Adds the version of a run's code to `codes`; returns its digest, or None if the version is unknown."""
        if code is None:
            return None
        digest = version_digest(code)
        self.codes.setdefault(digest, dict(code))
        return digest

    def _check_code(self, spec: RunSpec) -> None:
        """Checks that a run, and the run that it starts from, would be trained by the code that made the stored runs.

        Raises:
            UserError: different code would train it.
        """
        versions = [*self.codes.values(), code_of(spec)]
        if spec.start is not None:
            start = RunFolder(self.home, spec.start.run.identity)
            versions.append(start.code() or {} if (start.path / RESULT).exists() else {})
        if parts := conflicting_parts(versions):
            raise UserError(
                f"{self.folder.name}: stored runs were made by code other than the installed code "
                f"({parts_text(parts)}), and runs of this {self.noun} are missing; give --retrain to "
                "train the old ones again, or --mix-code to train the missing ones beside them"
            )

    def wait(self) -> None:
        """Handles outcomes until no run is outstanding."""
        while self.stored or self.executor.pending:
            while self.stored:
                self._handle(*self.stored.popleft(), trained=False)
            for request, outcome in self.executor.outcomes():
                self._handle(request, outcome, trained=True)

    def _handle(self, request: Request, outcome: Outcome, *, trained: bool) -> None:
        self.trained += trained
        self.handle(request, outcome, trained=trained)
        if time.monotonic() > self.next_writing:
            self.write()

    def write(self) -> None:
        """Writes the ledger, and sets the earliest time at which it is written again: a large ledger is written less
        often.
        """
        before = time.monotonic()
        self.write_ledger()
        after = time.monotonic()
        self.next_writing = after + max(LEDGER_EVERY_SECONDS, (after - before) / LEDGER_TIME_SHARE)

    @abstractmethod
    def begin(self) -> None:
        """Prepares the plan before any run is requested."""

    @abstractmethod
    def work(self) -> None:
        """Requests runs and waits for them, until all have ended or Ctrl-C is pressed."""

    @abstractmethod
    def handle(self, request: Request, outcome: Outcome, *, trained: bool) -> None:
        """Records an outcome, and requests the runs that follow from it."""

    @abstractmethod
    def write_ledger(self) -> None:
        """Writes the current state of the study or search."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """True once everything has ended."""

    @property
    @abstractmethod
    def progress(self) -> str:
        """The part that has ended, in words: `5 of 28 runs`."""

    @abstractmethod
    def finish(self) -> Result:
        """Concludes a complete study or search and returns its result."""
