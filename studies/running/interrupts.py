"""Handles Ctrl-C, pressed once or twice."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

FIRST_MESSAGE = (
    b"\nno further run is started; running ones will finish\n"
    b"Ctrl-C again stops them now; the same command continues each from its last checkpoint\n"
)


@dataclass
class Interrupts:
    """Counts how often Ctrl-C was pressed."""

    times: int = 0


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[Interrupts]:
    """Makes Ctrl-C call `stop`, and the second Ctrl-C raise KeyboardInterrupt; further ones are ignored.

    Where Ctrl-C is ignored, as under nohup, it stays ignored.
    """
    interrupts = Interrupts()

    def handle(number: int, frame: FrameType | None) -> None:
        interrupts.times += 1
        if interrupts.times > 1:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise KeyboardInterrupt
        stop()
        os.write(2, FIRST_MESSAGE)  # a handler may run in the middle of a buffered write

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
