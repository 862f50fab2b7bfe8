"""What a training step of a run costs beside one of the next-token model of the same size: memory and time.

Paper, section 2 and table S5: forward and backward passes head by head keep peak memory at that of one head, O(V + d)
instead of O(nV + d), and n = 2 and 4 take 1.07 and 1.22 of the time of n = 1 at 0.3B parameters, less above.

    peak      the most bytes that a forward and backward pass of the run's batch holds at once, above the model and its
              gradients: with the run's own loss, and with each of the three. On a CPU every allocation is recorded by
              torch's profiler, so the count is exact and the same each time; elsewhere it is the device's own. The
              optimiser's two moments are not in it.
    time      wall seconds of a whole step, the optimiser's included, with the run's own loss; the two models take
              turns, and the ratio is the median of turns. It differs from machine to machine, and a little each time.
    ratio     of either, to n = 1 with the same loss, model and batch: 1 for a run that is that model itself

Networks are built anew: neither figure depends on what the weights are. `compile` is left out.
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
from lab.run.timing import median_ratio, time_in_turns, wait_for
from lab.run.training import training_batches

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler tells standard error that it starts and stops
TURNS = 15
RUN, FIRST = "run", "next token"


class StepAnalysis(Analysis):
    """Measures the memory and time of a training step."""

    name = "step"
    summary = "memory and time of a training step beside one token's"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "peak_megabytes*": MeasureInfo("less", "10^6 bytes"),
        "memory_ratio*": MeasureInfo("less", "ratio of bytes"),
        "time_ratio": MeasureInfo("less", "ratio of seconds"),
        "step_milliseconds": MeasureInfo("less", "milliseconds"),
    }

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """The cost of a step of a stored run.

        Measures: `peak_megabytes` and `memory_ratio` with the run's own loss, `peak_megabytes_joint`,
        `memory_ratio_sequential` and so on with each; `time_ratio`, `step_milliseconds`.
        """
        specs = {RUN: run.spec, FIRST: run.spec.model_copy(update={"objective": MultiTokenConfig(n=1)})}
        networks = {name: assemble(spec).network for name, spec in specs.items()}
        batch = next(training_batches(run.parts.task, run.spec, run.parts.device, 0))
        own, findings = run.spec.training.loss, Findings()
        for loss in LOSSES:
            peak, first = (
                megabytes(passing(network, run.spec, batch, loss), run.parts.device) for network in networks.values()
            )
            findings.add("memory", "peak", peak, loss=loss, own=str(loss == own).lower())
            findings.add("memory", "ratio", peak / first, loss=loss, own=str(loss == own).lower())
            for name in (f"_{loss}", "")[: 1 + (loss == own)]:
                findings.measures |= {f"peak_megabytes{name}": peak, f"memory_ratio{name}": peak / first}
            findings.lines.append(
                f"{loss:<11}{peak:9.2f} MB at the peak of a pass, {peak / first:.2f} times what n = 1 takes"
                + (" (the run's own loss)" if loss == own else "")
            )
        seconds = time_in_turns({name: stepping(network, run.spec, batch) for name, network in networks.items()}, TURNS)
        milliseconds, ratio = 1e3 * statistics.median(seconds[RUN]), median_ratio(seconds[RUN], seconds[FIRST])
        findings.add("time", "milliseconds", milliseconds, loss=own)
        findings.add("time", "ratio", ratio, loss=own)
        findings.measures |= {"step_milliseconds": milliseconds, "time_ratio": ratio}
        findings.lines.append(f"A step takes {milliseconds:.1f} ms, {ratio:.2f} times what n = 1 takes.")
        return self.result(findings)


def passing(network: Objective, spec: RunSpec, batch: TensorBatch, loss: str) -> Callable[[], object]:
    """A forward and backward pass as training makes it, gradients added to those there are."""
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    optimiser_step = OptimiserStep(network, eager(spec, loss))
    return lambda: optimiser_step.add_gradient(batch)


def eager(spec: RunSpec, loss: str) -> TrainingConfig:
    """The training of a run with another loss, and without the compiler."""
    return spec.training.model_copy(update={"loss": loss, "compile": False, "cuda_graphs": False})


def stepping(network: Objective, spec: RunSpec, batch: TensorBatch) -> Callable[[], None]:
    """A whole step with the run's own loss, done when the device has done it."""
    optimiser_step = OptimiserStep(network, eager(spec, spec.training.loss))

    def step() -> None:
        optimiser_step.take(batch, 0)
        wait_for(batch.tokens_BxT.device)

    return step


def megabytes(once: Callable[[], object], device: torch.device) -> float:
    """10^6 bytes that a pass holds at its peak, above what is there before it; a pass before warms up."""
    once()
    if device.type != "cpu":
        memory = torch.get_device_module(device)  # torch.accelerator counts memory from 2.9 on only
        memory.reset_peak_memory_stats(device)
        before = memory.memory_allocated(device)
        once()
        peak_bytes: int = memory.max_memory_allocated(device) - before
        return peak_bytes / 1e6
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        once()
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(trace))
        events = json.loads(trace.read_bytes())["traceEvents"]
    held = peak = 0
    for event in sorted((one for one in events if one.get("name") == "[memory]"), key=lambda one: one["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak / 1e6
