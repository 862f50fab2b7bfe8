"""The part `study`: a study of the catalog at its gpu scale with fewer steps, run by the command that users call.

The study is ended before the part is; the runs that are complete by then are counted.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.gpu.plan import Plan

STUDY, SCALE, WORKERS, RUN_LIMIT = "induction-heads", "gpu", 8, 60
SET = {
    "training.steps": 60,
    "training.warmup_steps": 12,
    "training.evaluate_every_steps": 30,
    "training.keep_every_steps": 30,
}
QUICK_SET = {
    "training.steps": 2,
    "training.warmup_steps": 1,
    "training.evaluate_every_steps": 2,
    "task.test_samples": 8,
    "task.validation_samples": 8,
}
QUICK = ("induction-quick", "smoke", 1, 60)
VERDICT_SECONDS = 12.0
"""Time kept for the verdicts of a study that was ended."""


def measure(plan: Plan) -> None:
    """Runs the study and writes its verdicts and its runs per hour."""
    study, scale, workers, limit = QUICK if plan.quick else (STUDY, SCALE, WORKERS, RUN_LIMIT)
    settings = {**(QUICK_SET if plan.quick else SET), "training.device": plan.device}
    assignments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    with TemporaryDirectory() as home:
        command = ["study", "run", study, "--scale", scale, *assignments, "--home", home]
        command += ["--workers", str(workers), "--run-limit", str(limit), "--json"]
        before = time.time()
        process = subprocess.Popen(lab_command(command), stdout=subprocess.PIPE, text=True)
        try:
            output, _ = process.communicate(timeout=max(1.0, plan.seconds_left() - VERDICT_SECONDS))
            ended = "complete" if process.returncode == 0 else "failed"
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            ended = "ended early"
        seconds = time.time() - before
        runs = complete_runs(Path(home))
        plan.write(
            study=study,
            scale=scale,
            workers=workers,
            end=ended,
            runs=runs,
            seconds=seconds,
            runs_per_hour=3600 * runs / seconds,
        )
        if ended == "complete":
            for verdict in json.loads(output)["verdicts"]:
                plan.write(claim=verdict["claim"], verdict=verdict["verdict"])
        elif ended == "ended early":
            status = lab_command(["study", "status", study, "--home", home])
            plan.write(status=subprocess.run(status, capture_output=True, text=True, check=False).stdout.strip())
        else:
            raise SystemExit(f"lab study run {study} ended with exit code {process.returncode}")


def lab_command(arguments: list[str]) -> list[str]:
    """Returns the command line of the lab's own command."""
    return [sys.executable, "-m", "lab", *arguments]


def complete_runs(home: Path) -> int:
    """Returns the number of runs in a home that have a result."""
    return len(list((home / "runs").glob("*/result.json")))
