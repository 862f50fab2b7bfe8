"""Formats of numbers, counts and durations."""

import numpy as np

from generators.foundation.numbers import signed_number

MISSING = "–"


def signed(value: float, *others: float) -> str:
    """Formats a difference as `signed_number` does, with typographic signs, or a dash if there is no number.

    Args:
        others: the values shown next to it, such as the ends of its interval.
    """
    if np.isnan(value):
        return MISSING
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    return minus_sign(signed_number(value, *others))


def unsigned(value: float, *others: float) -> str:
    """Returns a value with the decimals of `signed`, without a plus sign."""
    return signed(value, *others).removeprefix("+")


def formatted(value: float, form: str) -> str:
    """Returns a number in a format such as `+.3f`, or `d` for a whole one; a number that rounds to 0 has no minus."""
    sign = form[: form.startswith("+")]
    decimals = ".0f" if form == "d" else form.removeprefix(sign)
    return minus_sign(f"{value:{sign}z{decimals}}")


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
        return f"{seconds:z.0f} s"
    return f"{seconds / 60:z.0f} min" if seconds < 7200 else f"{seconds / 3600:z.1f} h"


def without_point(value: object) -> str:
    """Returns a value as text; a whole number loses the decimal point that it gets in a column with gaps."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
