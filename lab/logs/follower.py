"""Follows a run into another program, where each evaluation arrives once, though the run is killed and resumed.

    HOME/logs/<program>/                          files of the program
    HOME/logs/<program>/delivered/<key>.jsonl     the evaluations that it has

A run passes its whole log each time it is trained, resumed or read (`OnMetrics`). Evaluations that the program has
already are left out. If one differs, the run was trained again by other code: it then begins again under a new key.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from generators.foundation.errors import UserError
from generators.foundation.outside import BREAKAGE, error_text
from lab.logs.run_log import LoggedRun, RunLog
from lab.run.files import make_folder, write_atomically
from lab.run.spec import RunSpec

Evaluation = tuple[int, dict[str, float]]
"""A step, and `<split>/<metric>` -> number."""
LAST_SPLIT = "validation"
"""The split of the last line of an evaluation."""
FOLDER = "logs"


class Follower:
    """A callback for the metrics of one run. An error of the program ends the log, and the run goes on.

    Attributes:
        failure: the error that ended the log, as text; empty if there is none.
    """

    def __init__(self, name: str, log: type[RunLog], home: Path, spec: RunSpec, note: Callable[[str], None]) -> None:
        self.option, self.log_class, self.spec, self.note = f"--log {name}", log, spec, note
        self.folder = home / FOLDER / name
        self.failure = ""
        self.passed: list[Evaluation] = []
        self.values: dict[str, float] = {}
        self.log: RunLog | None = None
        self.generation = self.latest_generation()
        self.delivered = self.read_delivered()

    @property
    def key(self) -> str:
        """The identity of the run, with the number of its training if that is not the first."""
        return f"{self.spec.identity}-{self.generation}" if self.generation > 1 else self.spec.identity

    @property
    def record(self) -> Path:
        """The file with the evaluations that the program has."""
        return self.folder / "delivered" / f"{self.key}.jsonl"

    def latest_generation(self) -> int:
        """Returns the number of the latest training of this run that the program knows."""
        self.generation = 1
        while (self.folder / "delivered" / f"{self.spec.identity}-{self.generation + 1}.jsonl").exists():
            self.generation += 1
        return self.generation

    def read_delivered(self) -> list[Evaluation]:
        """Reads the evaluations that the program has, and cuts off a last line torn by a kill.

        Raises:
            UserError: the record is damaged.
        """
        if not self.record.exists():
            return []
        content = self.record.read_text(encoding="utf-8")
        whole = content[: content.rfind("\n") + 1]
        if whole != content:
            write_atomically(self.record, whole.encode())
        try:
            return [(step, values) for step, values in map(json.loads, whole.splitlines())]
        except (ValueError, TypeError):
            raise UserError(f"{self.record}: is damaged; delete it, and {self.option} delivers the run again") from None

    def __call__(self, step: int, split: str, metrics: dict[str, float]) -> None:
        """Collects the lines of an evaluation, and delivers it with the last one, unless the program has it."""
        self.values |= {f"{split}/{name}": value for name, value in metrics.items()}
        if split != LAST_SPLIT or self.failure:
            return
        evaluation, self.values = (step, self.values), {}
        try:
            known = self.delivered[len(self.passed) : len(self.passed) + 1]
            if known and known != [evaluation]:
                self.begin_again()
            if known != [evaluation]:
                self.deliver(evaluation)
            self.passed.append(evaluation)
        except BREAKAGE as error:
            self.failure = error_text(error)
            self.note(f"{self.option}: stopped at step {step} ({self.failure}); the run goes on")

    def begin_again(self) -> None:
        """Begins a new log under the next key, with the evaluations so far."""
        self.close()
        self.generation += 1
        self.delivered = []
        for evaluation in self.passed:
            self.deliver(evaluation)

    def deliver(self, evaluation: Evaluation) -> None:
        """Hands an evaluation to the program, and then records that it has it."""
        if self.log is None:
            make_folder(self.record.parent)
            self.log = self.log_class(LoggedRun(self.folder, self.key, self.spec.title, self.spec.tree()))
            self.note(f"{self.option}: {self.log.place()}")
        self.log.write(*evaluation)
        with self.record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(evaluation) + "\n")

    def close(self) -> None:
        """Ends the log."""
        if self.log is not None:
            self.log.close()
            self.log = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except BREAKAGE as failure:
            self.failure = self.failure or error_text(failure)
