"""A study's page: one self-contained HTML file, the answer first. Same results, same bytes."""

import json
import shlex
from pathlib import Path

from markupsafe import Markup

from generators.foundation.settings import Tree
from lab.run.store import RunFolder
from reports.drawing.layout import drawn_cells
from reports.exhibits import figures, tables
from reports.exhibits.samples import read_samples
from reports.frames import formatting as words
from reports.frames.results import UNFINISHED, Results, rows_of
from reports.frames.summaries import scores, trials
from reports.pages.html import filled
from studies.declared.measures import Measure, main_measure, measure_of
from studies.declared.study import TUNING_SEED, Study
from studies.judging.judgement import Judgement


def render(results: Results, judgements: list[Judgement], home: Path, refresh_seconds: int | None = None) -> str:
    """The page, as text; while its study runs, one that a browser reads again after so many seconds."""
    study = results.study
    return filled(
        "page.html",
        study.declaration.title,
        refresh_seconds=refresh_seconds,
        study=study,
        declaration=study.declaration,
        scale=study.declaration.scales[study.scale],
        answer=words.answer(results, judgements),
        cautions=words.cautions(results, home),
        verdicts=[verdict(results, one) for one in judgements],
        evidence=evidence(results, judgements),
        samples=read_samples(results, home),
        method=method(results, home),
    )


def verdict(results: Results, judgement: Judgement) -> Tree:
    """One claim as its card shows it."""
    found, beside, claim = judgement.contrast, words.interval(judgement), judgement.claim
    measure = measure_of(results.study.declaration, claim)
    table = scores(results, measure)
    arms = [table[label] for label in judgement.cells]
    unfinished = results.ended < results.study.runs
    if unfinished and found is None and all(arm.seeds for arm in arms) and claim.two_arms:
        beside = f"so far {words.signed(measure.sign * (arms[0].mean - arms[1].mean))}"
    return {
        "verdict": judgement.verdict,
        "text": claim.text,
        "paper": claim.paper,
        "effect": claim.effect_name,
        "difference": words.signed(found.difference, found.low, found.high) if found else "not tested",
        "beside": ", ".join(part for part in (beside, claim.margin_text()) if part),
        "reason": "; ".join(part for part in (judgement.reason, judgement.seeds_needed_text) if part),
        "measure": words.called(measure),
        "direction": "" if measure.sign > 0 else "lower is better; effects are sign-flipped, so positive means better",
        "arms": [
            (arm.cell, words.plain(arm.mean, *(each.mean for each in arms)) if arm.seeds else "no score yet")
            for arm in arms
        ],
        "shortcut": words.beside_shortcut(results, judgement),
    }


def evidence(results: Results, judgements: list[Judgement]) -> Tree:
    """The figures and the data behind them; empty lists where there is nothing to draw yet."""
    declaration = results.study.declaration
    main = main_measure(declaration)
    others = {measure_of(declaration, one.claim): None for one in judgements}
    others.pop(main, None)
    ended = results.runs[(results.runs["phase"] == "confirm") & (results.runs["status"] != UNFINISHED)]
    return {
        "measure": main.name,
        "metric": words.METRICS.get(declaration.metric, f"the metric {declaration.metric} of a run"),
        "interval": f"{100 * (1 - declaration.level):g}%",
        "scores": [Markup(svg) for svg in figures.score_by_size(results)] if len(ended) else [],
        "others": [other(results, measure) for measure in others],
        "left_out": len(results.study.cells) - len(drawn_cells(results.study)),
        "differences": [Markup(svg) for svg in figures.paired_differences(results, judgements)],
        "steps": [Markup(svg) for svg in figures.learning_curves(results, "step")],
        "seconds": [Markup(svg) for svg in figures.learning_curves(results, "seconds")],
        "tuning": [Markup(svg) for svg in figures.tuning_trials(results)],
        "score_table": tables.score_table(results),
        "seed_table": tables.seed_table(results),
        "claim_table": tables.claim_table(results, judgements),
        "difference_table": tables.difference_table(results, judgements),
        "curve_table": tables.curve_table(results),
        "time_table": tables.time_table(results, judgements),
        "trial_table": tables.trial_table(results),
    }


def other(results: Results, measure: Measure) -> Tree:
    """Another measure that claims are about: its figure and its table."""
    drawn = figures.score_by_size(results, measure) if len(results.scored(measure)) else []
    table = tables.measure_table(results, measure)
    seeds = tables.seed_table(results, measure)
    return {
        "name": words.called(measure),
        "figures": [Markup(svg) for svg in drawn],
        "table": table,
        "seed_table": seeds,
    }


