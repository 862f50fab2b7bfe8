"""Models of what a study keeps beside its runs: its declaration, its ledger, its verdicts and its looks.

Each model reads and writes one JSON file. Field aliases are the keys on disk where the attribute has a clearer name.
This module imports neither torch nor the declarations of studies, so that reading the progress of a study stays fast.
"""

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, SerializerFunctionWrapHandler, model_serializer

from generators.foundation.settings import Tree

Phase = Literal["tune", "confirm"]
Scalar = bool | int | float | str
"""A level of a factor as JSON stores it."""


class Record(BaseModel):
    """A stored model. Numbers must be finite, and types are not converted."""

    model_config = ConfigDict(strict=True, populate_by_name=True, allow_inf_nan=False)

    def tree(self) -> Tree:
        """Returns the record as JSON types, under the keys used on disk."""
        return self.model_dump(mode="json", by_alias=True)


R = TypeVar("R", bound=BaseModel)


class RunRecord(Record):
    """One run of a study.

    Attributes:
        seed: the run's seed; seeds of tuning runs start at `TUNING_SEED`.
        settings: tuned settings, by dotted key.
        identity: the name of the run's folder.
        score: the study's metric, on validation in the tuning phase and on the study's split in the confirming phase.
        failure: why the run has no score.
        measures: the other measures that claims use, by name.
        analysis_failures: analysis that claims use -> why it could not be computed for the run; not stored if empty.
        code: key, in the ledger, of the version of the code that made the run; None if it is unknown.
    """

    phase: Phase
    seed: int
    settings: dict[str, float]
    identity: str = Field(alias="run")
    score: float | None = None
    failure: str | None = None
    measures: dict[str, int | float] = Field(default_factory=dict)
    analysis_failures: dict[str, str] = Field(default_factory=dict)
    code: str | None = None

    @model_serializer(mode="wrap")
    def _without_empty_keys(self, serialise: SerializerFunctionWrapHandler) -> Tree:
        """Leaves out the last two keys if they are empty, as in earlier ledgers."""
        tree: Tree = serialise(self)
        empty = {"analysis_failures": not self.analysis_failures, "code": self.code is None}
        return {key: value for key, value in tree.items() if not empty.get(key)}

    @property
    def ended(self) -> bool:
        """True once the run has a score or a failure."""
        return self.score is not None or self.failure is not None


class RunCounts(Record):
    """Scored trials, scored confirming seeds, failed runs and ended runs of a cell."""

    tune: int
    confirm: int
    failed: int
    ended: int


class CellRecord(Record):
    """One cell of a study: the levels of its factors, its runs and the settings that tuning chose.

    Attributes:
        saved: planned runs that the study goes without: seeds of pruned trials, and seeds after the last look that the
            cell needed. Not stored if it is 0.
    """

    label: str = Field(alias="cell")
    levels: dict[str, Scalar]
    winner: dict[str, float] | None = None
    runs: list[RunRecord] = Field(default_factory=list, alias="entries")
    saved: int = 0

    @model_serializer(mode="wrap")
    def _without_zero(self, serialise: SerializerFunctionWrapHandler) -> Tree:
        """Leaves out `saved` where it says nothing, as in earlier ledgers."""
        tree: Tree = serialise(self)
        return tree if self.saved else {key: value for key, value in tree.items() if key != "saved"}

    def confirmed(self, measure: str | None = None) -> dict[int, float]:
        """Returns seed -> score of the confirming runs, or seed -> the named measure for runs that have it."""
        scored = [run for run in self.runs if run.phase == "confirm" and run.score is not None]
        values = {run.seed: run.measures.get(measure) if measure else run.score for run in scored}
        return {seed: value for seed, value in values.items() if value is not None}

    def counts(self) -> RunCounts:
        """Counts the runs that ended."""
        phases = [run.phase for run in self.runs if run.score is not None]
        failed = sum(run.failure is not None for run in self.runs)
        return RunCounts(
            tune=phases.count("tune"), confirm=phases.count("confirm"), failed=failed, ended=len(phases) + failed
        )


