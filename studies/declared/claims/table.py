"""The kinds of claim, and the type of a claim in a study file: a union of them all, told apart by `kind`."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field, TypeAdapter, ValidationError, WrapValidator

from generators.foundation.errors import UserError
from generators.foundation.kinds import Registry
from generators.foundation.outside import BREAKAGE, failure_of
from generators.foundation.settings import suggestion
from studies.declared.claims.claim import Claim
from studies.declared.claims.difference import Difference

ROOM = "studies.declared.claims"


class ClaimRegistry(Registry):
    """The registry of kinds of claim. One that cannot stand in a union with others would take down every study."""

    def defect(self, row: object, name: str) -> str | None:
        if defect := super().defect(row, name):
            return defect
        union: Any = Annotated[Union[Difference, row], Field(discriminator="kind")]  # noqa: UP007
        TypeAdapter(union)
        return None


CLAIMS = ClaimRegistry(
    "kind of claim",
    {
        "difference": f"{ROOM}.difference:Difference",
        "equivalence": f"{ROOM}.equivalence:Equivalence",
        "interaction": f"{ROOM}.interaction:Interaction",
        "trend": f"{ROOM}.trend:Trend",
        "best": f"{ROOM}.best:Best",
    },
    Claim,
    plural="claims",
    key="kind",
)
VALUE_LETTERS = 60
CLASSES: dict[str, type[Claim]] = CLAIMS.classes()


def shortened(text: str) -> str:
    """Cuts a value off if it is too long for a sentence."""
    return text if len(text) <= VALUE_LETTERS else text[: VALUE_LETTERS - 3] + "..."


def one_sentence(data: Any, validate_union: Callable[[Any], Claim]) -> Claim:
    """Validates a claim; a one-sentence error names its kind and the keys of that kind.

    Stored studies of earlier versions hold every key of every kind, None if the claim has no such key.

    Raises:
        ValueError: the sentence, which `generators.foundation.settings.validate` completes with file and key.
    """
    if not isinstance(data, dict):
        raise ValueError("should be a table")
    data = {key: value for key, value in data.items() if value is not None}
    if "kind" not in data:
        raise ValueError(f"kind is missing; should be one of {', '.join(CLAIMS.names)}")
    kind = data["kind"]
    if not isinstance(kind, str) or kind not in CLASSES:
        try:
            CLAIMS.find(kind, "")
        except UserError as error:
            raise ValueError(str(error)) from None
    try:
        return validate_union(data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    except BREAKAGE as error:
        if kind in CLAIMS.rows:
            raise
        raise ValueError(str(failure_of(CLAIMS.subject(kind), error))) from error
    # A misspelt key says more than the key that it leaves missing.
    first = min(errors, key=lambda detail: detail["type"] == "missing")
    key = ".".join(map(str, first["loc"][1:]))
    fields = CLASSES[kind].model_fields
    article = "an" if kind[0] in "aeiou" else "a"
    if first["type"] == "missing":
        own = [*(name for name in fields if name not in Claim.model_fields), "margin"]
        raise ValueError(f"{key} is missing: {article} {kind} needs it; its own keys are {', '.join(own)}")
    value = shortened(json.dumps(first["input"], default=str, ensure_ascii=False))
    if first["type"] == "extra_forbidden":
        raise ValueError(f"{key} = {value}: {article} {kind} has no such key; {suggestion(key, list(fields))}")
    raise ValueError(f"{key} = {value}: {first['msg'].removeprefix('Value error, ')}")


if TYPE_CHECKING:
    AnyClaim = Claim
else:
    AnyClaim = Annotated[
        Union[tuple(CLASSES.values())],  # noqa: UP007
        Field(discriminator="kind"),
        WrapValidator(one_sentence),
    ]
