"""The content of a study or a search as it runs at its scale, and the keys in which two contents differ.

The content of a study does not include the comments, the order of keys, the labels and the other scales of its file.
It includes everything else, even the wording of a claim, because a page shows it. Values of `--set` count like those in
the file.
"""

import json
from typing import Any

from generators.foundation.settings import Tree
from studies.declared.search import Search
from studies.declared.study import Study

KEYS_LISTED = 6
ORDERED = ("factors", "space")
"""Tables in which the order of keys decides what runs, or how it is labelled."""


def study_content(study: Study) -> Tree:
    """Returns the content of a study as JSON types, under the keys of its file."""
    declaration, scale = study.declaration, study.declaration.scales[study.scale]
    tree = declaration.model_dump(mode="json", exclude={"base", "factors", "seeds", "cells", "scales", "labels"})
    claims = {claim["name"]: claim for claim in tree["claims"]}
    tree["claims"] = claims if len(claims) == len(tree["claims"]) else tree["claims"]
    tree["tuning"]["trials"] = study.trials
    resolved = {"base": study.base, "factors": study.factors, "seeds": study.seeds}
    cells = scale.cells or declaration.cells
    own = [table.model_dump(mode="json") for table in study.cell_settings]
    tree |= {"settings": own} if own else {}
    return {**tree, **resolved, "cells": cells, "scales": {study.scale: {"summary": scale.summary}}}


def search_content(search: Search) -> Tree:
    """Returns the content of a search as JSON types, under the keys of its file."""
    declaration, scale = search.declaration, search.declaration.scales[search.scale]
    settled = {"base", "space", "trials", "batch", "confirm_seeds", "scales"}
    tree = declaration.model_dump(mode="json", exclude=settled)
    space = {
        key: values if isinstance(values, list) else values.model_dump(mode="json")
        for key, values in search.space.items()
    }
    counts = {"trials": search.trials, "batch": search.batch, "confirm_seeds": search.confirm_seeds}
    summary = {"scales": {search.scale: {"summary": scale.summary}}}
    return {**tree, "base": search.base, "space": space, **counts, **summary}


def differing_keys(first: Tree, second: Tree, stem: str = "") -> list[str]:
    """Returns the dotted keys in which two contents differ; a number differs from a truth value that equals it."""
    keys = []
    for key in dict.fromkeys([*first, *second]):
        if key not in first or key not in second:
            keys.append(stem + key)
            continue
        values = first[key], second[key]
        if all(isinstance(value, dict) for value in values):
            inner = differing_keys(*values, f"{stem}{key}.")
            reordered = not stem and key in ORDERED and list(values[0]) != list(values[1])
            keys += inner or ([f"the order of {key}"] if reordered else [])
        elif _text(values[0]) != _text(values[1]):
            keys.append(stem + key)
    return keys


def listed(keys: list[str]) -> str:
    """Returns the first few keys as text."""
    more = len(keys) - KEYS_LISTED
    return ", ".join(keys[:KEYS_LISTED]) + (f" and {more} more" if more > 0 else "")


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
