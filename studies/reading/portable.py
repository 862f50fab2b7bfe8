"""Texts about a study that do not reveal the machine: pages and notebooks are passed on."""

import re
import shlex
from pathlib import Path

from studies.declared.study import Study
from studies.ledger.records import catalog_source


def portable(text: str, home: Path) -> str:
    """Returns a text without paths of this machine: those inside the home become relative, others a bare file name."""
    text = text.replace(f"{home.absolute()}/", "").replace(f"{home.resolve()}/", "")
    return re.sub(r"(?<![\w./])/(?:[^\s/'\"=,;:]+/)+([^\s/'\"=,;:]+)", r"\1", text)


def run_command(study: Study, home: Path) -> str:
    """Returns the command that runs a study, as a page shows it."""
    name = study.name if study.source == catalog_source(study.name) else Path(study.source).name
    sets = "".join(f" --set {shlex.quote(portable(assignment, home))}" for assignment in study.assignments)
    return f"lab study run {shlex.quote(name)} --scale {shlex.quote(study.scale)}{sets}"
