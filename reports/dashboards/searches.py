"""A search as trials for optuna-dashboard, with two objectives, so that its Pareto front is drawn; and all there is
to be shown: studies and searches.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from generators.foundation.settings import Tree
from lab.run.store import RunFolder
from reports.dashboards.board import Shape, Source, StudySource, Trials, clocked, plain
from studies.ledger.folder import SEARCH, StudyFolder
from studies.ledger.search_records import ProposalRecord, SearchRecord
from studies.running.front import front_lines
from studies.running.sampling import distributions


@dataclass(frozen=True)
class SearchSource:
    """A search at a scale. When it ends it is shown anew, with its front marked."""

    home: Path
    name: str
    scale: str

    @property
    def folder(self) -> Path:
        """Where it keeps its file; a study of the same name is another source."""
        return StudyFolder(self.home, self.name, self.scale).path / SEARCH

    def files(self) -> Iterable[Path]:
        return [self.folder]

    def read(self) -> tuple[Shape, Trials, str]:
        record = StudyFolder(self.home, self.name, self.scale).read_search()
        assert record is not None
        made_of = (record.complete, tuple(record.front), repr(record.space))
        directions = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
        values = (f"{record.metric} on validation", record.cost)
        name = f"search {self.name}, scale {self.scale}"
        shape = Shape(name, directions, values, {"question": record.question}, made_of)
        trials = ((proposal.number, partial(trial_of, self.home, record, proposal)) for proposal in record.trials)
        return shape, trials, search_note(record)


def trial_of(home: Path, record: SearchRecord, proposal: ProposalRecord) -> FrozenTrial:
    """Returns one proposal as a trial, with its mean on fresh seeds if it is on the front."""
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
        params=proposal.settings,
        distributions=distributions(record.space),
        user_attrs=attributes,
    )
    return clocked(trial, [RunFolder(home, run.identity) for run in proposal.runs])


def search_note(record: SearchRecord) -> str:
    """Returns question, front and caveat, in Markdown."""
    count = f"{len(record.trials)} of {record.budget} trials so far."
    lines = [f"- {plain(line)}" for line in front_lines(record)] if record.complete else [count]
    summary = f"Scale {plain(record.scale)}: {plain(record.summary)}."
    return "\n\n".join([f"# {plain(record.title)}", f"**{plain(record.question)}**", summary, *lines])


def sources(home: Path, name: str | None, scale: str | None) -> list[Source]:
    """Returns the studies, then the searches, that ran, of one name or scale where it is given, sorted by name."""
    studies = StudyFolder.all_stored(home, name, scale)
    searches = StudyFolder.all_searches(home, name, scale)
    return [
        *(StudySource(home, folder.name, folder.scale) for folder in studies),
        *(SearchSource(home, folder.name, folder.scale) for folder in searches),
    ]
