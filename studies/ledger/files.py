"""What a study keeps beside its runs, read without anything that trains or judges, so that it is quick to ask.

    studies/<name>/<scale>/
        study.json       what it is, enough to read it and to run it again
        ledger.json      its cells as they stand: trials, winner, confirming runs, with scores and failures
        journal.log      the same trials for optuna's tools
        verdicts.json    written last: what was judged of the claims
        looks.json       at how many seeds it was ever judged, and what was declared then
        shards/i-of-k/   the first three of a part of the cells, until the whole study runs again

All of it but the looks can be made again from the runs.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree

if TYPE_CHECKING:
    from studies.declared.study import Study

STUDY, LEDGER, JOURNAL = "study.json", "ledger.json", "journal.log"
VERDICTS, LOOKS, SHARDS = "verdicts.json", "looks.json", "shards"


def study_folder(home: Path, name: str, scale: str) -> Path:
    """Where a study keeps its files."""
    return home / "studies" / name / scale


def stored_study(home: Path, name: str, scale: str | None) -> Tree:
    """A study as it last ran, in its stored form; without a scale, the one that ran last.

    Raises:
        UserError: it never ran, or another version of the lab stored it.
    """
    stem = Path(name).stem
    found = stored_files(home, stem, scale)
    if not found:
        at = f" at scale {scale}" if scale else ""
        raise UserError(f"study {stem!r} never ran{at} under {home}; run it first: lab study run {name}")
    form = _read(max(found, key=lambda path: path.stat().st_mtime))
    if "runs" not in form:
        raise of_another_version(home, name)
    return form


def stored_files(home: Path, stem: str, scale: str | None) -> list[Path]:
    """Where a study is stored, whole or in shards, at a scale or at any; nothing where it never ran."""
    root = home / "studies" / stem
    return [path for pattern in (STUDY, f"{SHARDS}/*/{STUDY}") for path in root.glob(f"{scale or '*'}/{pattern}")]


def of_another_version(home: Path, name: str) -> UserError:
    """What is said of a stored study that this version cannot read."""
    return UserError(
        f"study {Path(name).stem!r} under {home} was stored by another version of the lab; "
        f"run it again, which keeps its runs: lab study run {name}"
    )


def ledger_cells(folder: Path) -> list[Tree]:
    """The cells of a study as last written. What a shard wrote is later than what the whole study did."""
    shards = sorted(folder.glob(f"{SHARDS}/*/{LEDGER}"), key=lambda path: path.stat().st_mtime)
    whole = [folder / LEDGER] if (folder / LEDGER).exists() else []
    try:
        cells = {cell["cell"]: cell for path in [*whole, *shards] for cell in _read(path)["cells"]}
    except (KeyError, TypeError):
        raise UserError(f"{folder}: its ledger is damaged; run the study again, which writes it anew") from None
    return list(cells.values())


def read_ledger(home: Path, study: "Study") -> list[Tree]:
    """The cells of a study as last written, in the order of its grid."""
    cells = {cell["cell"]: cell for cell in ledger_cells(study_folder(home, study.name, study.scale))}
    return [cells[cell.label] for cell in study.cells if cell.label in cells]


def read_looks(folder: Path) -> dict[int, list[int] | None]:
    """At how many seeds a study was judged, and the looks its file declared each time; nothing where it never was."""
    path = folder / LOOKS
    return {int(seeds): declared for seeds, declared in _read(path).items()} if path.exists() else {}


def confirmed(cells: list[Tree], measure: str | None = None) -> dict[str, dict[int, float]]:
    """The scores that count: cell label -> seed -> score, or the measure of that name where a run has it."""
    found: dict[str, dict[int, float]] = {}
    for cell in cells:
        ended = [each for each in cell["entries"] if each["phase"] == "confirm" and each["score"] is not None]
        values = {each["seed"]: each.get("measures", {}).get(measure) if measure else each["score"] for each in ended}
        found[cell["cell"]] = {seed: value for seed, value in values.items() if value is not None}
    return found


def failures(cells: list[Tree]) -> list[str]:
    """Every failed run, named, and why it failed."""
    return [
        f"{cell['cell']}, {entry['phase']} seed {entry['seed']}: {entry['failure']}"
        for cell in cells
        for entry in cell["entries"]
        if entry["failure"]
    ]


def _read(path: Path) -> Tree:
    """A file of a study, which is written whole or not at all."""
    try:
        tree: Tree = json.loads(path.read_bytes())
    except ValueError:
        raise UserError(f"{path}: not valid JSON; delete it and run the study again, which writes it anew") from None
    return tree


def counted(entries: list[Tree]) -> dict[str, int]:
    """Scored trials and seeds, and failures, of a cell."""
    scored = [entry["phase"] for entry in entries if entry["score"] is not None]
    failed = sum(entry["failure"] is not None for entry in entries)
    return {
        "tune": scored.count("tune"),
        "confirm": scored.count("confirm"),
        "failed": failed,
        "ended": len(scored) + failed,
    }
