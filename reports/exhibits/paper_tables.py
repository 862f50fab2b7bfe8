"""The tables of a study for a paper: its claims with their verdicts, or its arms with their scores.

The texts are rounded for readers: an interval keeps two digits of its width, and the rows of one measure have equal
decimals. The frames have every digit.
"""

from collections.abc import Sequence
from math import floor, isfinite, log10

import pandas as pd

from generators.foundation.settings import Tree
from reports.drawing.tables import MISSING_VALUE, Column, Table, Value, columns_of, number, word
from reports.exhibits.cells import factor_columns, factor_values
from reports.frames.numbers import formatted, minus_sign
from reports.frames.summaries import CellScore, scores
from reports.frames.text import listing
from reports.frames.wording import effect_name, measure_name
from studies.declared.measures import Measure, main_measure, measure_of
from studies.judging.judgement import Judgement, standing
from studies.reading.judged import JudgedStudy
from studies.reading.labels import Labels

DECIMALS_MAXIMUM = 4


def claims_table(judged: JudgedStudy) -> Table:
    """Returns one row for each claim, below a row that names the measure that it is about.

    A level, or a number of seeds, that all claims share stands in the caption.
    """
    declaration, labels, judgements = judged.study.declaration, Labels(judged.study), judged.judgements
    levels = {judgement.level for judgement in judgements if judgement.level is not None}
    seeds = {_seeds(judgement) for judgement in judgements}
    intervals = f"{_percent(min(levels))} intervals" if len(levels) == 1 else "Intervals"
    counted = f" Each arm has {min(seeds)} seeds." if len(seeds) == 1 else ""
    names = list(dict.fromkeys(judgement.test.form.name for judgement in judgements if judgement.test))
    forms = f" (form {listing(names)})" if names else ""
    caption = (
        f"Claims of the study {judged.study.name} at scale {judged.study.scale}. Effects are positive where the "
        f"treatment is better. {intervals} invert exact tests{forms}; p values are two-sided, after Holm's correction "
        f"over the claims.{counted}"
    )
    form = [Column("claim", "name"), *columns_of("number", ("effect", "interval"))]
    if len(levels) > 1:
        form.append(Column("level"))
    form.append(Column("p"))
    if len(seeds) > 1:
        form.append(Column("seeds"))
    table = Table(caption, [*form, Column("verdict", "word")])
    decimals, last = _claim_decimals(judged), None
    for judgement in judgements:
        measure = measure_of(declaration, judgement.claim)
        if measure != last:
            table.rows.append([word(f"effect on {effect_name(measure, labels)}")])
        last = measure
        effect = _effect(judgement, decimals.get(measure, 0))
        values = {
            "level": MISSING_VALUE if judgement.level is None else Value(_percent(judgement.level)),
            "p": _p_value(judgement.p_corrected),
            "seeds": number(_seeds(judgement), "d"),
            "verdict": word(standing(judgement)),
        }
        shown = [values[column.title] for column in table.columns if column.title in values]
        table.rows.append([word(labels.claim(judgement.claim.name)), *effect, *shown])
    return table


def claims_frame(judged: JudgedStudy) -> pd.DataFrame:
    """Returns `judged.verdicts` with the cells by the names that people read."""
    frame, labels = judged.verdicts, Labels(judged.study)
    return frame.assign(**{column: frame[column].map(labels.arm) for column in ("treatment", "control")})


def arms_table(judged: JudgedStudy) -> Table:
    """Returns one row for each arm: its levels, its seeds, and the mean of each measure with its interval."""
    study, labels = judged.study, Labels(judged.study)
    by_measure = _scores(judged)
    confidence = _percent(study.declaration.level)
    caption = (
        f"Arms of the study {study.name} at scale {study.scale}: means over seeds, with {confidence} intervals in "
        "brackets."
    )
    columns = [*factor_columns(judged.results), Column("seeds")]
    columns += columns_of("interval", (measure_name(measure, labels) for measure in by_measure))
    table = Table(caption, columns)
    decimals = {measure: _score_decimals(list(rows.values())) for measure, rows in by_measure.items()}
    for cell in study.cells:
        rows = {measure: cell_scores[cell.label] for measure, cell_scores in by_measure.items()}
        seeds = rows[main_measure(study.declaration)].seeds
        count = str(seeds) if seeds == study.seeds else f"{seeds} of {study.seeds}"
        means = [_mean(row, decimals[measure]) for measure, row in rows.items()]
        table.rows.append([*factor_values(judged.results, cell.label), Value(count, seeds), *means])
    return table


