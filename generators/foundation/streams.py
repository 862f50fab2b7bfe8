"""The standard streams of a command, made safe to write to."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

STREAMS = {"stdin": (0, "r"), "stdout": (1, "w"), "stderr": (2, "w")}
"""Name -> file descriptor and mode."""
PICTURES = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"},
    127: 0x2421,
    **dict.fromkeys([*range(0x80, 0xA0), 0xFFFE, 0xFFFF], 0xFFFD),
}
"""Code of a control character -> what is shown in its place."""


def prepare_streams() -> None:
    """Makes whatever a command prints writable.

    A stream that was closed before the command began (`lab ... 2>&-`) leads to the null device; otherwise the first
    line of progress would end the command, and the next file that is opened would receive what C code writes to
    standard error. A letter that the encoding of a stream lacks (`∘` in ASCII) is written as `\\u2218`, unless
    PYTHONIOENCODING says otherwise.
    """
    for name, (number, mode) in STREAMS.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open_null_device(number, mode))
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def open_null_device(number: int, mode: str) -> object:
    """Opens the null device, as the file descriptor `number` too unless that is already in use."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)  # usually the lowest free number, which is this one
        if null != number:
            os.dup2(null, number)
            os.close(null)
    return open(os.devnull, mode, encoding="utf-8")


def with_pictures(text: str) -> str:
    """Returns a text with a picture, such as `␛`, for each control character but tabs and line breaks.

    Corpora contain control characters, and untrained models predict them. A terminal would obey some of them, and no
    reader of XML accepts a file that contains them.
    """
    return text.translate(PICTURES)


_answers: list[TextIO] = []


@contextmanager
def answers_alone() -> Iterator[None]:
    """Reserves standard output for the answer of a command; whatever else is printed goes to standard error."""
    _answers.append(sys.stdout)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = _answers.pop()


def answer_stream() -> TextIO:
    """Returns the stream for the answer of a command."""
    return _answers[-1] if _answers else sys.stdout
