"""The part `memory`: peak memory and time of the three losses at 32,000 classes, through `lab.bench.loss`."""

import statistics
import time

import torch

from benchmarks.gpu.plan import Plan
from lab.bench.loss import LossBench, pass_seconds, peak_megabytes, peak_of_process
from lab.loss.losses import LOSSES

CASES = (("bf16", 1), ("bf16", 4), ("bf16", 8), ("fp32", 8), ("fp32", 1))
"""Precision and n, by importance."""
QUICK_CASES = (("bf16", 1), ("fp32", 2))
BENCH = {"vocabulary": 32000, "width": 512, "trunk_layers": 3, "samples": 8, "length_tokens": 1024, "turns": 5}
QUICK = {"vocabulary": 64, "width": 16, "attention_heads": 1, "samples": 2, "length_tokens": 16, "turns": 1}
MARGIN_SECONDS = 3.0


def measure(plan: Plan) -> None:
    """Measures case after case while there is time and writes a row with all losses for each."""
    torch.set_num_threads(1)
    longest = 0.0
    for precision, n in CASES if not plan.quick else QUICK_CASES:
        if plan.seconds_left() < longest + MARGIN_SECONDS:
            return
        before = time.time()
        settings = BENCH if not plan.quick else QUICK
        bench = LossBench.model_validate({**settings, "device": plan.device, "precision": precision})
        seconds = pass_seconds(bench, n)
        peak = peak_megabytes if plan.on_gpu else peak_of_process  # on a CPU, the peak is that of the process
        plan.write(
            precision=precision,
            n=n,
            **{f"{loss} GB": peak(bench, n, loss) / 1e3 for loss in LOSSES},
            **{f"{loss} ms": 1e3 * statistics.median(seconds[loss]) for loss in LOSSES},
        )
        longest = max(longest, time.time() - before)
