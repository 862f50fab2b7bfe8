"""Files and folders that stay whole when the process is killed or the disk fills up."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from generators.foundation.errors import UserError, WorkFailed

try:
    import fcntl
except ImportError:
    raise UserError(
        "the lab trains on Linux and macOS, because it uses POSIX calls to lock files and to stop workers; "
        "on Windows run it in WSL"
    ) from None


class FolderInUse(UserError):
    """Another process has locked the folder."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file in one step: after a kill or a power cut it is the whole old file or the whole new one.

    Raises:
        WorkFailed: the file cannot be written; the old one is intact.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise WorkFailed(f"{path}: could not be written ({error.strerror}); the old content is intact") from None


def json_bytes(value: object) -> bytes:
    """Formats a value as JSON: indented, keys in their order, one newline at the end."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def make_folder(path: Path) -> None:
    """Creates a folder and its parents unless they exist.

    Raises:
        UserError: the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: the folder cannot be created ({error.strerror}); choose another --home") from None


@contextmanager
def lock_folder(folder: Path, activity: str, *, shared: bool = False) -> Iterator[None]:
    """Locks a folder for this process until the block or the process ends, for whatever reason.

    An exclusive lock first removes the temporary files that a killed process left in the folder.

    Args:
        activity: what a process does while it holds the lock, for the error message of a process that is refused.
        shared: lets other processes share the lock, while nobody can hold the folder exclusively.

    Raises:
        FolderInUse: another process holds the folder.
        UserError: the folder cannot be written to.
    """
    make_folder(folder)
    try:
        file = (folder / "lock").open("a+")  # over NFS, either kind of lock needs its own access
    except OSError as error:
        raise UserError(f"{folder}: cannot be written to ({error.strerror}); choose another --home") from None
    with file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"{folder}: another process is {activity}; wait for it or end it") from None
        except OSError as error:
            raise UserError(f"{folder}: cannot be locked ({error.strerror}); choose another --home") from None
        for leftover in () if shared else folder.glob("*.tmp"):
            with suppress(OSError):
                leftover.unlink()
        yield
