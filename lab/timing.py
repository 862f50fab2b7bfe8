"""Side-by-side timing: the steps take turns, so that a machine that slows down slows all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch

WARM_UP_TURNS = 2
"""Warm-up turns, which are not measured: caches fill, and code is compiled."""
Key = TypeVar("Key")


def time_in_turns(steps: Mapping[Key, Callable[[], object]], turns: int) -> dict[Key, list[float]]:
    """Measures the wall seconds of each step in each of `turns` turns, after some turns to warm up."""
    seconds: dict[Key, list[float]] = {name: [] for name in steps}
    for _ in range(turns + WARM_UP_TURNS):
        for name, step in steps.items():
            before = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - before)
    return {name: values[WARM_UP_TURNS:] for name, values in seconds.items()}


def wait_for(device: torch.device) -> None:
    """Waits until a device has finished its work, which on a GPU outlasts the call that starts it."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize(device)


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Returns the median over turns of the ratio of two times measured in the same turn."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))
