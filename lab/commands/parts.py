"""The subcommands that tables of parts share: list the parts, show the settings of one, print the results of checks."""

from generators.foundation.errors import WorkFailed
from generators.foundation.kinds import SettingsRegistry
from generators.foundation.options import answer, two_columns
from generators.setting_rows import setting_lines, setting_rows
from lab.objectives.check import CheckResult


def print_parts(registry: SettingsRegistry, as_json: bool, following: str) -> None:
    """Prints the parts of a table, one per line.

    Args:
        following: the command to type next.
    """
    summaries = registry.summaries()
    answer(summaries, as_json, "\n".join([*two_columns(summaries), "", f"next: {following}"]))


def print_settings(registry: SettingsRegistry, kind: str, as_json: bool) -> None:
    """Prints the settings of a part, with their types, ranges, defaults and meanings."""
    rows = setting_rows(registry.config_of(kind, f"lab {registry.noun}"))
    value = {row.key: row.tree() for row in rows}
    answer(value, as_json, "\n".join([f'kind = "{kind}"', *setting_lines(rows)]))


def print_checks(subject: str, checks: list[CheckResult], as_json: bool) -> None:
    """Prints the result of each check.

    Args:
        subject: the part, for the error message.

    Raises:
        WorkFailed: a check found a problem.
    """
    rows = [f"WRONG  {check.name}: {check.problem}" if check.problem else f"ok     {check.name}" for check in checks]
    answer({check.name: check.problem or "ok" for check in checks}, as_json, "\n".join(rows))
    if failures := sum(bool(check.problem) for check in checks):
        raise WorkFailed(f"{subject}: {failures} of {len(checks)} checks failed; the lines above say why")
