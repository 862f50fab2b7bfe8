"""The code of other packages: whatever it raises becomes one sentence that names the part and its package."""

import multiprocessing
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from difflib import get_close_matches
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from pathlib import Path
from types import FrameType

from generators.foundation.errors import UserError, WorkFailed

GROUP_PREFIX = "mtp_lab."
PARTS = ("tasks", "models", "objectives", "analyses", "exhibits", "claims", "executors")
GROUPS = tuple(f"{GROUP_PREFIX}{parts}" for parts in PARTS)
"""The groups of entry points that extend the lab."""
DISTRIBUTION = "mtp-lab"
ROOMS = ("generators", "lab", "studies", "reports")
"""The packages of the lab itself."""
COMMAND_LINE = ("typer", "click", "__main__")
"""The packages through which every command passes."""
LETTERS = 60
"""The most letters of a value that a message quotes."""
UNNAMED = "a package without a name"
BREAKAGE = (Exception, SystemExit)
"""Whatever broken code raises. Ctrl-C is not among it."""
PARTS_IN_USE: list[str] = []
"""The parts of other packages that the current command has asked for by name."""
REGISTERED: dict[tuple[str, str], EntryPoint] = {}
"""Group and name -> a class that was registered in this process (`generators.foundation.code.registration`)."""
AFTER_REGISTRATION: list[Callable[[], None]] = []
"""Functions that forget what depends on the registered classes."""
SESSION = "this session"
"""The package of classes that were registered in this process."""
_noted: set[str] = set()


class PartFailed(WorkFailed):
    """A part of another package raised, or returned what its interface does not allow."""


def note_once(line: str) -> None:
    """Prints a line on standard error unless this process has printed it before. Worker processes print nothing."""
    if line not in _noted and multiprocessing.parent_process() is None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    _noted.add(line)


@contextmanager
def guarded(subject: str) -> Iterator[None]:
    """Turns whatever a part raises into a PartFailed that names the part. A UserError or WorkFailed stays as it is.

    What the part prints goes to standard error, because standard output is for answers.

    Args:
        subject: the part and its package, as `Registry.subject` gives them.

    Raises:
        PartFailed: the part raised anything but a UserError, a WorkFailed or Ctrl-C.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (UserError, WorkFailed):
        raise
    except BREAKAGE as error:
        raise failure_of(subject, error) from error


def failure_of(subject: str, error: BaseException) -> PartFailed:
    """Returns the failure of a part that raised an error."""
    return PartFailed(f"{subject} failed with {error_description(error)}")


def error_description(error: BaseException) -> str:
    """Returns the type of an error, its message, and the file and line at which it arose."""
    return f"{error_text(error)} ({error_place(error)})"


def error_text(error: BaseException) -> str:
    """Returns `ErrorType: message`, with the first line of the message."""
    try:
        message = str(error).strip().partition("\n")[0]
    except Exception:  # an exception of another package may not even have a text
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def quoted(value: object) -> str:
    """Returns a value of another package as a message quotes it."""
    try:
        text = repr(value)
    except Exception:  # a class of another package may not even have a text
        text = f"a {type(value).__name__}"
    return text if len(text) <= LETTERS else text[: LETTERS - 3] + "..."


def error_place(error: BaseException) -> str:
    """Returns the file and line at which an error arose, or the last line of another package that it came through."""
    frames = list(traceback.walk_tb(error.__traceback__))
    packages = outside_packages()
    frame, line = next((pair for pair in reversed(frames) if _package_of(pair[0]) in packages), frames[-1])
    return f"{Path(frame.f_code.co_filename).name}, line {line}"


def _package_of(frame: FrameType) -> str:
    """Returns the top-level package whose code a frame runs."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def outside_packages() -> dict[str, str]:
    """Returns top-level module -> name and version, for every package that provides parts."""
    modules = {
        point.value.partition(":")[0].partition(".")[0].strip(): package_label(point.dist)
        for point in installed_points()
    }
    return {module: package for module, package in modules.items() if module not in ROOMS}


