"""Implements `lab claims`."""

from typing import Annotated

import typer

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.options import Json, answer
from generators.foundation.settings import Tree
from lab.commands.options import DEFAULT_HOME, Home
from studies.commands.options import StoredScale
from studies.declared.names import run_command_line
from studies.ledger.arguments import checked_names
from studies.ledger.collection_members import expand_collections
from studies.ledger.folder import StudyFolder
from studies.ledger.left_out import LeftOut


def claims_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="by default every stored study")
    ] = None,
    scale: StoredScale = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Judge every claim of the given studies from their stored scores."""
    from studies.judging.from_ledger import judge_stored, superseded_runs
    from studies.judging.judgement import sentence
    from studies.judging.study_code import StudyCode
    from studies.ledger.declared_study import find_study, ledger_of

    checked = checked_names(home, names, scale)
    studies = expand_collections(checked, scale, home)
    studies = studies or sorted({folder.name for folder in StudyFolder.all_stored(home, scale=scale)})
    if not studies:
        at_scale = f" at scale {scale}" if scale else ""
        raise UserError(
            f"no study ran{at_scale} under {home}; start with: {run_command_line('induction-quick', scale, home)}"
        )
    value: Tree = {}
    lines: list[str] = []
    broken: list[str] = []
    left_out = LeftOut.among(checked, scale, home)
    for name in studies:
        with left_out.unless_readable(name):
            study = find_study(home, name, scale)
            judgements = judge_stored(home, study)
            folder = StudyFolder(home, study.name, study.scale)
            verdicts = [judgement.record().tree() for judgement in judgements]
            ledger = ledger_of(home, study)
            code, superseded = StudyCode(ledger, folder.run_command), len(superseded_runs(home, ledger))
            value[name] = {"scale": study.scale, "finished": folder.has_verdicts, **code.tree(), "verdicts": verdicts}
            lines += [f"{name}, scale {study.scale}" + (f", {folder.standing}" if folder.standing else "")]
            lines += [f"  {study.untuned}"] if study.untuned else []
            lines += [f"  {sentence(judgement)}" for judgement in judgements]
            broken += [f"{name}.{judgement.claim.name}" for judgement in judgements if judgement.failure]
            lines += [f"  {remark}" for remark in (*code.remarks(), code.remark_on_superseded(superseded)) if remark]
    left_out.check_any(value)
    value |= {name: {"verdicts": [], "left_out": reason} for name, reason in left_out.reasons.items()}
    answer(value, as_json, "\n".join(lines))
    if broken:
        raise WorkFailed(f"not tested, because its kind failed: {', '.join(broken)}")
