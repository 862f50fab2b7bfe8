"""Names of new parts and studies: what a name may look like, and the names that are taken."""

import keyword
import re
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from generators.foundation.errors import UserError
from generators.foundation.kinds import Registry
from studies.declared.catalog import COLLECTIONS, STUDIES
from studies.declared.names import refusal_of_name

RESERVED = ("conftest", "setup")
"""Names of modules that pytest or setuptools would run."""


def class_name_of(name: str) -> str:
    """Returns the name of the class of a part: `SkipAhead` for `skip_ahead`."""
    return "".join(word.capitalize() for word in name.split("_"))


def distribution_of(name: str) -> str:
    """Returns the name of the package of a part, as pip lists it: `skip-ahead` for `skip_ahead`."""
    return name.replace("_", "-")


def check_part_name(name: str, noun: str, table: Registry) -> None:
    """Checks that a part, its module and its package can have a name.

    Args:
        noun: the word for the part in the error.
        table: the parts of that kind.

    Raises:
        UserError: the name is no lower-case identifier, or something installed has it.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name) or name in RESERVED:
        near = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
        near = near if near[:1].isalpha() and near != name else f"my_{near.removeprefix('my_') or noun}"
        raise UserError(
            f"lab new {noun} {name}: should be a Python name of lower-case letters, digits and _, such as {near}"
        )
    if name in table.names:
        raise UserError(f"lab new {noun} {name}: {table.subject(name)} has this name; give another")
    if installed := installed_under(name):
        raise UserError(f"lab new {noun} {name}: an installed {installed} has this name; give another")


def installed_under(name: str) -> str:
    """Returns which installed thing has a name: "module" or "package"; "" if none has it.

    A folder that Python would take for a package is not a module: it may be the folder that is to be written.
    """
    spec = find_spec(name)
    if spec is not None and spec.origin is not None:
        return "module"
    try:
        distribution(distribution_of(name))
    except PackageNotFoundError:
        return ""
    return "package"


def check_study_name(name: str) -> None:
    """Checks that a study can have a name.

    Raises:
        UserError: the name cannot be one, or a study or collection of the lab has it.
    """
    if reason := refusal_of_name(name):
        raise UserError(f"lab new study {name}: {reason}; give a name such as my-study")
    for catalog in (STUDIES, COLLECTIONS):
        if name in catalog.names:
            raise UserError(f"lab new study {name}: a {catalog.noun} of the lab has this name; give another")