def method(results: Results, home: Path) -> Tree:
    """How it was done, and how to do it again."""
    study = results.study
    spans = [
        f"{key} from {span.low:g} to {span.high:g}" + (" on a log scale" if span.log else "")
        for key, span in study.declaration.tuning.search.items()
    ]
    training, evaluation = (words.duration(results.runs[f"{what}_seconds"].sum()) for what in ("train", "evaluate"))
    return {
        "cells": len(study.cells),
        "excluded": excluded(study),
        "factors": [(key, [study.described(key, level) for level in levels]) for key, levels in study.factors.items()],
        "search": words.listing(spans),
        "budget": budget(results),
        "tuning_seed": TUNING_SEED,
        "seeds": f"0 to {study.seeds - 1}" if study.seeds > 1 else "0",
        "budget_table": tables.budget_table(results),
        "parameter_table": tables.parameter_table(results),
        "environment_table": tables.environment_table(results),
        "specs": specs(results, home),
        "time": f"{training} of training and {evaluation} of evaluation",
        "ended": results.ended,
        "commands": commands(study, home),
        "redraw": redraw(study),
    }


def excluded(study: Study) -> list[tuple[str, list[str]]]:
    """What was left out of the grid: each reason, with its cells."""
    reasons: dict[str, list[str]] = {}
    for cell, reason in study.excluded.items():
        reasons.setdefault(reason, []).append(cell.label)
    return list(reasons.items())


def redraw(study: Study) -> tuple[str, str]:
    """The command that draws a study's figures again, and the one that puts the runs behind them into a table."""
    at = f"{shlex.quote(study.name)} --scale {study.scale}"
    return f"lab report {at}", f"lab results {at} --out runs.csv"


def budget(results: Results) -> str:
    """Whether every cell had the same tuning budget, from what ran."""
    ended = trials(results)["cell"].value_counts()
    counts = [int(ended.get(cell.label, 0)) for cell in results.study.cells]
    seeds = results.study.declaration.tuning.seeds
    planned = words.plural(results.study.trials, "trial") + (f" of {seeds} seeds" if seeds > 1 else "")
    if set(counts) == {results.study.tuning_runs}:
        return f"Every cell had the same tuning budget, {planned}."
    so_far = f"so far between {min(counts)} and {max(counts)} have ended"
    return f"Every cell is given the same tuning budget, {planned}; {so_far}."


def specs(results: Results, home: Path) -> list[tuple[str, str]]:
    """The stored spec of one run of each cell: what it is, and its TOML."""
    found = []
    for cell in results.study.cells:
        runs = results.runs[results.runs["cell"] == cell.label].sort_values(["phase", "seed", "trial"], kind="stable")
        for run in rows_of(runs):
            path = RunFolder(home, run["run"]).path / "spec.json"
            if path.exists():
                found.append((f"{words.run_name(run)}: run {run['run']}", toml(json.loads(path.read_bytes()), home)))
                break
    return found


def toml(tree: Tree, home: Path, table: str = "") -> str:
    """A tree of settings as TOML that reads back as the same settings; what is None is left out."""
    lines = []
    tables_inside = {key: value for key, value in tree.items() if isinstance(value, dict)}
    for key, value in tree.items():
        if value is not None and not isinstance(value, dict):
            shown = words.portable(value, home) if isinstance(value, str) else value
            lines.append(f"{key} = {json.dumps(shown, ensure_ascii=False)}")
    for key, inside in tables_inside.items():
        name = f"{table}.{key}" if table else key
        lines += ["", f"[{name}]", toml(inside, home, name)]
    return "\n".join(lines).strip()


def commands(study: Study, home: Path) -> list[str]:
    """The commands that run and report this study again."""
    source = Path(study.source)
    shipped = source.parent.parts[-2:] == ("studies", "catalog")
    name = shlex.quote(source.stem if shipped else source.name)
    sets = "".join(f" --set {shlex.quote(words.portable(assignment, home))}" for assignment in study.assignments)
    return [
        f"lab study run {name} --scale {study.scale}{sets}",
        f"lab claims {name} --scale {study.scale}",
        f"lab report {name} --scale {study.scale}",
        f"lab results {name} --scale {study.scale} --out runs.csv",
    ]
