"""An executor that trains runs in this process and appends a line to a log for each run that ends."""

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
    """Trains runs one after another and logs the outcome of each."""

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
