"""Decides whether the result of a stored run stands if it was made by code other than the installed code."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from generators.foundation.code.version import changed_parts, parts_text
from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.run.store import LAST, RESULT, RunFolder

OtherCode = Literal["refuse", "keep", "renew", "retrain"]
"""The treatment of a stored run that was made by code other than the installed code.

refuse: raises OtherCodeError. keep: a result stands, and what has not ended begins again. renew: trains again, also
where the code is unknown. retrain: trains again even if the code is the same. Except by the last two, a run of unknown
code is read and resumed like one of the same code.
"""


class OtherCodeError(UserError):
    """A stored run was made by code other than the installed code."""


def standing_result(folder: RunFolder, other_code: OtherCode) -> Tree | None:
    """Returns the result of a run; None if the run has to be trained.

    Raises:
        OtherCodeError: the run was made by different code, and `other_code` is "refuse".
        UserError: a file of the run is damaged.
    """
    result = folder.result()
    code = folder.code() if result is not None or (folder.path / LAST).exists() else {}
    changed = changed_parts(code or {})
    if result is not None and folder.anew.path.exists() and (changed or code is None):
        return None  # its training was begun anew
    if other_code == "refuse" and changed:
        raise refusal(folder, changed, ended=result is not None)
    again = other_code == "retrain" or (other_code == "renew" and (changed or code is None))
    return None if again else result


def check_code(folder: RunFolder) -> None:
    """Checks that a run that ended was made by the installed code, as far as its code is known.

    Raises:
        OtherCodeError: it was made by different code.
    """
    if changed := folder.changed_code():
        raise refusal(folder, changed, ended=True)


def refusal(folder: RunFolder, changed: list[str], *, ended: bool) -> OtherCodeError:
    """Returns the error for a run that different code made, which says what differs."""
    outcome = f"its result in {folder.path / RESULT} is that of the old code" if ended else "it has not ended"
    again = "trains it again, and keeps that result until then" if ended else "begins it again"
    return OtherCodeError(
        f"run {folder.identity} was {'trained' if ended else 'begun'} by code other than the installed code "
        f"({difference_text(folder, changed)}): {outcome}; --retrain {again}"
    )


def difference_text(folder: RunFolder, changed: list[str]) -> str:
    """Returns the parts of the code that differ, with the packages whose version differs."""
    packages = [f"{name} was {then} and is {now}" for name, (then, now) in changed_packages(folder).items()]
    return "; ".join([f"{parts_text(changed)} differ{'s' if len(changed) == 1 else ''}", *packages])


def changed_packages(folder: RunFolder) -> dict[str, tuple[str, str]]:
    """Returns the packages of a run's task and objective whose version changed -> the old and the new version."""
    versions = {}
    for name, then in folder.environment().items():
        if name not in OWN_KEYS:
            with suppress(PackageNotFoundError):
                if (now := version(name)) != then:
                    versions[name] = str(then), now
    return versions


OWN_KEYS = {"format", "torch", "numpy", "python", "system", "processor", "threads"}
"""Keys of environment.json that are not packages of a task or an objective."""
