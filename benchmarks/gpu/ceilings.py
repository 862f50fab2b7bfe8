"""The part `ceilings`: the bandwidth, the rates of matrix products and the launch overhead that bound every step.

Entries are medians of 20 repeats on random data, timed with events on a GPU.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.gpu.plan import Plan
from lab.timing import wait_for

REPEATS = 20
LAUNCHES = 1000
COPY_BYTES = 2 * 2**30
SIZES = {"fp32": (8192,), "tf32": (8192,), "bf16": (8192, 4096)}


def set_precision(precision: str) -> None:
    """Computes fp32 products in TF32 if `precision` is "tf32", and in full fp32 otherwise."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def measure(plan: Plan) -> None:
    """Measures the ceilings of a device."""
    torch.set_num_threads(1)
    device = torch.device(plan.device)
    measure_copy(plan, device)
    for precision, sizes in SIZES.items():
        set_precision(precision)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        for size in sizes if not plan.quick else (128,):
            a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
            out = torch.empty_like(a)
            seconds = median_seconds(partial(torch.mm, a, b, out=out), device)
            rate = 2 * size**3 / seconds / 1e12
            plan.write(ceiling=f"product {precision}", size=size, unit="TFLOP/s", measured=rate)
    plan.write(ceiling="launch of one kernel", size=1, unit="microseconds", measured=1e6 * launch_seconds(device))


def measure_copy(plan: Plan, device: torch.device) -> None:
    """Measures the bandwidth of a copy within a device, counting bytes read and bytes written."""
    count = (COPY_BYTES if not plan.quick else 2**22) // 4
    source = torch.randn(count, device=device)
    target = torch.empty_like(source)
    rate = 8 * count / median_seconds(lambda: target.copy_(source), device) / 1e12
    plan.write(ceiling="copy, bytes read and written", size=4 * count, unit="TB/s", measured=rate)


def median_seconds(function: Callable[[], object], device: torch.device) -> float:
    """Returns the median seconds of a call, by events on a GPU and by the clock elsewhere, after warm-up calls."""
    for _ in range(3):
        function()
    wait_for(device)
    seconds = []
    for _ in range(REPEATS):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            function()
            end.record()
            end.synchronize()
            seconds.append(start.elapsed_time(end) / 1e3)
        else:
            before = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - before)
    return float(statistics.median(seconds))


def launch_seconds(device: torch.device) -> float:
    """Returns the median seconds per launch of many launches of a kernel that does next to nothing."""
    x = torch.zeros(1, device=device)
    turns = []
    for _ in range(REPEATS):
        wait_for(device)
        before = time.perf_counter()
        for _ in range(LAUNCHES):
            x.add_(1)
        wait_for(device)
        turns.append((time.perf_counter() - before) / LAUNCHES)
    return float(statistics.median(turns))
