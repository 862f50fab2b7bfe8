"""A study file: a question, base settings, factors, tuning, seeds, claims and scales, in TOML."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from generators.foundation.settings import Settings, Tree
from lab.run.solving import SOLVING_METRICS, Solved
from studies.declared.claims.table import AnyClaim
from studies.declared.levels import Level, scalar
from studies.declared.ranges import Range
from studies.statistics.forms.form import Form
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.table import FORMS, form_name

PRUNED_SEEDS_MINIMUM = 5
LATER_KEYS = ("control", "solved_at", "stop_when_solved", "first_seed", "futility", "labels", "settings")


def levels_of_a_factor(value: Any) -> Any:
    """Returns a level, or a list of levels, as it is.

    Raises:
        ValueError: it is neither, or an empty list.
    """
    if not isinstance(value, list):
        return scalar(value)
    if not value:
        raise ValueError("should have at least one level")
    return [scalar(level) for level in value]


Part = dict[str, Annotated[Level | list[Level], PlainValidator(levels_of_a_factor)]]
"""A part of the grid: factor -> a level or several, "first" and "last" included; a factor left out has all levels."""


class Tuning(Settings):
    """How the settings of each cell are chosen: the same number of trials for every cell, scored on validation."""

    trials: int = Field(
        ge=0,
        le=10_000,
        description="trials of each cell; 0: no cell is tuned, and all that have no value of their own have the middle",
    )
    search: dict[str, Range] = Field(default_factory=dict, description="dotted key -> the range that is searched")
    seeds: int = Field(default=1, ge=1, le=100, description="runs of a trial, whose mean score it gets")
    pruner: Literal["none", "wilcoxon"] = Field(
        default="none", description="wilcoxon: a trial that loses to the best one ends before its last seed"
    )
    sampler: Literal["tpe", "gp"] = Field(
        default="tpe", description="tree-structured Parzen estimators, or a Gaussian process"
    )
    sampler_seed: str | None = Field(
        default=None,
        min_length=1,
        description="the text that seeds the sampler of each cell; by default the study's name",
    )

    @model_validator(mode="after")
    def _check_search(self) -> Self:
        if self.trials and not self.search:
            raise ValueError(f"trials = {self.trials} needs search, the range of each setting that is tuned")
        return self

    @model_validator(mode="after")
    def _check_seeds(self) -> Self:
        if self.pruner == "wilcoxon" and self.seeds < PRUNED_SEEDS_MINIMUM:
            raise ValueError(
                f'pruner = "wilcoxon" with seeds = {self.seeds}: a signed-rank test needs at least '
                f"{PRUNED_SEEDS_MINIMUM} seeds to tell two trials apart"
            )
        return self


class Exclusion(Settings):
    """A rule that excludes cells, with its reason; if several rules match a cell, the first counts."""

    where: Part = Field(min_length=1, description="factor -> a level or several; a factor left out has all levels")
    reason: str = Field(min_length=1, description="why the cells are left out, as plan and page show it")


class CellSettings(Settings):
    """Settings that some cells have and others do not; where several tables match a cell, later ones prevail."""

    where: Part = Field(min_length=1, description="factor -> a level or several; a factor left out has all levels")
    set: dict[str, Any] = Field(default_factory=dict, description="dotted key -> value in place of the base setting")
    solved_at: float | None = Field(
        default=None, gt=0, le=1, description="replaces solved_at of the study; needs stop_when_solved"
    )


class Scale(Settings):
    """The changes that a scale makes to a study."""

    summary: str = Field(description="what a run at this scale takes, or shows")
    seeds: int | None = Field(default=None, ge=1, le=1000, description="replaces the seeds of the study")
    trials: int | None = Field(default=None, ge=0, le=10_000, description="replaces the trials of tuning")
    factors: dict[str, list[Level]] = Field(default_factory=dict, description="replaces the levels of some factors")
    cells: list[Part] = Field(default_factory=list, description="replaces the cells of the study")
    search: dict[str, Range] = Field(default_factory=dict, description="replaces ranges of tuned settings")
    set: dict[str, Any] = Field(default_factory=dict, description="dotted key -> value that replaces a base setting")
    settings: list[CellSettings] = Field(
        default_factory=list, description="settings of some cells, which prevail over those of the study"
    )

    @model_serializer(mode="wrap")
    def _without_unset_keys(self, serialise: SerializerFunctionWrapHandler) -> Tree:
        """Leaves out a key that earlier versions did not have, so that stored studies stay equal."""
        tree: Tree = serialise(self)
        return {key: value for key, value in tree.items() if value or key != "settings"}


class StudyDeclaration(Settings):
    """The content of a study file."""

    title: str = Field(min_length=1, description="title of the study's page")
    question: str = Field(min_length=1, description="the question that the claims answer")
    paper: str = Field(description="the paper's finding")
    caveat: str = Field(default="", description="what the study cannot show")
    metric: str = Field(default="accuracy", description="tuning improves it on validation; claims are about it")
    split: str = Field(default="test", description="the split on which confirming runs are scored")
    shortcut: str | None = Field(default=None, description="the shortcut shown in figures with the runs' scores")
    control: Literal["positive", "negative"] | None = Field(
        default=None,
        description="a study whose verdicts are known beforehand; positive: all supported, negative: none supported",
    )
    solved_at: float | None = Field(
        default=None, gt=0, le=1, description="the value of the metric on validation that counts as solved"
    )
    stop_when_solved: bool = Field(default=False, description="whether a run ends where it has solved its task")
    checkpoint: Literal["best", "last"] = Field(
        default="best", description="checkpoint that is scored; the best is chosen on validation"
    )
    seeds: int = Field(ge=1, le=1000, description="fresh seeds of each cell, which alone enter the verdicts")
    first_seed: int = Field(
        default=0, ge=0, le=10**9, description="the first of them; another one repeats a study on seeds of its own"
    )
    level: float = Field(default=0.05, gt=0, lt=0.5, description="level of all tests together, by Holm's correction")
    looks: list[int] | None = Field(
        default=None, min_length=2, description="numbers of seeds at which it is judged, if more than once"
    )
    futility: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="a claim gets no more seeds if the last look would decide it with a probability below this",
    )
    test: Annotated[str, AfterValidator(form_name)] = Field(
        default=INDEPENDENT.name, description="form of the permutation test: independent or paired seeds"
    )
    base: dict[str, Any] = Field(
        description="the tables of a run that all arms share: task, model, objective, training"
    )
    factors: dict[str, list[Level]] = Field(min_length=1, description="dotted key -> its levels; cells are their grid")
    cells: list[Part] = Field(default_factory=list, description="parts of the grid that run; by default all of it")
    exclude: list[Exclusion] = Field(default_factory=list, description="cells that do not run, with the reason")
    settings: list[CellSettings] = Field(
        default_factory=list, description="settings that some cells have and others do not"
    )
    levels: dict[str, dict[str, dict[str, Any]]] = Field(
        default_factory=dict, description="factor -> level -> table, where the levels of a factor are names of tables"
    )
    tuning: Tuning = Field(
        default=Tuning(trials=0),
        description="by default nothing is tuned, and runs have the settings of base and factors",
    )
    claims: list[AnyClaim] = Field(min_length=1, description="the claims that the study judges, each of one kind")
    labels: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        default_factory=dict,
        description="factor, factor=level, cell, metric, shortcut or claim=NAME -> its name in figures and tables",
    )
    scales: dict[str, Scale] = Field(min_length=1, description="name -> changes for a cheaper or a larger version")

    @model_serializer(mode="wrap")
    def _without_unset_keys(self, serialise: SerializerFunctionWrapHandler) -> Tree:
        """Leaves out unset keys that earlier versions did not have, so that stored studies stay equal."""
        tree: Tree = serialise(self)
        return {key: value for key, value in tree.items() if value or key not in LATER_KEYS}

    @model_validator(mode="after")
    def _check_solved(self) -> Self:
        if self.solved_at is not None and self.metric not in SOLVING_METRICS:
            names = " or ".join(SOLVING_METRICS)
            raise ValueError(f'solved_at = {self.solved_at:zg} needs metric = {names}, not "{self.metric}"')
        if self.stop_when_solved and self.solved_at is None:
            raise ValueError("stop_when_solved = true needs solved_at, the value of the metric that counts as solved")
        listed = [*self.settings, *(part for scale in self.scales.values() for part in scale.settings)]
        own = next((part.solved_at for part in listed if part.solved_at is not None), None)
        if own is not None and not self.stop_when_solved:
            raise ValueError(
                f"settings.solved_at = {own:zg} needs stop_when_solved = true, by which each run holds its threshold"
            )
        return self

    @model_validator(mode="after")
    def _check_futility(self) -> Self:
        if self.futility is not None and self.looks is None:
            raise ValueError(
                f"futility = {self.futility:zg} needs looks: it decides whether a study goes on to the next"
            )
        return self

    @property
    def threshold(self) -> Solved | None:
        """The threshold that counts as solved; None if the study declares none."""
        return None if self.solved_at is None else Solved.model_validate({"metric": self.metric, "at": self.solved_at})

    @property
    def form(self) -> Form:
        """The form of the permutation test that `test` names."""
        return FORMS[self.test]

    def grids(self) -> list[dict[str, list[Level]]]:
        """Returns factor -> levels for the study itself and for the changes of every scale."""
        return [self.factors, *(scale.factors for scale in self.scales.values())]
