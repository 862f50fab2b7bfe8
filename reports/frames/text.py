"""Formats text: names as words, lists, and paths that do not reveal the machine."""

import re
from collections.abc import Sequence
from pathlib import Path


def in_words(name: str) -> str:
    """Returns `small_gains` as `small gains`."""
    return name.replace("_", " ")


def shortened(text: str, letters: int) -> str:
    """Returns a text, cut to a number of letters with an ellipsis at the end if it is longer."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def listing(parts: Sequence[str]) -> str:
    """Returns `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def as_sentence(words: str) -> str:
    """Returns words with a capital and a full stop."""
    return f"{words[0].upper()}{words[1:]}."


def portable(text: str, home: Path) -> str:
    """Returns a text without paths of this machine: those inside the home become relative, others a bare file name."""
    text = text.replace(f"{home.absolute()}/", "").replace(f"{home.resolve()}/", "")
    return re.sub(r"(?<![\w./])/(?:[^\s/'\"=,;:]+/)+([^\s/'\"=,;:]+)", r"\1", text)
