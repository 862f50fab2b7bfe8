"""Files and folders written so that a kill at any moment leaves them whole."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from generators.foundation.errors import UserError, WorkFailed


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file at once: afterwards it is the old one or the new one, whole, also after a power cut."""
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
        raise WorkFailed(f"{path}: could not be written ({error.strerror}); what was there before is intact") from None


def make_folder(path: Path) -> None:
    """The folder, made where it is not there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: no folder can be made there ({error.strerror}); choose another --home") from None


class FolderInUse(UserError):
    """A folder that another process holds."""


@contextmanager
def lock_folder(folder: Path, what: str, *, shared: bool = False) -> Iterator[None]:
    """Hold a folder for one process; the lock ends with the process, however it ends. What a kill left half-written
    under a temporary name is removed. `shared`: for several processes, so that none has it to itself meanwhile.

    Raises:
        FolderInUse: another process holds it (`what` says what that process is doing).
        UserError: it cannot be written to.
    """
    make_folder(folder)
    try:
        file = (folder / "lock").open("a+")  # both: over NFS a lock of either kind needs its own
    except OSError as error:
        raise UserError(f"{folder}: cannot be written to ({error.strerror}); choose another --home") from None
    with file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"{folder}: another process is {what}; wait for it or end it") from None
        except OSError as error:
            raise UserError(f"{folder}: cannot be locked ({error.strerror}); choose another --home") from None
        for left in () if shared else folder.glob("*.tmp"):
            with suppress(OSError):
                left.unlink()
        yield


def json_bytes(value: object) -> bytes:
    """JSON as files hold it: indented, keys in the order given, one newline at the end."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
