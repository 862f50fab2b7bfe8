"""Memory and time of a training step of a run, compared with the next-token model of the same size.

Paper, section 2 and table S5: forward and backward passes head by head keep peak memory at that of one head, O(V + d)
instead of O(nV + d), and n = 2 and 4 take 1.07 and 1.22 times as long as n = 1 at 0.3B parameters, with smaller
factors for larger models.

    peak      the maximum number of bytes held during a forward and backward pass on the run's first batch, above the
              model and its gradients; for the run's own loss and for each of the three losses. On a CPU, torch's
              profiler records every allocation, so the count is exact and repeatable; elsewhere it is the device's
              own. The optimiser's two moments are not included.
    time      wall seconds of a whole optimiser step with the run's own loss. The two models alternate, and the ratio
              is the median over turns of the ratio within a turn. It differs between machines, and a little between
              repetitions.
    ratio     peak or time divided by that of n = 1 with the same loss, model and batch; about 1 if the run is that
              model

The analysis builds new networks, because neither number depends on the weights. It ignores `training.compile` and
`training.cuda_graphs`.
"""

import json
import os
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import torch
from torch.profiler import ProfilerActivity, profile

from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo
from lab.loss.losses import LOSSES
from lab.model.batches import TensorBatch
from lab.objectives.multi_token import MultiTokenConfig
from lab.objectives.objective import Objective
from lab.run.assembly import assemble
from lab.run.spec import RunSpec, TrainingConfig
from lab.run.step import OptimiserStep
from lab.run.stored_run import StoredRun
from lab.run.training_data import training_batches
from lab.timing import median_ratio, time_in_turns, wait_for

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise the profiler logs its start and stop to standard error
TURNS = 15
RUN, NEXT_TOKEN = "run", "next token"


class StepAnalysis(Analysis):
    """Measures the memory and time of a training step."""

    name = "step"
    summary = "memory and time of a training step, compared with the next-token model"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "peak_megabytes*": MeasureInfo(
            "less",
            "10^6 bytes",
            "peak memory of a forward and backward pass, above model and gradients; with a loss's name, of that loss",
        ),
        "memory_ratio*": MeasureInfo(
            "less", "ratio of bytes", "that peak divided by the peak of the next-token model with the same loss"
        ),
        "time_ratio": MeasureInfo("less", "ratio of seconds", "time of a step divided by that of the next-token model"),
        "step_milliseconds": MeasureInfo("less", "milliseconds", "wall time of a whole optimiser step"),
    }

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Measures a step of the run's objective and one of next-token prediction.

        Measures: `peak_megabytes` and `memory_ratio` with the run's own loss, and `peak_megabytes_joint`,
        `memory_ratio_sequential` and so on with each loss; `time_ratio`, `step_milliseconds`.
        """
        specs = {RUN: run.spec, NEXT_TOKEN: run.spec.model_copy(update={"objective": MultiTokenConfig(n=1)})}
        networks = {name: assemble(spec).network for name, spec in specs.items()}
        batch = next(training_batches(run.parts.task, run.spec, run.parts.device, 0))
        own_loss, findings = run.spec.training.loss, Findings()
        for loss in LOSSES:
            peak, baseline = (
                peak_megabytes(gradient_pass(network, run.spec, batch, loss), run.parts.device)
                for network in networks.values()
            )
            is_own = str(loss == own_loss).lower()
            findings.add("memory", "peak", peak, loss=loss, own=is_own)
            findings.add("memory", "ratio", peak / baseline, loss=loss, own=is_own)
            for suffix in (f"_{loss}", "")[: 1 + (loss == own_loss)]:
                findings.measures |= {f"peak_megabytes{suffix}": peak, f"memory_ratio{suffix}": peak / baseline}
            findings.lines.append(
                f"{loss:<11}{peak:z9.2f} MB at the peak of a pass, {peak / baseline:z.2f} times that of n = 1"
                + (" (the run's own loss)" if loss == own_loss else "")
            )
        steps = {name: whole_step(network, run.spec, batch) for name, network in networks.items()}
        seconds = time_in_turns(steps, TURNS)
        milliseconds = 1e3 * statistics.median(seconds[RUN])
        ratio = median_ratio(seconds[RUN], seconds[NEXT_TOKEN])
        findings.add("time", "milliseconds", milliseconds, loss=own_loss)
        findings.add("time", "ratio", ratio, loss=own_loss)
        findings.measures |= {"step_milliseconds": milliseconds, "time_ratio": ratio}
        findings.lines.append(f"A step takes {milliseconds:z.1f} ms, {ratio:z.2f} times that of n = 1.")
        return self.result(findings)


def gradient_pass(network: Objective, spec: RunSpec, batch: TensorBatch, loss: str) -> Callable[[], object]:
    """Returns a forward and backward pass as training makes it; it adds to gradients that are already allocated."""
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    step = OptimiserStep(network, eager_training(spec, loss))
    return lambda: step.add_gradient(batch)


def eager_training(spec: RunSpec, loss: str) -> TrainingConfig:
    """Returns the training settings of a run with a loss, without the compiler."""
    return spec.training.model_copy(update={"loss": loss, "compile": False, "cuda_graphs": False})


def whole_step(network: Objective, spec: RunSpec, batch: TensorBatch) -> Callable[[], None]:
    """Returns an optimiser step with the run's own loss, which waits for the device to finish."""
    optimiser_step = OptimiserStep(network, eager_training(spec, spec.training.loss))

    def step() -> None:
        optimiser_step.take(batch, 0)
        wait_for(batch.tokens_BxT.device)

    return step


def peak_megabytes(run_pass: Callable[[], object], device: torch.device) -> float:
    """Returns the 10^6 bytes that a pass holds at its peak, above those held before it, after a pass that warms up."""
    run_pass()
    if device.type != "cpu":
        memory = torch.get_device_module(device)  # torch.accelerator counts memory only since 2.9
        memory.reset_peak_memory_stats(device)
        before = memory.memory_allocated(device)
        run_pass()
        peak_bytes: int = memory.max_memory_allocated(device) - before
        return peak_bytes / 1e6
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run_pass()
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(trace))
        events = json.loads(trace.read_bytes())["traceEvents"]
    allocated = peak = 0
    allocations = (event for event in events if event.get("name") == "[memory]")
    for event in sorted(allocations, key=lambda event: event["ts"]):
        allocated += event["args"]["Bytes"]
        peak = max(peak, allocated)
    return peak / 1e6
