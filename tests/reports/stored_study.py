"""A small study whose runs have the scores that a test chooses.

One run of each cell is trained for real. Every stored run is a copy of its cell's, with other scores and times.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from generators.foundation.code.version import version_digest
from generators.foundation.settings import Tree
from lab.run.spec import RunSpec
from lab.run.store import METRICS, TIMING, RunFolder
from lab.run.training import train
from studies.declared.loading import declare
from studies.declared.measures import main_measure, measure_of
from studies.declared.study import TUNING_SEED, Study
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.declared_study import cells_of, record_of
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord, LedgerRecord, RunRecord
from studies.ledger.scores import scores_for
from tests.small_study import small_study

TITLE = '<script>alert("title")</script>'
STUDY_FILE = small_study(
    ('title = "A small study"', f"title = '{TITLE}'"),
    ('question = "Does it?"', "question = '<script>alert(\"question\")</script> & <b>does it?</b>'"),
    (
        'paper = "figure 0"',
        "paper = '<img src=\"http://example.org/paper.png\">'\n"
        "caveat = '<style>body { display: none }</style> $\\alpha$'",
    ),
    ('metric = "accuracy"\n', ""),
    ("steps = 3\nbatch", "steps = 20\nbatch"),
    ("evaluate_every_steps = 3", "evaluate_every_steps = 10"),
    ('text = "Two are better', 'text = \'<script>alert("claim")</script> Two are better'),
    ('than one."\npaper = "far better"', 'than one.\'\npaper = "far better, 0.9 to 0.1"'),
    ('where = { "model.width" = 16 }', 'where = { "model.width" = "last" }'),
)
"""The small study with markup in every text, and runs of 20 steps."""
SHORTCUT = {"validation": 0.25, "test": 0.3}
SHORTCUT_EXACT = {"validation": 0.15, "test": 0.2}
RATES = (0.01, 0.004)
"""Learning rates of the two trials of a cell."""

Outcome = float | str | None
"""A score; the reason of a failure; or None for a run that has not ended."""
Outcomes = Callable[[str, str, int], Outcome]
"""Label of a cell, phase, number of the run in its phase, counted from 0 -> outcome."""


def usual_outcome(cell: str, phase: str, number: int) -> Outcome:
    """Two tokens are far better at width 8 and no different at width 16; the second trial wins in every cell."""
    base = {"width=8 n=1": 0.35, "width=8 n=2": 0.8, "width=16 n=1": 0.9, "width=16 n=2": 0.9}[cell]
    return base + 0.01 * number if phase == "confirm" else base - 0.1 + 0.05 * number


def usual_score(cell: str, seed: int) -> float:
    """Returns the usual score of a confirming run."""
    score = usual_outcome(cell, "confirm", seed)
    assert isinstance(score, float)
    return score


@dataclass(frozen=True)
class StoredStudy:
    """A study in a home, as if it had run."""

    home: Path
    study: Study

    @property
    def folder(self) -> StudyFolder:
        return StudyFolder(self.home, self.study.name, self.study.scale)

    @property
    def cells(self) -> list[CellRecord]:
        return cells_of(self.home, self.study)

    @property
    def judgements(self) -> list[Judgement]:
        return judge(self.study, scores_for(self.study, self.cells))

    def runs(self, phase: str) -> list[tuple[str, RunRecord]]:
        """Returns pairs of a cell's label and a run of a phase, in the order of the ledger."""
        return [(cell.label, run) for cell in self.cells for run in cell.runs if run.phase == phase]

    def run(self, cell: str, seed: int) -> RunRecord:
        """Returns the confirming run of a cell and a seed."""
        return next(run for label, run in self.runs("confirm") if (label, run.seed) == (cell, seed))


