"""Implements `lab claims`."""

from typing import Annotated

import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer
from lab.commands.options import DEFAULT_HOME, Home
from studies.commands.options import StoredScale
from studies.ledger.collection_members import expand_collections
from studies.ledger.folder import StudyFolder


def claims_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="by default every stored study")
    ] = None,
    scale: StoredScale = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Judge every claim of the given studies from their stored scores."""
    from studies.judging.from_ledger import judge_stored
    from studies.judging.judgement import sentence
    from studies.ledger.declared_study import find_study

    studies = expand_collections(names or [], scale, home)
    studies = studies or sorted({folder.name for folder in StudyFolder.all_stored(home, scale=scale)})
    if not studies:
        at_scale = f" at scale {scale}" if scale else ""
        raise UserError(f"no study ran{at_scale} under {home}; start with: lab study run quick")
    value, lines = {}, []
    for name in studies:
        study = find_study(home, name, scale)
        judgements = judge_stored(home, study)
        verdicts = [judgement.record().tree() for judgement in judgements]
        value[study.name] = {"scale": study.scale, "verdicts": verdicts}
        lines += [f"{study.name}, scale {study.scale}", *(f"  {sentence(judgement)}" for judgement in judgements)]
    answer(value, as_json, "\n".join(lines))
