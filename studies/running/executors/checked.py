"""An executor as a coordinator uses it: whatever breaks the interface of executors becomes one sentence.

Executors of other packages may raise an error, yield something other than an outcome, or end while runs are pending. A
coordinator that trusted them would stop with a traceback, wait for ever, or judge a study whose runs were lost.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self

from generators.foundation.errors import UserError
from generators.foundation.outside import BREAKAGE, PartFailed, failure_of, guarded, note_once, outside_packages, quoted
from lab.run.spec import RunSpec
from lab.run.store import RunFolder
from studies.running.executors.executor import Analyses, Executor, Key, Outcome


class CheckedExecutor(Generic[Key]):
    """An executor that yields each pending run exactly once, or raises an error.

    Args:
        executor: the executor.
        home: the lab's home. The results of an executor of another package are read from its store.
    """

    def __init__(self, executor: Executor[Key], home: Path) -> None:
        self.executor, self.home = executor, home
        kind = type(executor)
        self.package = outside_packages().get(kind.__module__.partition(".")[0], "")
        self.subject = f"executor {kind.__name__} of {self.package or kind.__module__}"
        self.runs: dict[int, tuple[Key, str]] = {}
        """Number of a key -> the key and the identity of its pending run. Keys need not be hashable."""
        self.stopped = False
        self.failure: PartFailed | None = None

    def __enter__(self) -> Self:
        with guarded(self.subject):
            self.executor.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the executor. If that fails, the runs are not affected, so a line on standard error is enough."""
        try:
            self.executor.__exit__(kind, error, trace)
        except BREAKAGE as failure:
            note_once(str(failure_of(self.subject, failure)))

    @property
    def pending(self) -> bool:
        """True while an outcome is outstanding; after `stop`, true while the executor says so."""
        if not (self.runs and self.stopped):
            return bool(self.runs)
        with guarded(self.subject):
            return bool(self.executor.pending)

    def submit(self, key: Key, spec: RunSpec, analyses: Analyses = ()) -> None:
        """Queues a run and the analyses of it."""
        self.runs[id(key)] = key, spec.identity
        with guarded(self.subject):
            self.executor.submit(key, spec, analyses)

    def outcomes(self) -> Iterator[tuple[Key, Outcome]]:
        """Waits until a run has ended, then yields every run that ended since the last call.

        Raises:
            PartFailed: the executor raised an error, yielded something other than an outcome, or ended while a run was
                pending.
        """
        with guarded(self.subject):
            items = iter(self.executor.outcomes())
        count = 0
        while (item := self._next(items)) is not None:
            count += 1
            yield self._checked(*item)
        if self.failure:
            raise self.failure
        if not count and self.pending:
            runs = f"{len(self.runs)} run{'s'[: len(self.runs) > 1]}"
            raise PartFailed(f"{self.subject} yields no outcome, though {runs} are pending")

    def stop(self) -> None:
        """Starts no further run. An error is raised later, by `outcomes`, because this method is called in a signal
        handler.
        """
        self.stopped = True
        try:
            self.executor.stop()
        except BREAKAGE as error:
            self.failure = failure_of(self.subject, error)

    def _next(self, items: Iterator[Any]) -> tuple[Any, Any] | None:
        """Returns the next key and outcome; None at the end."""
        with guarded(self.subject):
            try:
                item = next(items)
            except StopIteration:
                return None
        if not (isinstance(item, tuple) and len(item) == 2):
            raise PartFailed(f"{self.subject} yields {quoted(item)}, which is not the key of a run and its Outcome")
        return item

    def _checked(self, key: Any, outcome: Any) -> tuple[Key, Outcome]:
        """Removes a run from those that are pending, and checks its outcome."""
        expected, identity = self.runs.pop(id(key), (None, ""))
        if expected is None or expected is not key:
            raise PartFailed(f"{self.subject} yields the key {quoted(key)}, under which no run is pending")
        subject = f"{self.subject} yields for run {identity} {quoted(outcome)}"
        if not isinstance(outcome, Outcome):
            raise PartFailed(f"{subject}, which is no Outcome")
        if outcome.result is None and not isinstance(outcome.failure, str):
            raise PartFailed(f"{subject}, which has neither a result nor the text of a failure")
        if not self.package or outcome.result is None:
            return key, outcome
        try:
            stored = RunFolder(self.home, identity).result()
        except UserError as error:
            return key, Outcome(None, str(error))
        if stored is None:
            raise PartFailed(f"{subject}, but {self.home} has no result of that run")
        return key, replace(outcome, result=stored)
