"""Parts of the lab that other installed packages provide through entry points."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from generators.foundation.errors import UserError
from generators.foundation.kinds import GROUP_PREFIX, Registry, package_name
from generators.foundation.settings import suggestion
from generators.table import TASKS
from lab.analysis.table import ANALYSES
from lab.doctor.outcome import MachineCheck
from lab.objectives.table import OBJECTIVES

ANYTHING: type[Any] = object
REGISTRIES = {
    registry.group: registry
    for registry in (
        TASKS,
        OBJECTIVES,
        ANALYSES,
        # Their tables belong to rooms above this one: whether the class can be imported is all that is checked.
        Registry("claim", {}, ANYTHING, plural="claims"),
        Registry("exhibit", {}, ANYTHING, plural="exhibits"),
        Registry("executor", {}, ANYTHING, plural="executors"),
    )
}


def check_parts() -> list[MachineCheck]:
    """Imports every part of another package and returns its package and version, or why it cannot be used."""
    groups = sorted(group for group in entry_points().groups if group.startswith(GROUP_PREFIX))
    return [
        check_part(point)
        for group in groups
        for point in sorted(entry_points(group=group), key=lambda point: point.name)
    ]


def check_part(point: EntryPoint) -> MachineCheck:
    """Checks one entry point; a part that cannot be used does not hinder the rest of the lab."""
    name = f"{point.group} {point.name}"
    version = point.dist.version if point.dist else "without a version"
    origin = f"{package_name(point)} {version}"
    if point.group not in REGISTRIES:
        reason = f"there is no such group; {suggestion(point.group, list(REGISTRIES))}"
        return MachineCheck(name, False, f"{origin}: {reason}", bad_mark="broken")
    try:
        REGISTRIES[point.group].find(point.name, "")
    except UserError as error:
        return MachineCheck(name, False, f"{origin}: {error}", bad_mark="broken")
    return MachineCheck(name, True, origin)
