"""How a study was done, and the commands that repeat it."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from generators.foundation.settings import Tree
from lab.run.store import SPEC, RunFolder
from reports.frames.numbers import duration, plural
from reports.frames.summaries import trials
from reports.frames.text import listing
from reports.frames.wording import run_name
from studies.declared.study import TUNING_SEED, Study
from studies.ledger.records import catalog_source
from studies.reading.portable import portable, run_command
from studies.reading.results import Results, rows_of
from studies.statistics.interim import looks_until


@dataclass(frozen=True)
class Method:
    """The method section of a study's page.

    Attributes:
        cells: number of cells.
        factors: key of each factor, and its levels as the page shows them.
        excluded: each reason for leaving cells out, with their labels.
        search: the searched ranges; empty if the study tunes nothing.
        budget: whether all cells had the same tuning budget.
        tuning_seed: seed of the tuning runs.
        seeds: seeds of the confirming runs.
        specs: title and TOML of one run of each cell.
        time: training and evaluation of all runs.
        ended: number of runs that ended.
        commands: the commands that run and report the study again.
    """

    cells: int
    factors: list[tuple[str, list[str]]]
    excluded: list[tuple[str, list[str]]]
    search: str
    budget: str
    tuning_seed: int
    seeds: str
    specs: list[tuple[str, str]]
    time: str
    ended: int
    planned: int
    commands: list[str]


def method_of(results: Results) -> Method:
    """Returns the method of a study."""
    study = results.study
    spans = [
        f"{key} from {span.low:zg} to {span.high:zg}" + (" on a log scale" if span.log else "")
        for key, span in study.declaration.tuning.search.items()
    ]
    training, evaluation = (duration(results.runs[f"{part}_seconds"].sum()) for part in ("train", "evaluate"))
    return Method(
        cells=len(study.cells),
        factors=[(key, [study.described(key, level) for level in levels]) for key, levels in study.factors.items()],
        excluded=_excluded(study),
        search=listing(spans) if spans else "",
        budget=_budget(results),
        tuning_seed=TUNING_SEED,
        seeds=_seeds(study),
        specs=_specs(results),
        time=f"{training} of training and {evaluation} of evaluation",
        ended=results.ended,
        planned=results.planned,
        commands=rerun_commands(study, results.home),
    )


def _seeds(study: Study) -> str:
    """Returns the seeds of confirming runs, and the looks at which they may have ended."""
    seeds = f"0 to {study.seeds - 1}" if study.seeds > 1 else "0"
    looks = looks_until(study.seeds, study.declaration.looks)
    if len(looks) == 1:
        return seeds
    return (
        f"{seeds} at most, in looks at {listing([str(look) for look in looks])} seeds, at which a cell may have ended"
    )


def redraw_commands(study: Study) -> tuple[str, str]:
    """Returns the command that draws a study's figures, and the one that exports the runs behind them."""
    arguments = f"{shlex.quote(study.name)} --scale {shlex.quote(study.scale)}"
    return f"lab report {arguments}", f"lab results {arguments} --out runs.csv"


def rerun_commands(study: Study, home: Path) -> list[str]:
    """Returns the commands that run, judge, report and export a study."""
    name = study.name if study.source == catalog_source(study.name) else Path(study.source).name
    arguments = f"{shlex.quote(name)} --scale {shlex.quote(study.scale)}"
    return [
        run_command(study, home),
        f"lab claims {arguments}",
        f"lab report {arguments}",
        f"lab results {arguments} --out runs.csv",
    ]


def _excluded(study: Study) -> list[tuple[str, list[str]]]:
    reasons: dict[str, list[str]] = {}
    for cell, reason in study.excluded.items():
        reasons.setdefault(reason, []).append(cell.label)
    return list(reasons.items())


def _budget(results: Results) -> str:
    ended = trials(results)["cell"].value_counts()
    counts = [int(ended.get(cell.label, 0)) for cell in results.study.cells]
    seeds = results.study.declaration.tuning.seeds
    planned = plural(results.study.trials, "trial") + (f" of {seeds} seeds" if seeds > 1 else "")
    if set(counts) == {results.study.tuning_runs}:
        return f"Every cell had the same tuning budget, {planned}."
    so_far = f"so far between {min(counts)} and {max(counts)} have ended"
    return f"Every cell has the same tuning budget, {planned}; {so_far}."


def _specs(results: Results) -> list[tuple[str, str]]:
    specs = []
    for cell in results.study.cells:
        runs = results.runs[results.runs["cell"] == cell.label].sort_values(["phase", "seed", "trial"], kind="stable")
        for run in rows_of(runs):
            folder = RunFolder(results.home, run["run"])
            if (folder.path / SPEC).exists():
                title = f"{run_name(run)}: run {run['run']}"
                specs.append((title, spec_toml(folder.stored_settings(), results.home)))
                break
    return specs


def spec_toml(tree: Tree, home: Path, table: str = "") -> str:
    """Returns a tree of settings as TOML that parses to the same settings, without values that are None.

    Args:
        tree: the settings.
        home: the lab's home, which paths become relative to.
        table: dotted name of the table that the tree is.
    """
    lines = []
    for key, value in tree.items():
        if value is not None and not isinstance(value, dict):
            shown = portable(value, home) if isinstance(value, str) else value
            lines.append(f"{key} = {json.dumps(shown, ensure_ascii=False)}")
    for key, value in tree.items():
        if isinstance(value, dict):
            name = f"{table}.{key}" if table else key
            lines += ["", f"[{name}]", spec_toml(value, home, name)]
    return "\n".join(lines).strip()
