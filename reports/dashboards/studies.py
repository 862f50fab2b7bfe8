"""A study as trials: one trial for each of its runs.

The runs of one phase on one task form one optuna study, so that its best trial is chosen among comparable trials.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from generators.foundation.errors import UserError
from generators.foundation.numbers import signed_number
from generators.foundation.settings import Tree
from lab.run.store import METRICS, SPEC, TIMING, RunFolder
from reports.dashboards.board import BoardEntry, BoardHeader, SourceKey, Trials
from reports.dashboards.markdown import READ_ONLY, escape_markdown
from reports.dashboards.parameters import outside, varied, within
from reports.dashboards.study_parts import PHASES, StudyPart, parts_of
from reports.dashboards.times import set_times
from reports.frames.numbers import plural
from reports.frames.text import as_sentence
from studies.declared.measures import main_measure
from studies.declared.study import Study
from studies.judging.judgement import UNTESTED
from studies.judging.study_code import StudyCode
from studies.ledger.declared_study import ledger_of, study_in
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord, LedgerRecord, RunRecord, VerdictRecord

REPORTS_PATH = "/reports/"


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
        """The folder of the stored study."""
        return StudyFolder(self.home, self.name, self.scale)

    def files(self) -> Iterable[Path]:
        return self.folder.files()

    def read(self) -> list[BoardEntry]:
        study = study_in(self.folder)
        ledger, verdicts = ledger_of(self.home, study), self.folder.read_verdicts()
        lines = verdicts.verdicts if verdicts else []
        return [self._entry(part, ledger, lines) for part in parts_of(study)]

    def _entry(self, part: StudyPart, ledger: LedgerRecord, verdicts: list[VerdictRecord]) -> BoardEntry:
        study, runs = part.study, part.runs(ledger.cells)
        remarks = StudyCode(ledger, self.folder.run_command).remarks()
        scored = [settings_of(cell, run) for cell, run in runs.values() if run.score is not None]
        space = varied(distributions(study), scored)
        measure = main_measure(study.declaration)
        attributes = {"question": study.declaration.question, "report": report_path(study.name, study.scale)}
        header = BoardHeader(
            name=part.name,
            directions=(StudyDirection.MAXIMIZE if measure.sign > 0 else StudyDirection.MINIMIZE,),
            metric_names=(study.declaration.metric,),
            attributes=attributes,
            version=(study, tuple(space)),
        )
        return BoardEntry(
            header,
            self._trials(part, runs, space),
            study_note(part, ledger.cells, verdicts, remarks, finished=self.folder.has_verdicts),
        )

    def _trials(
        self, part: StudyPart, runs: dict[int, tuple[CellRecord, RunRecord]], space: dict[str, BaseDistribution]
    ) -> Trials:
        """Yields the runs that started, cell by cell, in the order of the ledger."""
        for place, (cell, run) in runs.items():
            if run.ended or (RunFolder(self.home, run.identity).path / SPEC).exists():
                metric = part.study.declaration.metric if place % part.curve_interval == 0 else None
                yield (place, run.identity), partial(trial_of, self.home, metric, space, cell, run)


def distributions(study: Study) -> dict[str, BaseDistribution]:
    """Returns the values that each factor and each tuned setting can have."""
    levels = {key: CategoricalDistribution(levels) for key, levels in study.factors.items()}
    spans = study.declaration.tuning.search.items()
    return {**levels, **{key: FloatDistribution(span.low, span.high, log=span.log) for key, span in spans}}


def settings_of(cell: CellRecord, run: RunRecord) -> Tree:
    """Returns the levels of a run's cell and its tuned settings."""
    return {**cell.levels, **run.settings}


def trial_of(
    home: Path, metric: str | None, space: dict[str, BaseDistribution], cell: CellRecord, run: RunRecord
) -> FrozenTrial:
    """Returns a run as a trial.

    Args:
        home: the lab's home.
        metric: the metric of its curve; None for no curve.
        space: the distributions of its parameters; other settings become user attributes.
        cell: the run's cell.
        run: the run.
    """
    state = TrialState.FAIL if run.failure else TrialState.COMPLETE if run.ended else TrialState.RUNNING
    folder = RunFolder(home, run.identity)
    settings = settings_of(cell, run)
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
        params=within(space, settings),
        distributions=space,
        user_attrs=attributes | outside(space, settings),
        intermediate_values=curve,
    )
    return set_times(trial, [folder])


def validation_curve(folder: RunFolder, metric: str) -> dict[int, float]:
    """Returns step -> a metric on validation."""
    lines = [line for line in folder.lines(METRICS) if line["split"] == "validation" and metric in line]
    return {line["step"]: line[metric] for line in lines}


def study_note(
    part: StudyPart, cells: list[CellRecord], verdicts: list[VerdictRecord], remarks: list[str], *, finished: bool
) -> str:
    """Returns question, verdicts and a guide to the trials, in Markdown.

    Args:
        remarks: sentences about the code of the runs.
        finished: False if the verdicts are of an earlier run.
    """
    study, declaration = part.study, part.study.declaration
    counts = [cell.counts() for cell in cells]
    ended, failed = sum(count.ended for count in counts), sum(count.failed for count in counts)
    every, planned = part.curve_interval, study.runs - sum(cell.saved for cell in cells)
    counted = "only these runs count for a verdict" if part.phase == "confirm" else "the best of a cell is confirmed"
    lines = [
        f"# {escape_markdown(declaration.title)}",
        f"**{escape_markdown(declaration.question)}**",
        f"Scale {escape_markdown(study.scale)}: {escape_markdown(declaration.scales[study.scale].summary)}.",
        *(["An earlier run of this study came to these verdicts:"] if verdicts and not finished else []),
        *(f"- {verdict_line(verdict)}" for verdict in verdicts),
        *(escape_markdown(as_sentence(remark)) for remark in remarks),
        f"{ended} of {plural(planned, 'run')} of the whole study ended, {failed} failed."
        + ("" if finished else " Verdicts follow when the study ends."),
        f"[The current report]({report_path(study.name, study.scale)})",
        f"Each trial is one of the {PHASES[part.phase]}, and its value is {escape_markdown(declaration.metric)} on "
        f"{escape_markdown(part.split)}; {counted}. Intermediate values are the metric on validation by step"
        + (f", here for one run in {every}" if every > 1 else "")
        + ". A trial is *running* if its run started and has not ended, even if it was killed.",
        READ_ONLY,
    ]
    return "\n\n".join(lines)


def verdict_line(verdict: VerdictRecord) -> str:
    """Returns a stored verdict as one line of Markdown."""
    effect = ""
    if verdict.interval and verdict.interval_level is not None and verdict.difference is not None:
        numbers = [number for number in (verdict.difference, *verdict.interval) if number is not None]
        low, high = ("without end" if end is None else signed_number(end, *numbers) for end in verdict.interval)
        confidence = f"{100 * (1 - verdict.interval_level):z.4g}%"
        difference = signed_number(verdict.difference, *numbers)
        effect = f"difference {difference}, {confidence} interval {low} to {high}; "
    text = escape_markdown(verdict.text)
    name = UNTESTED if verdict.difference is None else verdict.verdict
    return f"**{name.upper()}** {text} ({escape_markdown(effect + verdict.reason)})"


def report_path(name: str, scale: str) -> str:
    """Returns the path under which the server shows a study's report."""
    return f"{REPORTS_PATH}{quote(name)}/{quote(scale)}"
