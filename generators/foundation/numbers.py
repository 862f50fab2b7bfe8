"""Numbers as text, for the command line and for pages."""

from math import floor, isfinite, log10

ONE_DECIMAL_FROM, NO_DECIMAL_FROM = 100, 1000
"""Values from which a number is shown with one decimal, and with none."""


def signed_number(value: float, *others: float) -> str:
    """Returns a difference with its sign, and with two significant digits of the largest of the values shown together.

    At least three and at most nine decimals are shown; from 100 on one is enough, and from 1,000 on none is needed. A
    number that rounds to zero has no minus sign.

    Args:
        others: the values it stands next to, such as the ends of its interval.
    """
    largest = max((abs(number) for number in (value, *others) if isfinite(number)), default=0.0)
    if largest >= ONE_DECIMAL_FROM:
        return f"{value:+z.{0 if largest >= NO_DECIMAL_FROM else 1}f}"
    decimals = 3 if largest == 0 else min(9, max(3, 1 - floor(log10(largest))))
    return f"{value:+z.{decimals}f}"
