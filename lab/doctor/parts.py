"""Parts of the lab that other installed packages provide through entry points."""

from importlib import import_module
from importlib.metadata import EntryPoint

from generators.foundation.errors import UserError
from generators.foundation.kinds import Registry
from generators.foundation.outside import installed_points, package_label
from generators.foundation.settings import suggestion
from lab.doctor.outcome import MachineCheck

TABLES = {
    "mtp_lab.tasks": "generators.table:TASKS",
    "mtp_lab.models": "lab.model.table:MODELS",
    "mtp_lab.objectives": "lab.objectives.table:OBJECTIVES",
    "mtp_lab.analyses": "lab.analysis.table:ANALYSES",
    "mtp_lab.claims": "studies.declared.claims.table:CLAIMS",
    "mtp_lab.exhibits": "reports.exhibits.table:EXHIBITS",
    "mtp_lab.executors": "studies.running.executors.table:EXECUTORS",
}
"""Group of entry points -> its registry. Some are in rooms above this one: they are found by name, as commands are."""


def check_parts() -> list[MachineCheck]:
    """Imports every part that another package provides; returns its package and version, or why it cannot be used."""
    return [check_part(point) for point in sorted(installed_points(), key=lambda point: (point.group, point.name))]


def check_part(point: EntryPoint) -> MachineCheck:
    """Checks one entry point; a part that cannot be used does not hinder the rest of the lab."""
    name, origin = f"{point.group} {point.name}", package_label(point.dist)
    if point.group not in TABLES:
        reason = f"there is no such group; {suggestion(point.group, list(TABLES))}"
        return MachineCheck(name, False, f"{origin}: {reason}", bad_mark="broken")
    module, _, attribute = TABLES[point.group].partition(":")
    registry: Registry = getattr(import_module(module), attribute)
    try:
        registry.load(point)
    except UserError as error:
        return MachineCheck(name, False, f"{origin}: {error}", bad_mark="broken")
    return MachineCheck(name, True, origin)
