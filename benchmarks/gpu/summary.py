"""Markdown tables of all rows, with the facts about the machine."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

from benchmarks.gpu.plan import Row, read_rows
from benchmarks.gpu.runner import Ending

PACKAGES = ("torch", "triton", "transformers", "numpy")
DIGITS = 3


def machine(device: str) -> dict[str, str]:
    """Returns the facts about this machine that measurements depend on.

    The card is asked by nvidia-smi, so that this process holds no memory of it.
    """
    facts = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "device": device}
    facts |= {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "absent"
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        answer = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
        facts["card, driver, memory"] = answer
    return facts


def summary(facts: dict[str, str], endings: Sequence[Ending], folder: Path) -> str:
    """Returns the tables of all parts."""
    lines = ["# Measurements of one GPU run", "", "; ".join(f"{name} {value}" for name, value in facts.items()), ""]
    lines.append(f"Command: `{' '.join(['python -m benchmarks.gpu', *sys.argv[1:]])}`")
    ended = [{"part": e.name, "status": e.status, "seconds": e.seconds, "rows": e.rows} for e in endings]
    lines += ["", "## Parts", "", *table(ended)]
    rows_of: dict[str, list[Row]] = {ending.name: [] for ending in endings}
    for row in read_rows(folder):
        if not row.get("detail"):
            rows_of[row.pop("part")].append(row)
    for name, own in rows_of.items():
        if own:
            lines += ["", f"## {name}"]
        for _, group in groupby(sorted(own, key=columns_of), columns_of):
            lines += ["", *table(list(group))]
    return "\n".join(lines) + "\n"


def columns_of(row: Row) -> tuple[str, ...]:
    """Returns the names of the columns of a row; rows with the same ones share a table."""
    return tuple(row)


def table(rows: Sequence[Row]) -> list[str]:
    """Returns the lines of one table."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(cell(row[name]) for name in names) + " |" for row in rows]
    return lines


def cell(value: object) -> str:
    """Returns a value in at most three significant digits, as text that fits a cell."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10**DIGITS else f"{value:.{DIGITS}g}"
    if isinstance(value, list):
        return ", ".join(map(cell, value))
    return str(value).replace("|", "/").replace("\n", " ")
