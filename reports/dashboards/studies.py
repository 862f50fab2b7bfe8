"""A study as trials: one trial for each of its runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from urllib.parse import quote

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.run.store import METRICS, SPEC, TIMING, RunFolder
from reports.dashboards.board import BoardHeader, SourceKey, Trials
from reports.dashboards.markdown import escape_markdown
from reports.dashboards.times import set_times
from reports.frames.numbers import plural
from studies.declared.study import Study
from studies.ledger.declared_study import find_study
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord, RunRecord, VerdictRecord

REPORTS_PATH = "/reports/"
CURVES_MAXIMUM = 500
"""Curves of a study at most; with more, a browser takes minutes to draw them."""


@dataclass(frozen=True)
class StudySource:
    """A study at one scale."""

    home: Path
    name: str
    scale: str

    @property
    def key(self) -> SourceKey:
        return "study", self.name, self.scale

    @property
    def folder(self) -> StudyFolder:
        """Its stored files."""
        return StudyFolder(self.home, self.name, self.scale)

    def files(self) -> Iterable[Path]:
        return self.folder.files()

    def read(self) -> tuple[BoardHeader, Trials, str]:
        study = find_study(self.home, self.name, self.scale)
        cells, verdicts = self.folder.read_cells_of(study), self.folder.read_verdicts()
        attributes = {"question": study.declaration.question, "report": report_path(study.name, study.scale)}
        name, metric = f"{study.name}, scale {study.scale}", study.declaration.metric
        header = BoardHeader(name, (StudyDirection.MAXIMIZE,), (metric,), attributes, study)
        return header, self._trials(study, cells), study_note(study, cells, verdicts.verdicts if verdicts else [])

    def _trials(self, study: Study, cells: list[CellRecord]) -> Trials:
        """Yields the runs that started, cell by cell, in the order of the ledger."""
        space, every = distributions(study), curve_interval(study)
        for number, cell in enumerate(cells):
            for place, run in enumerate(cell.runs):
                if run.ended or (RunFolder(self.home, run.identity).path / SPEC).exists():
                    with_curve = (number * (study.trials + study.seeds) + place) % every == 0
                    metric = study.declaration.metric if with_curve else None
                    yield (cell.label, place, run.identity), partial(trial_of, self.home, metric, space, cell, run)


def distributions(study: Study) -> dict[str, BaseDistribution]:
    """Returns the values that each factor and each tuned setting can have."""
    levels = {key: CategoricalDistribution(levels) for key, levels in study.factors.items()}
    spans = study.declaration.tuning.search.items()
    return {**levels, **{key: FloatDistribution(span.low, span.high, log=span.log) for key, span in spans}}


def curve_interval(study: Study) -> int:
    """Returns k where one run in k has its curve, so that there are at most `CURVES_MAXIMUM`."""
    return ceil(study.runs / CURVES_MAXIMUM)


def trial_of(
    home: Path, metric: str | None, space: dict[str, BaseDistribution], cell: CellRecord, run: RunRecord
) -> FrozenTrial:
    """Returns a run as a trial.

    Args:
        home: the lab's home.
        metric: the metric of its curve; None for no curve.
        space: the distributions of its parameters.
        cell: the run's cell.
        run: the run.
    """
    state = TrialState.FAIL if run.failure else TrialState.COMPLETE if run.ended else TrialState.RUNNING
    folder = RunFolder(home, run.identity)
    attributes: Tree = {"cell": cell.label, "phase": run.phase, "seed": run.seed, "run": run.identity}
    curve: dict[int, float] = {}
    try:
        curve = validation_curve(folder, metric) if metric else {}
        attributes["seconds of training"] = round(sum(line["train_seconds"] for line in folder.lines(TIMING)), 3)
    except UserError as error:  # the ledger still has its score
        attributes["curve"] = str(error)
    if run.failure:
        attributes["failure"] = run.failure
    trial = create_trial(
        state=state,
        value=run.score,
        params=cell.levels | run.settings,
        distributions=space,
        user_attrs=attributes,
        intermediate_values=curve,
    )
    return set_times(trial, [folder])


def validation_curve(folder: RunFolder, metric: str) -> dict[int, float]:
    """Returns step -> a metric on validation."""
    lines = [line for line in folder.lines(METRICS) if line["split"] == "validation" and metric in line]
    return {line["step"]: line[metric] for line in lines}


def study_note(study: Study, cells: list[CellRecord], verdicts: list[VerdictRecord]) -> str:
    """Returns question, verdicts and a guide to the trials, in Markdown."""
    declaration = study.declaration
    counts = [cell.counts() for cell in cells]
    ended, failed = sum(count.ended for count in counts), sum(count.failed for count in counts)
    every = curve_interval(study)
    lines = [
        f"# {escape_markdown(declaration.title)}",
        f"**{escape_markdown(declaration.question)}**",
        f"Scale {escape_markdown(study.scale)}: {escape_markdown(declaration.scales[study.scale].summary)}.",
        *(f"- {verdict_line(verdict)}" for verdict in verdicts),
        f"{ended} of {plural(study.runs, 'run')} ended, {failed} failed."
        + ("" if verdicts else " Verdicts follow when the study ends."),
        f"[The current report]({report_path(study.name, study.scale)})",
        f"Each trial is a run. Its value is {escape_markdown(declaration.metric)}, on validation if `phase` is "
        "`tune` and on test if it is `confirm`; only confirming runs count for a verdict. Intermediate values are "
        "the metric on validation by step"
        + (f", here for one run in {every}" if every > 1 else "")
        + ". A trial is *running* if its run started and has not ended, even if it was killed.",
    ]
    return "\n\n".join(lines)


def verdict_line(verdict: VerdictRecord) -> str:
    """Returns a stored verdict as one line of Markdown."""
    effect = ""
    if verdict.interval and verdict.interval_level is not None:
        low, high = ("without end" if end is None else f"{end:+.3f}" for end in verdict.interval)
        confidence = f"{100 * (1 - verdict.interval_level):.4g}%"
        effect = f"difference {verdict.difference:+.3f}, {confidence} interval {low} to {high}; "
    text = escape_markdown(verdict.text)
    return f"**{verdict.verdict.upper()}** {text} ({escape_markdown(effect + verdict.reason)})"


def report_path(name: str, scale: str) -> str:
    """Returns the path under which the server shows a study's report."""
    return f"{REPORTS_PATH}{quote(name)}/{quote(scale)}"
