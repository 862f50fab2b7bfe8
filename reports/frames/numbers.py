"""Formats of numbers, counts and durations."""

from math import floor, log10

import numpy as np

MISSING = "–"


def signed(value: float, *others: float) -> str:
    """Returns a difference with its sign, and with two significant digits of the largest of the values shown together.

    At least three and at most nine decimals are shown.

    Args:
        others: the values shown next to it, such as the ends of its interval.
    """
    if np.isnan(value):
        return MISSING
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    largest = max((abs(number) for number in (value, *others) if np.isfinite(number)), default=0.0)
    decimals = 3 if largest == 0 else min(9, max(3, 1 - floor(log10(largest))))
    return minus_sign(f"{value:+.{decimals}f}")


def unsigned(value: float, *others: float) -> str:
    """Returns a value with the decimals of `signed`, without a plus sign."""
    return signed(value, *others).removeprefix("+")


def minus_sign(text: str) -> str:
    """Replaces a leading hyphen by a minus sign."""
    return f"−{text[1:]}" if text.startswith("-") else text


def plural(count: int, noun: str) -> str:
    """Returns `1 run`, `2 runs`, `2 studies`, `2 passes`."""
    nouns = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count} {noun}" if count == 1 else f"{count} {nouns}"


def duration(seconds: float) -> str:
    """Returns seconds, minutes or hours, whichever reads best."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def without_point(value: object) -> str:
    """Returns a value as text; a whole number loses the point that a column with gaps gives it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
