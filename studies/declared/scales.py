"""Scales: the changes with which a study or a search runs in seconds, in minutes or on a GPU."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree, split_assignment, suggestion
from studies.declared.levels import assign, copied
from studies.declared.names import refusal_of_scale
from studies.declared.search_file import SearchDeclaration
from studies.declared.study_file import StudyDeclaration

SMOKE = "smoke"
"""The scale that only shows that a study runs; its seeds may be too few to decide any claim."""

S = TypeVar("S")


def scale_named(scales: Mapping[str, S], name: str, path: Path) -> S:
    """Returns the scale of that name in a file.

    Raises:
        UserError: the file has no such scale, or the scale's name cannot be the name of a folder.
    """
    for scale in scales:
        if reason := refusal_of_scale(scale):
            raise UserError(f"{path}: scales: {scale!r} cannot be the name of a scale: {reason}; rename it")
    if name not in scales:
        raise UserError(f"{path}: --scale {name}: no such scale; {suggestion(name, list(scales))}")
    return scales[name]


def base_at_scale(
    declaration: StudyDeclaration | SearchDeclaration,
    changes: Mapping[str, Any],
    assignments: list[str],
    path: Path,
    scale: str,
    reserved: Callable[[str], str | None],
) -> Tree:
    """Applies the changes of a scale, then `--set` assignments, to the base settings of a study or a search.

    `training.compile = "auto"` is the same as leaving the setting out.

    Args:
        declaration: the content of the file, whose own keys cannot be set.
        changes: dotted key -> value, the scale's `set` table.
        reserved: returns the reason why a key cannot be set; None if it can.

    Raises:
        UserError: a key is reserved, or is not the key of a setting.
    """
    settings = copied(declaration.base)
    assigned = [(f"{path}: scales.{scale}.set", *change) for change in changes.items()]
    assigned += [("--set", *split_assignment(assignment)) for assignment in assignments]
    for source, key, value in assigned:
        if key.partition(".")[0] in type(declaration).model_fields:
            raise UserError(
                f"{source}: {key} is a key of {path} and not a setting of its runs; change it in a copy of that file"
            )
        if reason := reserved(key):
            raise UserError(f"{source}: {key} {reason}")
        assign(settings, key, value, source)
    training = settings.get("training")
    if isinstance(training, dict) and training.get("compile") == "auto":
        del training["compile"]
    if "seed" in settings:
        raise UserError(f"{path}: base.seed: every run is given its seed; leave it out")
    return settings
