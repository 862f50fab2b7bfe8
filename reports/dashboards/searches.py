"""A search as trials for optuna-dashboard, with two objectives, so that its Pareto front is drawn; and all there is
to be shown: studies and searches.
"""

import json
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
from studies.declared.study import Range
from studies.ledger.files import SHARDS, STUDY, study_folder
from studies.running.search import SEARCH, distributions, table


@dataclass(frozen=True)
class SearchSource:
    """A search at a scale. When it ends it is shown anew, with its front marked."""

    home: Path
    name: str
    scale: str

    @property
    def folder(self) -> Path:
        """Where it keeps its file; a study of the same name is another source."""
        return study_folder(self.home, self.name, self.scale) / SEARCH

    def files(self) -> Iterable[Path]:
        return [self.folder]

    def read(self) -> tuple[Shape, Trials, str]:
        tree: Tree = json.loads(self.folder.read_bytes())
        made_of = (tree["complete"], tuple(tree["front"]), json.dumps(tree["space"]))
        directions = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
        values = (f"{tree['metric']} on validation", tree["cost"])
        name = f"search {self.name}, scale {self.scale}"
        shape = Shape(name, directions, values, {"question": tree["question"]}, made_of)
        trials = ((one["number"], partial(trial_of, self.home, tree, one)) for one in tree["trials"])
        return shape, trials, search_note(tree)


def trial_of(home: Path, tree: Tree, one: Tree) -> FrozenTrial:
    """A proposal as a trial: its settings, mean quality and cost, and what fresh seeds made of it."""
    said = {"runs": " ".join(run["run"] for run in one["runs"]), "front": one["front"]}
    fresh = [run["quality"] for run in one["confirmed"] if run["quality"] is not None]
    if fresh:
        said[f"{tree['metric']} on test, fresh seeds"] = round(fmean(fresh), 4)
    if one["failure"]:
        said["failure"] = one["failure"]
    space = {key: Range(**span) if isinstance(span, dict) else span for key, span in tree["space"].items()}
    scored = one["quality"] is not None
    trial = create_trial(
        state=TrialState.COMPLETE if scored else TrialState.FAIL if one["failure"] else TrialState.RUNNING,
        values=[one["quality"], one["cost"]] if scored else None,
        params=one["settings"],
        distributions=distributions(space),
        user_attrs=said,
    )
    return clocked(trial, [RunFolder(home, run["run"]) for run in one["runs"]])


def search_note(tree: Tree) -> str:
    """Question, front and caveat, in Markdown."""
    count = f"{len(tree['trials'])} of {tree['budget']} trials so far."
    lines = [f"- {plain(line)}" for line in table(tree)] if tree["complete"] else [count]
    summary = f"Scale {plain(tree['scale'])}: {plain(tree['summary'])}."
    return "\n\n".join([f"# {plain(tree['title'])}", f"**{plain(tree['question'])}**", summary, *lines])


def sources(home: Path, name: str | None, scale: str | None) -> list[Source]:
    """The studies and searches that ran, or those of one name, or of one scale, in the order of their names."""
    pattern = f"studies/{Path(name).stem if name else '*'}/{scale or '*'}"
    folders = {path.parent for path in home.glob(f"{pattern}/{STUDY}")}
    folders |= {path.parents[2] for path in home.glob(f"{pattern}/{SHARDS}/*/{STUDY}")}
    searched = {path.parent for path in home.glob(f"{pattern}/{SEARCH}")}
    studies = [StudySource(home, folder.parent.name, folder.name) for folder in sorted(folders)]
    return [*studies, *(SearchSource(home, folder.parent.name, folder.name) for folder in sorted(searched))]