class LedgerRecord(Record):
    """The cells of a study, or of one shard of it.

    Attributes:
        codes: digest -> version of the code that made some of the runs.
        mixed_code: True if claims may compare runs of different versions.
    """

    cells: list[CellRecord]
    codes: dict[str, dict[str, str]] = Field(default_factory=dict)
    mixed_code: bool = False

    @property
    def saved(self) -> int:
        """Planned runs that the study goes without."""
        return sum(cell.saved for cell in self.cells)

    def tree(self) -> Tree:
        """Returns the ledger as JSON types; keys about the code are left out if they are empty, as in earlier
        ledgers.
        """
        return {key: value for key, value in super().tree().items() if key == "cells" or value}


class TuningRecord(Record):
    """The part of a stored declaration that progress reports need."""

    seeds: int = 1


class DeclarationRecord(Record):
    """The part of a stored declaration that is read without validating the whole of it."""

    tuning: TuningRecord


def catalog_source(name: str) -> str:
    """Returns the source of a study of the catalog as it is stored, wherever the lab is installed."""
    return f"studies/catalog/{name}.toml"


class StudyRecord(Record):
    """A study as it last ran: enough to read its runs and to run it again.

    Attributes:
        declaration: the validated study file, as JSON types.
        runs: runs of the whole study, at most.
        compiled: whether the lab decided to compile its steps, because its file leaves that open.
    """

    name: str
    scale: str
    source: str
    assignments: list[str]
    base: dict[str, Any]
    factors: dict[str, list[Scalar]]
    seeds: int
    trials: int
    declaration: dict[str, Any]
    runs: int
    compiled: bool = False

    def tree(self) -> Tree:
        """Returns the record as JSON types, as earlier versions wrote it if its runs were not compiled by choice."""
        tree = super().tree()
        return tree if self.compiled else {key: value for key, value in tree.items() if key != "compiled"}

    @property
    def is_of_catalog(self) -> bool:
        """True if the source is the catalog's file of the study's name."""
        return self.source == catalog_source(self.name)

    @property
    def version(self) -> Tree:
        """Everything except where the study came from and its labels; equal whenever the same version of a study is
        written.
        """
        tree = self.model_dump(mode="json", exclude={"source", "assignments"})
        tree["declaration"] = {key: value for key, value in self.declaration.items() if key != "labels"}
        return tree

    @property
    def tuning_runs(self) -> int:
        """The maximum number of tuning runs of a cell."""
        return self.trials * DeclarationRecord.model_validate(self.declaration).tuning.seeds


class StateRecord(Record):
    """The state of a study's place in a home.

    Attributes:
        origin: the file that ran, relative to the home; None for a study of the catalog, and if the file is unknown, as
            for an unpacked study.
        finished: False from the moment a run of the study begins until its verdicts are written.
    """

    origin: str | None
    finished: bool


class VerdictRecord(Record):
    """The verdict on one claim; effect, interval and p values are None if the claim could not be tested.

    Attributes:
        cells: labels of every cell that the claim uses; `treatment` and `control` are the two shown side by side.
        negligible: the claim's bound of effects that are too small to matter; not stored if it has none.
        interval: its ends; None for an infinite end.
        interval_level: one minus the confidence of the interval.
        p_corrected: the p value after Holm's correction.
        seeds_needed: estimated seeds per arm that would decide an inconclusive claim.
    """

    claim: str
    text: str
    paper: str
    kind: str
    margin: float | None = None
    negligible: float | None = None
    cells: list[str]
    treatment: str
    control: str
    verdict: Literal["supported", "contradicted", "negligible", "inconclusive"]
    reason: str
    difference: float | None = None
    interval: tuple[float | None, float | None] | None = None
    interval_level: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    seeds_needed: int | None = None
    outlook: str = ""

    @model_serializer(mode="wrap")
    def _without_unset_key(self, serialise: SerializerFunctionWrapHandler) -> Tree:
        """Leaves out `negligible` if the claim has none, as in earlier verdicts."""
        tree: Tree = serialise(self)
        return tree if self.negligible is not None else {key: tree[key] for key in tree if key != "negligible"}


class VerdictsRecord(Record):
    """The verdicts on all claims of a study, written when the study ends."""

    study: str
    scale: str
    verdicts: list[VerdictRecord]


class LooksRecord(RootModel[dict[int, list[int] | None]]):
    """The looks taken: number of seeds -> the looks that the study file declared at that time."""
