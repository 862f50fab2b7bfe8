"""An executor: runs in this process, with a line in the study's folder for each run that ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from generators import Settings
from studies import ExecutorContext, InProcess, Outcome


class LoggedSettings(Settings):
    """Settings of `logged`."""

    log: str = Field(default="runs.log", description="name of the log in the study's folder")


class Logged(InProcess[Any]):
    """Runs one after the other, and appends the end of each to a log."""

    summary = "this process, with a log of every run"
    settings = LoggedSettings

    def __init__(self, home: Path, log: Path) -> None:
        super().__init__(home)
        self.log = log

    @classmethod
    def create(cls, settings: Any, context: ExecutorContext) -> Self:
        return cls(context.home, context.folder / settings.log)

    def outcomes(self) -> Iterator[tuple[Any, Outcome]]:
        for key, outcome in super().outcomes():
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{key}: {outcome.failure or 'complete'}\n")
            yield key, outcome
