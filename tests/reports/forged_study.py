"""Studies with stored results that nothing trained: the lab's own writers put chosen scores into a home."""

from collections.abc import Callable
from pathlib import Path

from lab.run.files import make_folder
from lab.run.store import RunFolder
from studies.declared.loading import declare
from studies.declared.study import TUNING_SEED, Cell, Study
from studies.ledger.declared_study import record_of
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord, Phase, RunRecord
from tests.small_study import Replacement, write_small_study

Splits = dict[str, float]
"""Split -> the study's metric."""
Score = Callable[[str, str, int], Splits | None]
"""Label of a cell, phase, trial or seed -> scores; None for a failed run."""
RATE = "training.learning_rate"


def small(folder: Path, *replacements: Replacement) -> Study:
    """Loads the small study with pieces of its file replaced."""
    make_folder(folder)
    return declare(str(write_small_study(folder, *replacements)), "cpu", [])


def forge(home: Path, study: Study, score: Score) -> None:
    """Stores a study whose runs have these scores; the best trial of a cell on validation is its winner."""
    cells = []
    for cell in study.cells:
        record = CellRecord(label=cell.label, levels=dict(cell.levels))
        for trial in range(study.trials):
            record.runs.append(_run(home, study, cell, {RATE: 0.001 * (trial + 1)}, ("tune", trial), score))
        scored = [run for run in record.runs if run.score is not None]
        if scored:
            record.winner = max(scored, key=lambda run: run.score or 0.0).settings
            for seed in range(study.seeds):
                record.runs.append(_run(home, study, cell, record.winner, ("confirm", seed), score))
        cells.append(record)
    folder = StudyFolder(home, study.name, study.scale)
    make_folder(folder.path)
    folder.write_study(record_of(study))
    folder.write_cells(cells)


def _run(
    home: Path, study: Study, cell: Cell, settings: dict[str, float], place: tuple[Phase, int], score: Score
) -> RunRecord:
    """Stores one run, and returns its record in the ledger."""
    phase, number = place
    seed = TUNING_SEED if phase == "tune" else number
    scores = score(cell.label, phase, number)
    folder = RunFolder(home, study.spec(cell, settings, seed).identity)
    make_folder(folder.path)
    if scores is None:
        folder.write_result({"status": "diverged", "steps": 1, "reason": "the loss is not finite"})
    else:
        by_split = {split: {study.declaration.metric: value} for split, value in scores.items()}
        folder.write_result({"status": "complete", "steps": 3, "best_step": 3, "scores": {"best": by_split}})
    return RunRecord(
        phase=phase,
        seed=seed,
        settings=settings,
        identity=folder.identity,
        score=scores and scores["validation" if phase == "tune" else study.declaration.split],
        failure="the loss is not finite" if scores is None else None,
    )
