"""The interface of a program that shows a run while it is trained."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.doctor.extras import install_command


@dataclass(frozen=True)
class LoggedRun:
    """The facts about a run that a program gets.

    Attributes:
        folder: where the program may write, the same for all runs.
        key: the run's identity; `-2`, `-3` are added when the run was trained again and its metrics changed.
        title: the kinds of objective and task, the steps and the seed.
        settings: the spec.
    """

    folder: Path
    key: str
    title: str
    settings: Tree

    @property
    def name(self) -> str:
        """The name under which a program shows the run."""
        return f"{self.title} ({self.key})"


class RunLog(ABC):
    """One run in one program. Opening it a second time for the same key continues where the first one ended.

    Attributes:
        module: the module that the program is imported as.
        package: the package that provides it, a key of `lab.doctor.extras.EXTRAS`.
    """

    module: ClassVar[str]
    package: ClassVar[str]

    @abstractmethod
    def __init__(self, run: LoggedRun) -> None:
        """Opens the log of a run."""

    @classmethod
    def require(cls, option: str) -> None:
        """Checks that the program is installed.

        Raises:
            UserError: it is not; the message has the command that installs it.
        """
        try:
            present = find_spec(cls.module) is not None
        except ValueError:  # a module that a test put in place has no spec
            present = True
        if not present:
            raise UserError(f"{option}: needs {cls.package}: {install_command(cls.package)}")

    @abstractmethod
    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers of a step, named `<split>/<metric>`; they are out of this process when it returns."""

    @abstractmethod
    def close(self) -> None:
        """Ends the log, because the run ended or stopped."""

    @abstractmethod
    def place(self) -> str:
        """Says where the log is, or how to look at it."""
