"""Files that hide a package of the lab, because Python finds them first.

`python -m lab` puts the current folder before everything else. If the lab itself is in another folder, the current
folder is removed from the path again; the command `lab` never has it there. This module imports nothing of the lab,
since any of its packages may be hidden.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOMS = ("generators", "studies", "reports")
HOME = Path(__file__).resolve().parents[1]
"""The folder that holds the packages of the lab."""
MODULE_OPTION = "-m"


def check_rooms() -> None:
    """Checks that every package of the lab is found where the lab is, and takes the current folder off the path.

    Raises:
        SystemExit: a command was called and a package is hidden; exit code 2, after a sentence on standard error.
        ImportError: the same, in any other program.
    """
    by_option = sys.argv[:1] == [MODULE_OPTION]  # Python is still looking for `lab.__main__`
    in_front = bool(by_option and not sys.flags.safe_path and sys.path and sys.path[0] == os.getcwd())
    for room in ROOMS:
        if (path := hiding_file(room)) is not None:
            sentence = f"{path}: is found instead of the lab's package {room}; {remedy(path, in_front)}"
            if not (by_option or (sys.argv[:1] and Path(sys.argv[0]).stem == "lab")):
                raise ImportError(sentence)
            sys.stderr.write(f"lab: {sentence}\n")
            raise SystemExit(2)
    if in_front and Path(sys.path[0]).resolve() != HOME:
        del sys.path[0]


def hiding_file(room: str) -> Path | None:
    """Returns the file that Python finds instead of a package of the lab; None if it finds the package."""
    spec = find_spec(room)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    return None if path.resolve().parents[1] == HOME else path


def remedy(path: Path, in_front: bool) -> str:
    """Returns what to do about a file that hides a package.

    Args:
        in_front: whether the current folder is the first on the path.
    """
    if Path(os.getcwd()) not in path.absolute().parents or sys.path[0] not in ("", os.getcwd()):
        return "rename it, or take its folder off PYTHONPATH"
    if in_front:
        return "rename it, go to another folder, or call lab instead of python -m lab, which looks in this folder first"
    return "rename it, or go to another folder, since Python looks in this one first"
