"""Implements `lab doctor`."""

from generators.foundation.errors import WorkFailed
from generators.foundation.options import Json, answer
from lab.commands.options import DEFAULT_HOME, Home
from lab.doctor.machine import examine


def doctor_command(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Show this machine's hardware, packages and parts from other packages, and test that the lab works on it.

    The test trains tiny runs, which are not kept, and compares their losses with each other and with reference values.
    """
    checks = examine(home)
    width = 2 + max(len(check.name) for check in checks)
    rows = [f"{check.mark:<8}{check.name:<{width}}{check.finding}" for check in checks]
    answer({check.name: {"ok": check.good, "finding": check.finding} for check in checks}, as_json, "\n".join(rows))
    if any(check.prevents_work for check in checks):
        raise WorkFailed("the lab does not work correctly on this machine; the lines marked WRONG say why")
