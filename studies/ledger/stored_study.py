"""A study as it is stored beside its runs, and found again: what it is, and the scores its claims are judged by."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from pydantic import ValidationError

from generators.foundation.settings import Tree
from studies.declared.claims.claim import Claim
from studies.declared.loading import CATALOG
from studies.declared.measures import main_measure, measure_of
from studies.declared.study import Declaration, Study
from studies.ledger.files import confirmed, of_another_version, stored_study


def stored_form(study: Study) -> Tree:
    """What is needed to read a study again, and to run it again."""
    plain = {each.name: getattr(study, each.name) for each in fields(study) if each.name != "declaration"}
    if Path(study.source).parent == CATALOG:
        plain["source"] = f"studies/catalog/{study.name}.toml"  # wherever the lab is installed
    return plain | {"declaration": study.declaration.model_dump(mode="json"), "runs": study.runs}


def find_study(home: Path, name: str, scale: str | None) -> Study:
    """A study as it last ran, from what it stored; without a scale, the one that ran last.

    Raises:
        UserError: it never ran.
    """
    form = stored_study(home, name, scale)
    del form["runs"]  # for those that only count
    try:
        declaration = Declaration.model_validate_json(json.dumps(form.pop("declaration")))
        return Study(declaration=declaration, **{**form, "assignments": tuple(form["assignments"])})
    except (KeyError, TypeError, ValidationError):
        raise of_another_version(home, name) from None


def scores_for(study: Study, cells: list[Tree]) -> Callable[[Claim], dict[str, dict[int, float]]]:
    """What each claim is judged by: cell label -> seed -> its measure, negated where less is better."""
    main = main_measure(study.declaration)

    def scores(claim: Claim) -> dict[str, dict[int, float]]:
        wanted = measure_of(study.declaration, claim)
        values = confirmed(cells, None if wanted == main else wanted.name)
        return {cell: {seed: wanted.sign * value for seed, value in each.items()} for cell, each in values.items()}

    return scores
