"""Numbers as text, for the command line and for pages."""

from math import floor, isfinite, log10


def signed_number(value: float, *others: float) -> str:
    """Returns a difference with its sign, and with two significant digits of the largest of the values shown together.

    At least three and at most nine decimals are shown. A number that rounds to zero has no minus sign.

    Args:
        others: the values it stands next to, such as the ends of its interval.
    """
    largest = max((abs(number) for number in (value, *others) if isfinite(number)), default=0.0)
    decimals = 3 if largest == 0 else min(9, max(3, 1 - floor(log10(largest))))
    return f"{value:+z.{decimals}f}"
