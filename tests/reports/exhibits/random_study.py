"""Random small studies: odd names of factors and levels, a few scores, some runs failed or missing; nothing trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from lab.run.files import make_folder
from lab.run.store import METRICS, RunFolder
from studies.declared.loading import study_at_scale
from studies.declared.study import TUNING_SEED, Study
from studies.declared.study_file import StudyDeclaration
from studies.ledger.declared_study import record_of
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord, Phase, RunRecord
from studies.reading.judged import JudgedStudy, read_judged

RATE = "training.rate"
ALPHABET = "aeghkmrtxyzBDRZ079<>&\"'$_^{}%\\äß→µ# -"
METRICS_OF_CLAIMS = (None, "loss_1", "seconds")


def odd_names(rng: np.random.Generator, count: int) -> list[str]:
    """Returns different names with markup, formulas, blanks and letters beyond ASCII inside."""
    names: list[str] = []
    while len(names) < count:
        inside = "".join(rng.choice(list(ALPHABET), size=rng.integers(1, 9)))
        name = f"l{inside}r".replace("  ", " ")
        if name not in names:
            names.append(name)
    return names


def random_study(source: int) -> Study:
    """Declares a study of two or three factors with claims of several kinds about several measures."""
    rng = np.random.default_rng(source)
    first, second, third = odd_names(rng, 3)
    levels: dict[str, list[Any]] = {
        f"model.{first}": odd_names(rng, int(rng.integers(2, 4))),
        f"objective.{second}": [1, 2.5, "two", 40][: rng.integers(2, 5)],
    }
    where: dict[str, Any] = {f"objective.{second}": "last"}
    if source % 2:
        levels[f"task.{third}"] = odd_names(rng, 2)
        where[f"task.{third}"] = "first"
    factor, known = next(iter(levels.items()))
    arms = {"treatment": known[1], "control": known[0]}
    kinds: list[dict[str, Any]] = [
        {"kind": "difference", **arms},
        {"kind": "equivalence", "margin": 0.2, **arms},
        {"kind": "trend", "better": "last", "negligible": 0.75},
        {"kind": "best", "best": [known[-1]]},
    ]
    claims = [
        {
            "name": f"c{number}_{kind['kind']}",
            "text": "It does.",
            "paper": "0",
            "factor": factor,
            "where": where,
            **kind,
        }
        | ({"metric": metric} if (metric := METRICS_OF_CLAIMS[int(rng.integers(3))]) else {})
        for number, kind in enumerate(kinds)
    ]
    file = {
        "title": "random",
        "question": "?",
        "paper": "",
        "seeds": int(rng.integers(5, 7)),
        "base": {},
        "factors": levels,
        "tuning": {"trials": 3, "search": {RATE: {"low": 0.001, "high": 0.1}}},
        "scales": {"cpu": {"summary": ""}},
        "claims": claims,
    }
    declaration = StudyDeclaration.model_validate_json(json.dumps(file))
    return study_at_scale(Path("random.toml"), declaration, "cpu", [])


def store(home: Path, study: Study, source: int) -> JudgedStudy:
    """Stores random results of a study, and reads them back: without a pattern, or ordered by the first factor."""
    rng = np.random.default_rng([source, 1])
    cells = []
    for cell in study.cells:
        record = CellRecord(label=cell.label, levels=dict(cell.levels))
        rates = [float(10 ** rng.uniform(-3, -1)) for _ in range(study.trials)]
        for rate in rates:
            record.runs.append(_run(home, rng, "tune", TUNING_SEED, {RATE: rate}))
        record.winner = {RATE: rates[int(rng.integers(study.trials))]}
        key, level = cell.levels[0]
        place = study.factors[key].index(level) / len(study.factors[key])
        order = (None, place, 1 - place)[source % 3]
        for seed in range(study.seeds):
            record.runs.append(_run(home, rng, "confirm", seed, record.winner, order))
        cells.append(record)
    folder = StudyFolder(home, study.name, study.scale)
    make_folder(folder.path)
    folder.write_study(record_of(study))
    folder.write_cells(cells)
    return read_judged(home, study)


def _run(
    home: Path,
    rng: np.random.Generator,
    phase: Phase,
    seed: int,
    settings: dict[str, float],
    order: float | None = None,
) -> RunRecord:
    """Stores a run with a random score, or with one that is close to `order`."""
    run = RunRecord(phase=phase, seed=seed, settings=settings, identity=f"{rng.integers(2**63):016x}")
    if order is None and rng.random() < 0.06:
        run.failure = "the loss is not finite"
        return run
    run.score = float((rng.choice([0.2, 0.9]) if order is None else order) + rng.uniform(-0.02, 0.02))
    run.score = 1 - abs(1 - abs(run.score))
    if phase == "confirm":
        run.measures = {"loss_1 on test": 2 - run.score + float(rng.uniform(0, 0.02)), "seconds": 90 - 60 * run.score}
        folder = RunFolder(home, run.identity)
        make_folder(folder.path)
        values = [{"step": step, "split": "validation", "accuracy": float(rng.random())} for step in (10, 20)]
        (folder.path / METRICS).write_text("".join(json.dumps(line) + "\n" for line in values))
    return run
