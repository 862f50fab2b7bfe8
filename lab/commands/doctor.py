"""Implements `lab doctor`."""

from generators.foundation.errors import WorkFailed
from generators.foundation.options import Json, answer
from lab.commands.options import DEFAULT_HOME, Home
from lab.doctor import examine


def doctor_command(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Show what this machine has and test that the lab works on it, with a tiny run that is not kept."""
    checks = examine(home)
    rows = [f"{check.mark:<8}{check.name:<20}{check.finding}" for check in checks]
    answer({check.name: {"ok": check.good, "finding": check.finding} for check in checks}, as_json, "\n".join(rows))
    if not all(check.good or check.optional for check in checks):
        raise WorkFailed("this machine lacks something that the lab needs; the lines marked WRONG say what")
