"""A claim as a study file declares it: a sentence, its kind, the arms it is about, and the paper's own figure.

    kind            effect                                                  supported where the effect is
    difference      treatment less control                                  above 0, or above the margin
    equivalence     treatment less control                                  inside +-margin
    interaction     that gain at one level of `over` less it at another     above 0, or above the margin
    trend           slope over the levels of the factor, a level            above 0, or above the margin
    best            best of the levels named less the best of the others    above 0, or above the margin

Effects are of the claim's own metric, or the study's, in its unit; of losses and seconds, where less is better, the
negative ones.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from generators.foundation.settings import Settings


def scalar(value: Any) -> Any:
    """A level as a study file gives it."""
    if not isinstance(value, bool | int | float | str):
        raise ValueError("should be a number, a text, or true or false")
    return value


Level = Annotated[bool | int | float | str, PlainValidator(scalar)]
Kind = Literal["difference", "equivalence", "interaction", "trend", "best"]

KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "difference": (("treatment", "control"), ("margin",)),
    "equivalence": (("treatment", "control", "margin"), ()),
    "interaction": (("treatment", "control", "over", "between"), ("margin",)),
    "trend": ((), ("better", "margin")),
    "best": (("best",), ("margin",)),
}
"""Kind -> the keys it needs, and those it may have, beside the ones every claim has."""

EFFECTS: dict[str, str] = {
    "difference": "difference",
    "equivalence": "difference",
    "interaction": "difference of gains",
    "trend": "slope a level",
    "best": "lead of the best",
}
"""Kind -> what its effect is called."""


class Claim(Settings):
    """A sentence about arms that differ in one factor. Of the keys from `treatment` on, a kind has those in `KEYS`.

    treatment, control: levels of the factor. over, between: a second factor, and the level of it at which the
    treatment gains more, then the one at which it gains less. better: the end of the factor's levels, as they are
    listed, towards which the score rises. best: levels of the factor among which the best one is.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    text: str
    paper: str
    kind: Kind
    factor: str
    where: dict[str, Level] = Field(
        default_factory=dict, description='the other factors; "first" and "last" are levels too'
    )
    margin: float | None = Field(default=None, gt=0)
    treatment: Level | None = None
    control: Level | None = None
    over: str | None = None
    between: tuple[Level, Level] | None = None
    better: Literal["first", "last"] | None = None
    best: list[Level] | None = Field(default=None, min_length=1)
    metric: str | None = Field(default=None, description="what it is about, if not the study's metric")
    split: str | None = Field(default=None, description="where that is read, if not on the study's split")
