"""Implements `lab study status`."""

from pathlib import Path

from generators.foundation.options import Json, answer
from generators.foundation.settings import Tree
from lab.commands.options import DEFAULT_HOME, Home
from studies.commands.options import StoredScale, StudyName
from studies.declared.collection import is_collection, load_collection
from studies.ledger.folder import StudyFolder


def status_command(
    name: StudyName, scale: StoredScale = None, home: Home = DEFAULT_HOME, as_json: Json = False
) -> None:
    """Show the progress of a study, or of each study of a collection."""
    (show_collection if is_collection(name) else show_study)(name, scale, home, as_json)


def show_study(name: str, scale: str | None, home: Path, as_json: bool) -> None:
    """Prints the trials, seeds and failures of each cell."""
    folder = StudyFolder.latest(home, name, scale)
    study = folder.read_study()
    counts = {cell.label: cell.counts() for cell in folder.read_cells()}
    lines = [
        f"{label:<32}{cell.tune} of {study.tuning_runs} trials, {cell.confirm} of {study.seeds} seeds, "
        f"{cell.failed} failed"
        for label, cell in counts.items()
    ]
    total = f"{sum(cell.ended for cell in counts.values())} of {study.runs} runs ended"
    cells = {label: cell.tree() for label, cell in counts.items()}
    value = {"study": study.name, "scale": study.scale, "runs": study.runs, "cells": cells}
    answer(value, as_json, "\n".join([*lines, total]))


def show_collection(name: str, scale: str | None, home: Path, as_json: bool) -> None:
    """Prints how many runs of each study have ended."""
    value: dict[str, Tree | None] = {}
    lines = []
    for member in load_collection(name).members:
        if not StudyFolder.all_stored(home, member.study, scale):
            lines.append(f"{member.study:<22}never ran")
            value[member.study] = None
            continue
        folder = StudyFolder.latest(home, member.study, scale)
        study = folder.read_study()
        ended = sum(cell.counts().ended for cell in folder.read_cells())
        lines.append(f"{member.study:<22}{ended} of {study.runs} runs ended, scale {study.scale}")
        value[member.study] = {"scale": study.scale, "runs": study.runs, "ended": ended}
    answer(value, as_json, "\n".join(lines))
