"""Shows a search as trials with two objectives, whose Pareto front optuna-dashboard draws."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from generators.foundation.settings import Tree
from lab.run.store import RunFolder
from reports.dashboards.board import BoardEntry, BoardHeader, SourceKey
from reports.dashboards.markdown import READ_ONLY, escape_markdown
from reports.dashboards.parameters import outside, varied, within
from reports.dashboards.times import set_times
from studies.ledger.folder import SEARCH, StudyFolder
from studies.ledger.search_records import ProposalRecord, SearchRecord
from studies.running.front import front_lines
from studies.running.sampling import distributions


@dataclass(frozen=True)
class SearchSource:
    """A search at one scale. When it ends, the display is rebuilt with the front marked."""

    home: Path
    name: str
    scale: str

    @property
    def key(self) -> SourceKey:
        return "search", self.name, self.scale

    @property
    def folder(self) -> StudyFolder:
        """The folder of the stored search."""
        return StudyFolder(self.home, self.name, self.scale)

    def files(self) -> Iterable[Path]:
        return [self.folder.path / SEARCH]

    def read(self) -> list[BoardEntry]:
        record = self.folder.read_search()
        assert record is not None
        scored = [proposal.settings for proposal in record.trials if proposal.values is not None]
        space = varied(distributions(record.space), scored)
        header = BoardHeader(
            name=f"search {self.name}, scale {self.scale}",
            directions=(StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE),
            metric_names=(f"{record.metric} on validation", record.cost),
            attributes={"question": record.question},
            version=(record.complete, tuple(record.front), repr(space)),
        )
        trials = (
            (proposal.number, partial(trial_of, self.home, record, space, proposal)) for proposal in record.trials
        )
        return [BoardEntry(header, trials, search_note(record))]


def trial_of(
    home: Path, record: SearchRecord, space: Mapping[str, BaseDistribution], proposal: ProposalRecord
) -> FrozenTrial:
    """Returns a proposal as a trial: settings, mean quality and cost, and its quality on fresh seeds if it has any.

    Args:
        home: the lab's home.
        record: the search.
        space: the distributions of its parameters; other settings become user attributes.
        proposal: the proposal.
    """
    attributes: Tree = {"runs": " ".join(run.identity for run in proposal.runs), "front": proposal.front}
    fresh = [run.quality for run in proposal.confirmed if run.quality is not None]
    if fresh:
        attributes[f"{record.metric} on test, fresh seeds"] = round(fmean(fresh), 4)
    if proposal.failure:
        attributes["failure"] = proposal.failure
    scored = proposal.values is not None
    trial = create_trial(
        state=TrialState.COMPLETE if scored else TrialState.FAIL if proposal.failure else TrialState.RUNNING,
        values=proposal.values,
        params=within(space, proposal.settings),
        distributions=dict(space),
        user_attrs=attributes | outside(space, proposal.settings),
    )
    return set_times(trial, [RunFolder(home, run.identity) for run in proposal.runs])


def search_note(record: SearchRecord) -> str:
    """Returns question, front and caveat, in Markdown."""
    progress = f"{len(record.trials)} of {record.budget} trials so far."
    lines = [f"- {escape_markdown(line)}" for line in front_lines(record)] if record.complete else [progress]
    summary = f"Scale {escape_markdown(record.scale)}: {escape_markdown(record.summary)}."
    return "\n\n".join(
        [f"# {escape_markdown(record.title)}", f"**{escape_markdown(record.question)}**", summary, *lines, READ_ONLY]
    )
