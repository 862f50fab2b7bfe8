"""Things timed side by side: each in its turn, so that a machine that slows down slows all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch

WARMING = 2
"""Turns before those that count: caches fill, and what is compiled is compiled."""
Key = TypeVar("Key")


def time_in_turns(steps: Mapping[Key, Callable[[], object]], turns: int) -> dict[Key, list[float]]:
    """Wall seconds of each step in each turn; the turns that warm up are dropped."""
    found: dict[Key, list[float]] = {name: [] for name in steps}
    for _ in range(turns + WARMING):
        for name, step in steps.items():
            before = time.perf_counter()
            step()
            found[name].append(time.perf_counter() - before)
    return {name: seconds[WARMING:] for name, seconds in found.items()}


def wait_for(device: torch.device) -> None:
    """Returns when a device has done what was asked of it: a GPU's work goes on after the call that asks for it."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize(device)


def median_ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median over turns of the seconds of one thing over those of another in the same turn."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))
