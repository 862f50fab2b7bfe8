"""Checks what an analysis of another package returns, before it is stored, shown or used by a claim."""

from collections.abc import Mapping
from math import isfinite

from generators.foundation.outside import quoted
from lab.analysis.analysis import AnalysisResult


def result_problem(name: str, result: object) -> str:
    """Returns why a result cannot be stored as that of an analysis; empty if it can.

    Numbers must be finite Python numbers, because JSON has no others.
    """
    if not isinstance(result, AnalysisResult):
        return f"analyse() gives {quoted(result)}, which is no AnalysisResult"
    if result.analysis != name:
        return f"analyse() gives the result of the analysis {quoted(result.analysis)}"
    if not isinstance(result.measures, Mapping) or not isinstance(result.units, Mapping):
        return "analyse() gives a result whose measures or units are no mapping"
    for measure, value in result.measures.items():
        if not isinstance(measure, str) or isinstance(value, bool) or not _is_number(value):
            return f"analyse() gives the measure {quoted(measure)} = {quoted(value)}; should be a finite number"
    if not isinstance(result.lines, list) or not all(isinstance(line, str) for line in result.lines):
        return f"analyse() gives the lines {quoted(result.lines)}; should be a list of texts"
    if not isinstance(result.rows, list) or not all(isinstance(row, dict) for row in result.rows):
        return f"analyse() gives the rows {quoted(result.rows)}; should be a list of dictionaries"
    for number, row in enumerate(result.rows, start=1):
        for column, value in row.items():
            if not isinstance(column, str) or not (value is None or isinstance(value, str) or _is_number(value)):
                return (
                    f"analyse() gives row {number} with {quoted(column)} = {quoted(value)}; "
                    "should be a text, a finite number or None"
                )
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)
