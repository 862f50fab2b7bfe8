"""Packages of one module, as an installer leaves them, on the path of this process or in a folder for another.

install("other", "[mtp_lab.tasks]\\nmine = other:Mine", code)
"""

from collections.abc import Callable
from pathlib import Path

from generators.foundation.kinds import Registry

Install = Callable[[str, str, str], Path]


def write_package(folder: Path, name: str, entry_points: str, code: str) -> Path:
    """Writes the files of an installed package, version 1.2; returns the folder to put on the path."""
    site = folder / name
    info = site / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"{entry_points}\n")
    (site / f"{name}.py").write_text(code)
    return site


def forget_packages() -> None:
    """Makes every table of parts read its entry points again."""
    from generators.table import TASKS
    from lab.analysis.table import ANALYSES
    from lab.model.table import MODELS
    from lab.objectives.table import OBJECTIVES
    from reports.exhibits.table import EXHIBITS
    from studies.declared.claims.table import CLAIMS
    from studies.running.executors.table import EXECUTORS

    tables: list[Registry] = [TASKS, MODELS, OBJECTIVES, ANALYSES, EXHIBITS, CLAIMS, EXECUTORS]
    for table in tables:
        table.__dict__.pop("outside", None)
        table.__dict__.pop("loaded", None)
