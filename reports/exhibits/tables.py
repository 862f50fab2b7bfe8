"""The tables of a study's page: the data behind each figure, and how it was done. Every row names its runs."""

from dataclasses import dataclass, field

import numpy as np

from reports.frames.formatting import MISSING, Value, called, measured, number, plain, spoken, word
from reports.frames.results import COMPLETE, Results, columns_under, rows_of
from reports.frames.summaries import at_equal_seconds, differences, mean_curves, scores, seed_curves, trials
from studies.declared.levels import short
from studies.declared.measures import Measure, measure_of
from studies.judging.judgement import Judgement


@dataclass(frozen=True)
class Column:
    """kind: `word` and `name` are set left, a `name` may wrap; `number` right, `code` as an identity; `many` is a
    list and is not sorted by."""

    title: str
    kind: str = "number"


@dataclass(frozen=True)
class Table:
    """What the template shows as a table."""

    caption: str
    columns: list[Column]
    rows: list[list[Value]] = field(default_factory=list)


def columns(kind: str, *titles: str) -> list[Column]:
    """Columns of one kind."""
    return [Column(title, kind) for title in titles]


def factor_columns(results: Results) -> list[Column]:
    """One column a factor."""
    return columns("word", *map(short, results.study.factors))


def factor_values(results: Results, label: str) -> list[Value]:
    """The levels of a cell, sorted in the order of the study file."""
    cell = results.cell(label)
    return [Value(str(level), float(results.study.factors[key].index(level))) for key, level in cell.levels]


def score_table(results: Results) -> Table:
    """Score by cell, beside what a shortcut explains."""
    declaration = results.study.declaration
    titles = ["seeds", f"mean {declaration.metric}", f"{100 * (1 - declaration.level):g}% interval"]
    titles += [f"shortcut {declaration.shortcut}"] if declaration.shortcut else []
    accuracy = results.column("accuracy_unexplained") in results.runs
    titles += [*(["accuracy above best shortcut", "unexplained accuracy"] if accuracy else []), "training seconds"]
    form = [*factor_columns(results), *columns("number", *titles), Column("every seed", "many")]
    table = Table("Score by cell", form)
    runs = results.runs[results.runs["phase"] == "confirm"].sort_values("seed", kind="stable")
    by_cell = {str(cell): rows_of(found) for cell, found in runs.groupby("cell", sort=False)}
    for row in scores(results).values():
        mine = by_cell.get(row.cell, [])
        every = [f"{run['score']:.3f}" if run["status"] == COMPLETE else run["status"] for run in mine]
        low, high = number(row.low), number(row.high)
        span = Value(f"{low.text} to {high.text}", low.order) if row.seeds else Value(MISSING)
        values = [Value(f"{row.seeds} of {results.study.seeds}", row.seeds), number(row.mean), span]
        values += [number(row.shortcut)] if declaration.shortcut else []
        values += [number(row.above_shortcuts, "+.3f"), number(row.unexplained)] if accuracy else []
        values += [number(row.train_seconds, ".1f")]
        table.rows.append([*factor_values(results, row.cell), *values, Value(" ".join(every) or MISSING)])
    return table


def measure_table(results: Results, measure: Measure) -> Table:
    """Another measure that claims are about, by cell, where any run has it."""
    titles = ["seeds", "mean", f"{100 * (1 - results.study.declaration.level):g}% interval"]
    table = Table(f"{called(measure)} by cell", [*factor_columns(results), *columns("number", *titles)])
    for row in scores(results, measure).values():
        if row.seeds:
            span = Value(f"{plain(row.low)} to {plain(row.high)}", row.low)
            values = [Value(f"{row.seeds} of {results.study.seeds}", row.seeds), Value(plain(row.mean), row.mean), span]
            table.rows.append([*factor_values(results, row.cell), *values])
    return table


def seed_table(results: Results, measure: Measure | None = None) -> Table:
    """A measure, by default the score, of every confirming run: the data behind its figure."""
    title = called(measure) if measure else "score"
    form = [
        *factor_columns(results),
        *columns("number", "seed", title),
        Column("status", "word"),
        Column("run", "code"),
    ]
    table = Table(f"{title[0].upper()}{title[1:]} of every confirming run, and its identity", form)
    column = results.column_of(measure) if measure else "score"
    for run in rows_of(results.runs[results.runs["phase"] == "confirm"]):
        value = number(run["score"], ".4f") if column == "score" else number(run.get(column), ".4g")
        values = [number(run["seed"], "d"), value, word(run["status"]), Value(run["run"])]
        table.rows.append([*factor_values(results, run["cell"]), *values])
    return table


def curve_table(results: Results) -> Table:
    """Validation score by cell and step: the data behind the learning curves."""
    curves = seed_curves(results)
    seeds = sorted(curves["seed"].unique())
    titles = ["step", "mean seconds", "mean", *(f"seed {seed}" for seed in seeds)]
    form = [*factor_columns(results), *columns("number", *titles)]
    table = Table("Validation score at every step it was measured", form)
    values = {(run["cell"], run["step"], run["seed"]): run["value"] for run in rows_of(curves)}
    means = {str(cell): rows_of(found) for cell, found in mean_curves(curves).groupby("cell", sort=False)}
    for cell in results.study.cells:
        for row in means.get(cell.label, []):
            mean = [number(row["step"], "d"), number(row["seconds"], ".2f"), number(row["mean"])]
            every = [number(values.get((cell.label, row["step"], seed))) for seed in seeds]
            table.rows.append([*factor_values(results, cell.label), *mean, *every])
    return table


