"""Columns and values that name a cell of a study in a table, and the badge of a verdict."""

from reports.drawing.tables import Column, Value, columns_of
from reports.frames.wording import VERDICTS
from studies.judging.judgement import UNTESTED, Judgement, standing
from studies.reading.labels import Labels
from studies.reading.results import Results


def factor_columns(results: Results) -> list[Column]:
    """Returns one column for each factor."""
    return columns_of("word", map(Labels(results.study).factor, results.study.factors))


def factor_values(results: Results, label: str) -> list[Value]:
    """Returns the levels of a cell, which sort in the order of the study file."""
    labels, factors = Labels(results.study), results.study.factors
    return [
        Value(labels.level(key, level), float(factors[key].index(level))) for key, level in results.cell(label).levels
    ]


def verdict_value(judgement: Judgement) -> Value:
    """Returns the verdict on a claim as a badge."""
    verdict = standing(judgement)
    return Value(verdict, (*VERDICTS, UNTESTED).index(verdict), verdict=verdict)
