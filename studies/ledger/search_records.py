"""Models of what a search keeps beside its runs, in one file."""

from statistics import fmean
from typing import Any, Literal

from pydantic import Field

from studies.ledger.records import Record, Scalar


class SearchRunRecord(Record):
    """One run of a search, with its quality and cost, or the reason why it has none."""

    seed: int
    identity: str = Field(alias="run")
    quality: float | None = None
    cost: float | None = None
    failure: str | None = None

    @property
    def ended(self) -> bool:
        """True once the run has a quality or a failure."""
        return self.quality is not None or self.failure is not None


class ProposalRecord(Record):
    """One trial of a search. Quality and cost are means over its runs, or None if a run failed or has not ended."""

    number: int
    settings: dict[str, Scalar]
    quality: float | None = None
    cost: float | None = None
    failure: str | None = None
    front: bool = False
    runs: list[SearchRunRecord] = Field(default_factory=list)
    confirmed: list[SearchRunRecord] = Field(default_factory=list)

    @property
    def values(self) -> tuple[float, float] | None:
        """Quality and cost; None while the trial has no values."""
        return None if self.quality is None or self.cost is None else (self.quality, self.cost)

    def summarise(self) -> None:
        """Sets quality, cost and failure once all runs of the trial have ended."""
        self.failure = next((run.failure for run in self.runs if run.failure is not None), None)
        if self.failure is None and all(run.ended for run in self.runs):
            self.quality = fmean(run.quality for run in self.runs if run.quality is not None)
            self.cost = fmean(run.cost for run in self.runs if run.cost is not None)


class RangeRecord(Record):
    """The range of a searched setting."""

    low: float
    high: float
    log: bool


class SearchRecord(Record):
    """The current state of a search.

    Attributes:
        origin: the file that ran, relative to the home; None for a search of the catalog.
        content: the content of the file at this scale, with which a later run finds edits; empty for a search that an
            earlier version of the lab stored.
        budget: trials of the whole search.
        refused: proposals that could not run; they cost nothing.
        dominated: trials that are not on the front; None until the search is complete.
        front: numbers of the trials on the front, by cost.
    """

    name: str = Field(alias="search")
    scale: str
    source: str
    origin: str | None = None
    content: dict[str, Any] = Field(default_factory=dict)
    title: str
    question: str
    metric: str
    cost: Literal["seconds", "parameters"]
    sampler: str
    summary: str
    space: dict[str, list[Scalar] | RangeRecord]
    budget: int
    complete: bool
    caveat: str
    refused: int
    failed: int
    dominated: int | None
    front: list[int]
    trials: list[ProposalRecord]
