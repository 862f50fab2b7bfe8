"""Checks what an exhibit of another package returns, before a template meets it."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from generators.foundation.outside import quoted
from reports.drawing.tables import Column, Table, Value
from reports.frames.wording import VERDICTS
from studies.judging.judgement import UNTESTED

SIZE = r"0 0 [\d.]+ [\d.]+"


def text_problem(method: str, text: object) -> str:
    """Returns why a method's result is not text; empty if it is text."""
    return "" if isinstance(text, str) else f"{method}() gives {quoted(text)}, which is no text"


def figures_problem(figures: object, *, in_file: bool) -> str:
    """Returns why a method's result is not a list of SVG elements; empty if it is one.

    Args:
        figures: the result.
        in_file: whether the figures go to a file, in which each figure needs a size.
    """
    if not isinstance(figures, Sequence) or isinstance(figures, str):
        return f"figures() gives {quoted(figures)}, which is no list of SVG elements"
    for figure in figures:
        if not isinstance(figure, str):
            return f"figures() gives {quoted(figure)} in its list, which is no SVG element"
        try:
            root = ElementTree.fromstring(figure)
        except ElementTree.ParseError as error:
            return f"figures() gives {quoted(figure)}, which is no whole SVG element ({error})"
        if root.tag.rpartition("}")[2] != "svg":
            return f"figures() gives {quoted(figure)}, which is no SVG element"
        if in_file and not re.fullmatch(SIZE, root.get("viewBox", "")):
            return f'figures() gives {quoted(figure)}, which has no viewBox = "0 0 WIDTH HEIGHT"'
    return ""


def table_problem(method: str, table: object) -> str:
    """Returns why a method's result is not a table that a page can show; empty if it is one."""
    if not isinstance(table, Table):
        return f"{method}() gives {quoted(table)}, which is no Table"
    subject = f"{method}() gives the table {quoted(table.caption)}"
    if not isinstance(table.caption, str):
        return f"{subject}, whose caption is no text"
    if not all(isinstance(column, Column) and isinstance(column.title, str) for column in table.columns):
        return f"{subject}, whose columns are no list of Column"
    for number, row in enumerate(table.rows, start=1):
        if len(row) != len(table.columns):
            return f"{subject}, whose row {number} has {len(row)} values for {len(table.columns)} columns"
        for column, value in zip(table.columns, row, strict=True):
            if not _is_shown(value):
                return f"{subject}, whose row {number} has {quoted(value)} under {column.title!r}, which is no Value"
    return ""


def _is_shown(value: object) -> bool:
    return (
        isinstance(value, Value)
        and isinstance(value.text, str)
        and isinstance(value.order, str | int | float | np.number | None)
        and isinstance(value.link, str)
        and value.verdict in ("", *VERDICTS, UNTESTED)
    )
