"""Ctrl-C, once and twice."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

WAITING = b"\nno further run is started; those that run go on to their end\n"
HOW_TO_END = b"Ctrl-C again stops them now; each goes on from its last checkpoint when the same command is given\n"


@dataclass
class Interrupts:
    """How often Ctrl-C came."""

    times: int = 0


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[Interrupts]:
    """Ctrl-C calls `stop`; the second time it is a KeyboardInterrupt, and no third one disturbs what that sets off.

    Where Ctrl-C is ignored, as under nohup, it stays so.
    """
    seen = Interrupts()

    def handle(number: int, frame: FrameType | None) -> None:
        seen.times += 1
        if seen.times > 1:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise KeyboardInterrupt
        stop()
        os.write(2, WAITING + HOW_TO_END)  # a handler may come in the middle of a buffered write

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield seen
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