def installed_points() -> list[EntryPoint]:
    """Returns the entry points that extend the lab or try to.

    A package whose list of entry points is malformed loses only its own parts. A group that the lab does not have is
    named on standard error, because nothing would ever use its parts.
    """
    try:
        installed = entry_points()
        points = [
            point
            for group in installed.groups
            if group.startswith(GROUP_PREFIX)
            for point in installed.select(group=group)
        ]
    except Exception:  # one malformed line of one package spoils the list of all
        points = [point for point in _points_one_by_one() if point.group.startswith(GROUP_PREFIX)]
    for point in points:
        if point.group not in GROUPS:
            near = get_close_matches(point.group, GROUPS, n=1, cutoff=0.0)[0]
            note_once(
                f"package {package_label(point.dist)}: its entry point {point.name} has no effect: there is no group "
                f"{point.group}; the nearest is {near}"
            )
    return points


def points_of(group: str) -> list[EntryPoint]:
    """Returns the entry points of a group, and the classes that were registered in it."""
    registered = [point for (other, _), point in REGISTERED.items() if other == group]
    return [*(point for point in installed_points() if point.group == group), *registered]


def clash_text(point: EntryPoint, points: Sequence[EntryPoint], *, is_own: bool) -> str:
    """Says which packages provide the name of an entry point; empty if it is the only one.

    Args:
        points: all entry points of that name.
        is_own: whether the lab itself has the name.
    """
    if is_own:
        package = package_name(point)
        return (
            f"provided by {DISTRIBUTION} and by {package}; the name stays with {DISTRIBUTION}: rename the entry "
            f"point of {package} or uninstall it"
        )
    if len(points) > 1:
        return (
            f"provided by {' and by '.join(map(package_name, points))}; "
            "only one package may provide a name: rename one of the entry points or uninstall its package"
        )
    return ""


def _points_one_by_one() -> Iterator[EntryPoint]:
    """Yields the entry points of every package that has a readable list; only the first copy of a package on the path
    counts.
    """
    packages: dict[str, Distribution] = {}
    for package in distributions():
        packages.setdefault(distribution_name(package).lower().replace("_", "-"), package)
    for package in packages.values():
        try:
            yield from package.entry_points
        except Exception as error:
            name = distribution_name(package)
            note_once(f"package {name} provides no parts: its list of entry points is malformed ({error_text(error)})")


def distribution_name(package: Distribution | None) -> str:
    """Returns the name of an installed package."""
    return (_metadata(package, "Name") or UNNAMED) if package else SESSION


def distribution_version(package: Distribution | None) -> str:
    """Returns the version of an installed package; empty if its metadata has none."""
    return _metadata(package, "Version")


def package_name(point: EntryPoint) -> str:
    """Returns the name of the package that declares an entry point."""
    return distribution_name(point.dist)


def package_label(package: Distribution | None) -> str:
    """Returns the name and the version of an installed package."""
    return " ".join(part for part in (distribution_name(package), distribution_version(package)) if part)


def _metadata(package: Distribution | None, key: str) -> str:
    try:
        value = package.metadata[key] if package else None
    except Exception:  # a damaged installation
        value = None
    return value if isinstance(value, str) else ""


def blame(error: BaseException) -> PartFailed | None:
    """Returns the failure of another package that an error shows; None if the error is the lab's own.

    An error that passed through the code of a package is that package's failure. Any other error in a command that uses
    parts of other packages may come from what they returned, so the failure names them.
    """
    names = [_package_of(frame) for frame, _ in traceback.walk_tb(error.__traceback__)]
    foreign = [name for name in reversed(names) if name not in (*ROOMS, *COMMAND_LINE)]
    packages = outside_packages() if foreign else {}
    package = next((packages[name] for name in foreign if name in packages), None)
    if package is not None:
        return failure_of(f"a part of {package}", error)
    if not PARTS_IN_USE or not isinstance(error, Exception):
        return None
    parts = " and ".join(dict.fromkeys(PARTS_IN_USE))
    return PartFailed(f"{error_description(error)}, in a command that uses {parts}")