def arms_frame(judged: JudgedStudy) -> pd.DataFrame:
    """Returns one row for each arm: `arm`, its levels by factor, `seeds`, and mean, low and high of each measure."""
    study, labels, by_measure = judged.study, Labels(judged.study), _scores(judged)
    rows = []
    for cell in study.cells:
        row: Tree = {"arm": labels.cell(cell), **dict(cell.levels)}
        row["seeds"] = by_measure[main_measure(study.declaration)][cell.label].seeds
        for measure, cell_scores in by_measure.items():
            score = cell_scores[cell.label]
            row |= {measure.name: score.mean, f"{measure.name}, low": score.low, f"{measure.name}, high": score.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _scores(judged: JudgedStudy) -> dict[Measure, dict[str, CellScore]]:
    """Returns the scores of every cell on the study's measure, and then on those of its claims."""
    declaration = judged.study.declaration
    measures = [main_measure(declaration), *(measure_of(declaration, claim) for claim in declaration.claims)]
    return {measure: scores(judged.results, measure) for measure in dict.fromkeys(measures)}


def _decimals(widths: Sequence[float], values: Sequence[float]) -> int:
    """Returns the decimals that show two digits of the narrowest interval; without one, of the largest value."""
    known = [width for width in widths if isfinite(width) and width > 0]
    scale = min(known) if known else max((abs(value) for value in values if isfinite(value)), default=0.0)
    return min(DECIMALS_MAXIMUM, max(0, 1 - floor(log10(scale)))) if scale > 0 else 0


def _claim_decimals(judged: JudgedStudy) -> dict[Measure, int]:
    groups: dict[Measure, list[Judgement]] = {}
    for judgement in judged.judgements:
        if judgement.contrast:
            groups.setdefault(measure_of(judged.study.declaration, judgement.claim), []).append(judgement)
    return {
        measure: _decimals(
            [contrast.high - contrast.low for judgement in group if (contrast := judgement.contrast)],
            [contrast.difference for judgement in group if (contrast := judgement.contrast)],
        )
        for measure, group in groups.items()
    }


def _score_decimals(rows: Sequence[CellScore]) -> int:
    return _decimals([row.high - row.low for row in rows], [row.mean for row in rows])


def _effect(judgement: Judgement, decimals: int) -> list[Value]:
    """Returns the effect of a claim and its interval; dashes if it was not tested."""
    contrast = judgement.contrast
    if contrast is None:
        return [MISSING_VALUE, MISSING_VALUE]
    return [number(contrast.difference, f".{decimals}f"), Value(_interval(contrast.low, contrast.high, decimals))]


def _interval(low: float, high: float, decimals: int) -> str:
    ends = (formatted(end, f".{decimals}f") if isfinite(end) else minus_sign(f"{end:zg}") for end in (low, high))
    return f"[{', '.join(ends)}]".replace("inf", "∞")


def _mean(row: CellScore, decimals: int) -> Value:
    if not row.seeds:
        return MISSING_VALUE
    interval = f" {_interval(row.low, row.high, decimals)}" if isfinite(row.low) else ""
    return Value(f"{formatted(row.mean, f'.{decimals}f')}{interval}", row.mean)


def _p_value(p: float | None) -> Value:
    return MISSING_VALUE if p is None else Value("<0.001" if p < 0.001 else f"{p:z.3f}", p)


def _seeds(judgement: Judgement) -> int:
    return judgement.test.scores_AxK.shape[1] if judgement.test else len(judgement.by_seed)


def _percent(level: float) -> str:
    """Returns the confidence of an interval, such as `95%`."""
    return f"{100 * (1 - level):z.4g}%"
