"""Implements `lab study status`."""

from pathlib import Path

from generators.foundation.options import Json, answer
from generators.foundation.settings import Tree
from lab.commands.options import DEFAULT_HOME, Home
from studies.commands.options import StoredScale, StudyName
from studies.declared.collection import is_collection
from studies.judging.study_code import StudyCode
from studies.ledger.arguments import checked_name, note_file_of_that_name
from studies.ledger.collection_members import collection_in
from studies.ledger.folder import StudyFolder
from studies.ledger.left_out import LeftOut


def status_command(
    name: StudyName, scale: StoredScale = None, home: Home = DEFAULT_HOME, as_json: Json = False
) -> None:
    """Show the progress of a study, or of each study of a collection."""
    (show_collection if is_collection(name) else show_study)(name, scale, home, as_json)


def show_study(name: str, scale: str | None, home: Path, as_json: bool) -> None:
    """Prints the trials, seeds and failures of each cell."""
    folder = StudyFolder.latest(home, checked_name(home, name, scale), scale)
    study, ledger = folder.read_study(), folder.read_ledger()
    counts = {cell.label: cell.counts() for cell in ledger.cells}
    lines = [
        f"{label:<32}{cell.tune} of {study.tuning_runs} trials, {cell.confirm} of {study.seeds} seeds, "
        f"{cell.failed} failed"
        for label, cell in counts.items()
    ]
    outdated = folder.outdated_parts()
    lines += [f"left out: {part}, which ran another version of the study" for part in outdated]
    lines += [f"{sum(cell.ended for cell in counts.values())} of {study.runs - ledger.saved} runs ended"]
    lines += [folder.standing] if folder.standing else []
    code = StudyCode(ledger, folder.run_command)
    lines += code.remarks()
    cells = {label: cell.tree() for label, cell in counts.items()}
    value = {"study": study.name, "scale": study.scale, "runs": study.runs, "finished": folder.has_verdicts}
    answer(value | {"cells": cells, "left_out": outdated, **code.tree()}, as_json, "\n".join(lines))


def show_collection(name: str, scale: str | None, home: Path, as_json: bool) -> None:
    """Prints how many runs of each study have ended."""
    value: dict[str, Tree | None] = {}
    lines = []
    left_out = LeftOut.among([name], scale, home)
    note_file_of_that_name(name, "the catalog's collection")
    for member in collection_in(name, scale, home).members:
        if member.study in left_out.reasons:
            continue
        if not StudyFolder.all_stored(home, member.study, scale):
            lines.append(f"{member.study:<22}never ran")
            value[member.study] = None
            continue
        with left_out.unless_readable(member.study):
            folder = StudyFolder.latest(home, member.study, scale)
            study = folder.read_study()
            ledger = folder.read_ledger()
            ended = sum(cell.counts().ended for cell in ledger.cells)
            standing = "" if folder.has_verdicts else ", unfinished"
            old = sum(StudyCode(ledger).old_runs.values())
            standing += f", {old} made by code other than the installed code" if old else ""
            lines.append(
                f"{member.study:<22}{ended} of {study.runs - ledger.saved} runs ended, scale {study.scale}{standing}"
            )
            value[member.study] = {
                "scale": study.scale,
                "runs": study.runs,
                "ended": ended,
                "finished": folder.has_verdicts,
                "old_runs": old,
            }
    value |= {study: {"left_out": reason} for study, reason in left_out.reasons.items()}
    lines += [f"{study:<22}left out: {reason}" for study, reason in left_out.reasons.items()]
    answer(value, as_json, "\n".join(lines))
