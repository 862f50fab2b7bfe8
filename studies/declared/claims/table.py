"""The kinds of claim, and the type of a claim in a study file, whose `kind` names its class.

Kinds of other packages are imported when a study uses them, not before: their modules may import anything of the lab.
"""

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator, SerializeAsAny, ValidationError

from generators.foundation.errors import UserError
from generators.foundation.kinds import Registry
from generators.foundation.outside import BREAKAGE, failure_of
from generators.foundation.settings import suggestion
from studies.declared.claims.claim import Claim

ROOM = "studies.declared.claims"
CLAIMS = Registry(
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


def shortened(text: str) -> str:
    """Truncates a value that is too long for a sentence."""
    return text if len(text) <= VALUE_LETTERS else text[: VALUE_LETTERS - 3] + "..."


def claim_from(data: Any) -> Claim:
    """Returns the claim that a table of a study file, or a stored one, declares.

    Stored studies of earlier versions hold every key of every kind, None if the claim has no such key.

    Raises:
        ValueError: the table is wrong. The message is a sentence with the kind and its keys, which
            `generators.foundation.settings.validate` completes with file and key.
    """
    if not isinstance(data, dict):
        raise ValueError("should be a table")
    data = {key: value for key, value in data.items() if value is not None}
    if "kind" not in data:
        raise ValueError(f"kind is missing; should be one of {', '.join(CLAIMS.names)}")
    try:
        kind: type[Claim] = CLAIMS.find(data["kind"], "")
    except UserError as error:
        raise ValueError(str(error)) from None
    try:
        return kind.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise ValueError(sentence(data["kind"], kind, error)) from None
    except RecursionError:
        raise
    except BREAKAGE as error:
        if data["kind"] in CLAIMS.rows:
            raise
        raise ValueError(str(failure_of(CLAIMS.subject(data["kind"]), error))) from error


def sentence(name: str, kind: type[Claim], error: ValidationError) -> str:
    """Returns what is wrong with the keys of a claim, in one sentence."""
    # A misspelt key says more than the key that it leaves missing.
    first = min(error.errors(include_url=False), key=lambda detail: detail["type"] == "missing")
    key = ".".join(map(str, first["loc"]))
    fields, article = kind.model_fields, "an" if name[0] in "aeiou" else "a"
    if first["type"] == "missing":
        own = [*(field for field in fields if field not in Claim.model_fields), "margin"]
        return f"{key} is missing: {article} {name} needs it; its own keys are {', '.join(own)}"
    value = shortened(json.dumps(first["input"], default=str, ensure_ascii=False))
    if first["type"] == "extra_forbidden":
        return f"{key} = {value}: {article} {name} has no such key; {suggestion(key, list(fields))}"
    return f"{key} = {value}: {first['msg'].removeprefix('Value error, ')}"


if TYPE_CHECKING:
    AnyClaim = Claim
else:
    AnyClaim = Annotated[SerializeAsAny[Claim], PlainValidator(claim_from)]
