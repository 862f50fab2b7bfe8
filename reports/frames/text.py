"""Formats text: names as words, and lists."""

from collections.abc import Sequence
from textwrap import wrap


def in_words(name: str) -> str:
    """Returns `small_gains` as `small gains`."""
    return name.replace("_", " ")


def shortened(text: str, letters: int) -> str:
    """Returns a text, cut to a number of letters with an ellipsis at the end if it is longer."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def balanced(text: str, letters: int) -> list[str]:
    """Breaks a text into as few lines of at most so many letters as it takes, all about equally long."""
    lines = wrap(text, max(1, letters))
    narrower = (wrap(text, width) for width in range(1, letters))
    return next((other for other in narrower if len(other) <= len(lines)), lines)


def listing(parts: Sequence[str]) -> str:
    """Returns `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def as_sentence(words: str) -> str:
    """Returns words with a capital and a full stop."""
    return f"{words[0].upper()}{words[1:]}."
