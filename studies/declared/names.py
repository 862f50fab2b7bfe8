"""The names of studies and searches. A command takes a name, or the path of a file, which then gives the name.

An argument is a path if it ends in .toml (in upper or lower case) or has a path separator; otherwise it is a name. The
name of a file, without that ending, is the name of its study: `a/lr0.01.toml` is the study `lr0.01`.
"""

import shlex
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from lab.commands.options import home_option

ENDING = ".toml"
SEPARATORS = ("/", "\\")
UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories of control characters, of bytes that are no text, and of line ends."""


def has_ending(text: str) -> bool:
    """Tells whether a text ends in .toml, in upper or lower case."""
    return text.lower().endswith(ENDING)


def is_path(argument: str) -> bool:
    """Tells whether an argument of a command is the path of a file rather than a name."""
    return has_ending(argument) or any(separator in argument for separator in SEPARATORS)


def stem_of(path: Path) -> str:
    """Returns the name of a file without the ending .toml, whether or not it is valid."""
    return path.name[: -len(ENDING)] if has_ending(path.name) else path.name


def split_scale(argument: str) -> tuple[str, str | None]:
    """Splits `STUDY@SCALE`, where STUDY may be a path that contains "@"; the scale is None if there is none."""
    study, sign, scale = argument.rpartition("@")
    return (argument, None) if not (sign and study) or is_path(scale) else (study, scale or None)


def refusal_of_name(name: str) -> str | None:
    """Returns why a text cannot be the name of a study, a search or a scale; None if it can."""
    if not name:
        return "it is empty"
    if name.startswith("."):
        return "it begins with a dot"
    if name.startswith("-"):
        return "it begins with '-', so it reads as an option"
    for character, purpose in (("/", "paths"), ("\\", "paths"), ("@", "STUDY@SCALE")):
        if character in name:
            return f"it has {character!r}, which separates the parts of {purpose}"
    if any(unicodedata.category(character) in UNPRINTABLE for character in name):
        return "it has a character that cannot be printed"
    if has_ending(name):
        return f"it ends in {ENDING}, so it reads as a path"
    return None


def refusal_of_scale(name: str) -> str | None:
    """Returns why a text cannot be the name of a scale. Pages are named STUDY-SCALE, so a dash is refused too."""
    return "it has '-', which separates the parts of STUDY-SCALE" if "-" in name else refusal_of_name(name)


def run_command_line(
    argument: str,
    scale: str | None,
    home: Path | None = None,
    action: str = "study run",
    assignments: Sequence[str] = (),
    joining: Sequence[str] = (),
) -> str:
    """Returns the command that runs a study, or does something else with it, quoted for a shell.

    Options that are the default are left out.

    Args:
        argument: the name of a study or a collection, or the path of a file.
        scale: the scale; None for the default.
        home: the home; None if the command takes no home, or if a page may be read on another machine.
        assignments: values of `--set`.
        joining: values of `--with`.
    """
    options = "".join(f" --set {shlex.quote(assignment)}" for assignment in assignments)
    options += "".join(f" --with {shlex.quote(row)}" for row in joining)
    scale_option = "" if scale in (None, "cpu") else f" --scale {shlex.quote(scale)}"
    return f"lab {action} {shlex.quote(argument)}{scale_option}{options}{home_option(home) if home else ''}"
