"""The outcome of one check of a machine."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class MachineCheck:
    """The outcome of one check.

    Attributes:
        bad_mark: the mark of a failed check; the lab works in spite of it unless it is WRONG.
    """

    name: str
    good: bool
    finding: str
    bad_mark: str = "WRONG"

    @property
    def mark(self) -> str:
        """`ok` if the check passed, otherwise `bad_mark`."""
        return "ok" if self.good else self.bad_mark

    @property
    def prevents_work(self) -> bool:
        """True if the lab needs what is wrong or missing here."""
        return self.mark == "WRONG"


def attempt(name: str, trial: Callable[[], str]) -> MachineCheck:
    """Runs a trial and reports what it returns, or the error that it raises."""
    try:
        return MachineCheck(name, True, trial())
    except AssertionError as error:  # a sentence of the trial
        return MachineCheck(name, False, str(error))
    except Exception as error:  # any error is the finding
        return MachineCheck(name, False, f"{type(error).__name__}: {error}")
