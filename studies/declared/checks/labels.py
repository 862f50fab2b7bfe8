"""Checks that every label of a study file names something that the study has at one of its scales."""

from collections.abc import Sequence

from generators.foundation.errors import UserError
from generators.foundation.settings import suggestion
from studies.declared.levels import claim_key, level_key
from studies.declared.study import Study


def check_labels(scales: Sequence[Study]) -> None:
    """Refuses labels of factors, levels, cells, metrics, shortcuts or claims that a study has at no scale.

    Args:
        scales: the study at each of its scales.

    Raises:
        UserError: names the label and the nearest thing that could have one.
    """
    declaration, source = scales[0].declaration, scales[0].source
    if not declaration.labels:
        return
    factors = list(declaration.factors)
    levels = [level_key(key, level) for study in scales for key, chosen in study.factors.items() for level in chosen]
    cells = [cell.label for study in scales for cell in study.cells]
    shortcuts = [declaration.shortcut] if declaration.shortcut else []
    metrics = [declaration.metric, *(claim.metric for claim in declaration.claims if claim.metric)]
    claims = [claim_key(claim.name) for claim in declaration.claims]
    known = list(dict.fromkeys([*factors, *levels, *metrics, *shortcuts, *cells, *claims]))
    for key, name in declaration.labels.items():
        if key in known:
            continue
        of_factor = next((factor for factor in factors if key.startswith(f"{factor}=")), None)
        if of_factor is None and key.startswith(claim_key("")):
            fault, near = "no claim of the study", suggestion(key, claims)
        elif of_factor:
            own = [level for level in dict.fromkeys(levels) if level.startswith(f"{of_factor}=")]
            fault, near = f"no level of {of_factor}", suggestion(key, own)
        else:
            fault = "no factor, level, cell, metric, shortcut or claim of the study"
            near = suggestion(key, known)
        raise UserError(f'{source}: labels."{key}" = "{name}": {fault}; {near}')