def claim_table(results: Results, judgements: list[Judgement]) -> Table:
    """The contrasts, one row a claim."""
    titles = ["effect", "low", "high", "confidence %", "margin", "p", "corrected p"]
    form = [
        Column("claim", "name"),
        *columns("word", "verdict", "kind", "effect on", "treatment", "control"),
        *columns("number", *titles),
    ]
    table = Table("Contrasts, one a claim", form)
    for one in judgements:
        found = one.contrast
        ends = (found.difference, found.low, found.high) if found else (None, None, None)
        about = measured(measure_of(results.study.declaration, one.claim))
        names = (spoken(one.claim.name), one.verdict, one.claim.kind, about, one.treatment, one.control)
        confidence = number(None if one.level is None else 100 * (1 - one.level), ".4g")
        tested = [number(value, ".3g") for value in (one.claim.margin, one.p, one.p_corrected)]
        table.rows.append([*map(word, names), *(number(end, "+.4g") for end in ends), confidence, *tested])
    return table


def difference_table(results: Results, judgements: list[Judgement]) -> Table:
    """The effects by seed: the data behind the contrasts."""
    form = [Column("claim", "name"), *columns("number", "seed", "treatment", "control", "effect")]
    table = Table(
        "Effects, seed by seed, beside what was measured of two arms",
        form + columns("code", "treatment run", "control run"),
    )
    for row in rows_of(differences(results, judgements)):
        scored = [number(row["treatment"], ".4g"), number(row["control"], ".4g"), number(row["difference"], "+.4g")]
        runs = [Value(row["treatment_run"]), Value(row["control_run"])]
        table.rows.append([word(spoken(row["claim"])), number(row["seed"], "d"), *scored, *runs])
    return table


def time_table(results: Results, judgements: list[Judgement]) -> Table:
    """The arms of each claim after equal seconds of training, instead of equal steps."""
    form = [Column("claim", "name"), *columns("number", "seconds", "treatment", "control", "difference")]
    table = Table("Validation score after equal seconds of training, mean over seeds", form)
    for one in judgements:
        found = at_equal_seconds(results, one)
        if found:
            values = [number(found.treatment), number(found.control), number(found.treatment - found.control, "+.3f")]
            table.rows.append([word(spoken(one.claim.name)), number(found.seconds, ".1f"), *values])
    return table


def trial_table(results: Results) -> Table:
    """Every trial of the tuning: the data behind its figure."""
    keys = list(results.study.declaration.tuning.search)
    form = [*factor_columns(results), *columns("number", "trial", *map(short, keys), "validation score")]
    table = Table("Every trial of the tuning", [*form, Column("outcome", "word"), Column("run", "code")])
    for run in rows_of(trials(results)):
        settings = [number(run[f"setting/{key}"], ".4g") for key in keys]
        numbers = [number(run["trial"], "d"), *settings, number(run["score"], ".4f")]
        outcome = word("chosen" if run["winner"] else run["status"])
        table.rows.append([*factor_values(results, run["cell"]), *numbers, outcome, Value(run["run"])])
    return table


def budget_table(results: Results) -> Table:
    """The tuning budget of each cell, and what it chose."""
    keys = list(results.study.declaration.tuning.search)
    titles = ["trials", "failed", *(f"chosen {short(key)}" for key in keys), "validation score"]
    form = [*factor_columns(results), *columns("number", *titles)]
    table = Table("Tuning budget and the settings chosen", form)
    ended = trials(results)
    winners = {cell.label: cell.winner or {} for cell in results.cells}
    for cell in results.study.cells:
        mine, winner = rows_of(ended[ended["cell"] == cell.label]), winners.get(cell.label, {})
        failed = sum(run["status"] != COMPLETE for run in mine)
        counts = [Value(f"{len(mine)} of {results.study.tuning_runs}", len(mine)), number(failed, "d")]
        chosen = [number(winner.get(key), ".4g") for key in keys]
        best = number(max((run["score"] for run in mine if run["winner"]), default=None))
        table.rows.append([*factor_values(results, cell.label), *counts, *chosen, best])
    return table


def parameter_table(results: Results) -> Table:
    """Parameters by part, one row a cell."""
    complete = results.runs[results.runs["status"] == COMPLETE]
    parts = columns_under(results.runs, "parameters")
    form = [*factor_columns(results), *columns("number", *parts, "non-embedding", "all")]
    table = Table("Parameters by part", form)
    for cell in results.study.cells:
        runs = rows_of(complete[complete["cell"] == cell.label])
        if parts and runs:
            counts = {part: runs[0][column] for part, column in parts.items()}
            there = {part: count for part, count in counts.items() if np.isfinite(count)}
            inside = [count for part, count in there.items() if part not in ("embedding", "unembedding")]
            sums = [sum(inside), sum(there.values())]
            numbers = [number(count, ",.0f") for count in (*counts.values(), *sums)]
            table.rows.append([*factor_values(results, cell.label), *numbers])
    return table


def environment_table(results: Results) -> Table:
    """Versions and machines, with how many runs each."""
    table = Table("Versions and machine", [*columns("word", "what", "found"), Column("runs")])
    for name, column in columns_under(results.runs, "environment").items():
        found = results.runs[column].dropna().map(whole)
        for value in sorted(found.unique()):
            table.rows.append([word(name), word(value), number(int((found == value).sum()), "d")])
    return table


def whole(value: object) -> str:
    """A value in words; a whole number without the point that a column with gaps gives it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