class StudyStore:
    """Stores studies, each in a separate home.

    Args:
        new_folder: returns an empty folder.
    """

    def __init__(self, new_folder: Callable[[], Path]) -> None:
        self.new_folder = new_folder
        self.trained = new_folder()

    def __call__(
        self,
        outcomes: Outcomes = usual_outcome,
        scale: str = "cpu",
        text: str = STUDY_FILE,
        sets: tuple[str, ...] = (),
        name: str = "small",
    ) -> StoredStudy:
        """Stores a study.

        Args:
            outcomes: of its runs.
            scale: of its file.
            text: its file.
            sets: assignments that change its file.
            name: its name.
        """
        folder = self.new_folder()
        path = folder / f"{name}.toml"
        path.write_text(text)
        study = declare(str(path), scale, list(sets))
        stored = StoredStudy(folder / "home", study)
        stored.folder.path.mkdir(parents=True)
        stored.folder.write_study(record_of(study))
        cells = [self._store_cell(stored, index, outcomes) for index in range(len(study.cells))]
        runs = [run for cell in cells for run in cell.runs]
        codes = {run.code: dict(RunFolder(stored.home, run.identity).code() or {}) for run in runs if run.code}
        stored.folder.write_ledger(LedgerRecord(cells=cells, codes=codes))
        return stored

    def _store_cell(self, stored: StoredStudy, index: int, outcomes: Outcomes) -> CellRecord:
        study, cell = stored.study, stored.study.cells[index]
        (key,) = study.declaration.tuning.search
        record = CellRecord(label=cell.label, levels=dict(cell.levels))
        trials: dict[float, list[Any]] = {}
        for number in range(study.tuning_runs):
            trial, seed = divmod(number, study.declaration.tuning.seeds)
            settings = {key: RATES[trial]}
            identity = study.spec(cell, settings, TUNING_SEED + seed).identity
            record.runs.append(RunRecord(phase="tune", seed=TUNING_SEED + seed, settings=settings, identity=identity))
            self._store_run(stored, record.runs[-1], index, outcomes(cell.label, "tune", number))
            trials.setdefault(RATES[trial], []).append(record.runs[-1].score)
        means = {rate: fmean(map(float, scores)) for rate, scores in trials.items() if None not in scores}
        if means and all(run.ended for run in record.runs):
            record.winner = {key: max(means, key=lambda rate: means[rate])}
            for number, seed in enumerate(study.fresh_seeds(0, study.seeds)):
                identity = study.spec(cell, record.winner, seed).identity
                run = RunRecord(phase="confirm", seed=seed, settings=record.winner, identity=identity)
                record.runs.append(run)
                self._store_run(stored, run, index, outcomes(cell.label, "confirm", number))
        return record

    def _store_run(self, stored: StoredStudy, run: RunRecord, index: int, outcome: Outcome) -> None:
        """Writes a run's folder, and its outcome into its record."""
        study, cell = stored.study, stored.study.cells[index]
        spec, folder = study.spec(cell, run.settings, run.seed), RunFolder(stored.home, run.identity)
        with folder.locked(spec):
            folder.write_environment(spec)
            if outcome is None:
                return
            if isinstance(outcome, str):
                run.failure = outcome
                folder.write_result({"status": "diverged", "steps": 10, "reason": outcome})
                return
            real = self._trained(study.spec(cell, {"training.learning_rate": 0.01}, 0))
            for line in real.lines(METRICS):
                share = line["step"] / 20
                folder.append(
                    METRICS, line if line["split"] == "train" else rescored(line, outcome * share, "validation")
                )
            for line in real.lines(TIMING):
                seconds = 1.0 + index + 0.1 * (run.seed % 7) if line["train_seconds"] else 0.0
                folder.append(TIMING, {**line, "train_seconds": seconds})
            result = real.result()
            assert result is not None
            result["best_step"] = 20
            result["seed_digests"] = {name: f"{name} of {run.identity}" for name in result["seed_digests"]}
            for checkpoint, score in (("best", outcome), ("last", outcome / 2)):
                splits = result["scores"][checkpoint]
                result["scores"][checkpoint] = {split: rescored(line, score, split) for split, line in splits.items()}
            folder.write_result(result)
        code = folder.code()
        run.score, run.code = outcome, None if code is None else version_digest(code)
        if run.phase == "confirm":
            declaration = study.declaration
            measures = {measure_of(declaration, claim) for claim in declaration.claims} - {main_measure(declaration)}
            values = {measure.name: measure.read(result, folder, declaration.checkpoint) for measure in measures}
            run.measures = {name: value for name, value in values.items() if value is not None}

    def _trained(self, spec: RunSpec) -> RunFolder:
        folder = RunFolder(self.trained, spec.identity)
        if folder.result() is None:
            train(spec, self.trained)
        return folder


def rescored(line: Tree, accuracy: float, split: str) -> Tree:
    """Returns what an evaluation measured, with another accuracy and everything that follows from it."""
    shortcut = SHORTCUT[split]
    scores = {
        "loss_1": -math.log(max(accuracy, 1e-9)),
        "accuracy": accuracy,
        "exact": accuracy / 2,
        "accuracy_unexplained": accuracy * 0.9,
        "above_shortcuts": accuracy - shortcut,
        "shortcut/latest_name": 0.0,
        "shortcut/name_before": shortcut,
        "shortcut_exact/latest_name": 0.0,
        "shortcut_exact/name_before": SHORTCUT_EXACT[split],
    }
    assert scores.keys() <= line.keys()
    return {**line, **scores}


def all_files(home: Path) -> dict[Path, bytes]:
    """Returns the content of every file in a home."""
    return {path: path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def ledger_file(stored: StoredStudy) -> list[Tree]:
    """Reads the cells of ledger.json directly, not with the code under test."""
    path = stored.home / "studies" / stored.study.name / stored.study.scale / "ledger.json"
    cells: list[Tree] = json.loads(path.read_text())["cells"]
    return cells
