"""The colour, marker and dash of each objective of a matrix, the same in all figures."""

from generators.foundation.settings import Tree
from reports.drawing.palette import DASHES, MARKERS, PAPER, SERIES

MARKS = (*MARKERS, "X", "<", ">", "p", "h", "*")


def look(place: int) -> Tree:
    """Returns the style of an objective by its place; the first twelve have different markers."""
    turn = place + place // len(SERIES)
    return {
        "color": SERIES[place % len(SERIES)],
        "marker": MARKS[place % len(MARKS)],
        "ls": DASHES[turn % len(DASHES)],
        "mec": PAPER,
    }
