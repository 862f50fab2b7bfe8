"""The part `study`: a study of the catalog at its gpu scale, with as many steps as fit, run by the command of users.

The study is ended before the part is; the runs that are complete by then are counted.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.gpu.plan import Plan
from studies.declared.loading import declare
from studies.running.plan.cost import plan_study
from studies.running.plan.measured_steps import RUN_SECONDS, measured_seconds

STUDY, SCALE, WORKERS, RUN_LIMIT = "induction-heads", "gpu", 8, 60
QUICK = ("induction-quick", "smoke", 1, 60)
QUICK_SET = {"task.test_samples": 8, "task.validation_samples": 8}
FEWEST_STEPS, MOST_STEPS, QUICK_STEPS = 20, 2000, 2
VERDICT_SECONDS = 12.0
"""Time kept for the verdicts of a study that was ended."""


def measure(plan: Plan) -> None:
    """Runs the study and writes its verdicts and its runs per hour."""
    study, scale, workers, limit = QUICK if plan.quick else (STUDY, SCALE, WORKERS, RUN_LIMIT)
    seconds = plan.seconds_left() - VERDICT_SECONDS
    steps = min(MOST_STEPS if not plan.quick else QUICK_STEPS, steps_that_fit(study, scale, seconds))
    settings = {"training.device": plan.device, **(QUICK_SET if plan.quick else {}), **settings_of_steps(study, steps)}
    assignments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    with TemporaryDirectory() as home:
        command = ["study", "run", study, "--scale", scale, *assignments, "--home", home]
        command += ["--workers", str(workers), "--run-limit", str(limit), "--json"]
        before = time.time()
        process = subprocess.Popen(lab_command(command), stdout=subprocess.PIPE, text=True)
        try:
            output, _ = process.communicate(timeout=max(1.0, seconds))
            ended = "complete" if process.returncode == 0 else "failed"
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            ended = "ended early"
        taken = time.time() - before
        runs = complete_runs(Path(home))
        plan.write(
            study=study,
            scale=scale,
            workers=workers,
            steps=steps,
            end=ended,
            runs=runs,
            seconds=taken,
            runs_per_hour=3600 * runs / taken,
        )
        if ended == "complete":
            for verdict in json.loads(output)["verdicts"]:
                plan.write(claim=verdict["claim"], verdict=verdict["verdict"])
        elif ended == "ended early":
            status = lab_command(["study", "status", study, "--home", home])
            plan.write(status=subprocess.run(status, capture_output=True, text=True, check=False).stdout.strip())
        else:
            raise SystemExit(f"lab study run {study} ended with exit code {process.returncode}")


def steps_that_fit(name: str, scale: str, seconds: float) -> int:
    """Returns the even number of steps per run with which the runs of a study take about so many seconds on a GPU.

    The estimate is that of `lab study show`, for one run after the other; several workers take less.
    """
    plan = plan_study(declare(name, scale))
    runs = sum(group.count for group in plan.groups)
    step = sum(group.count * measured_seconds(group.spec, group.run.step_flops) for group in plan.groups)
    fitting = (seconds - RUN_SECONDS * runs) / step
    return 2 * int(max(FEWEST_STEPS, fitting) / 2)


def settings_of_steps(name: str, steps: int) -> dict[str, object]:
    """Returns the settings of runs of a number of steps, with two evaluations and a warm-up over a fifth of them."""
    settings: dict[str, object] = {
        "training.steps": steps,
        "training.warmup_steps": steps // 5,
        "training.evaluate_every_steps": steps // 2,
    }
    return settings | ({"training.keep_every_steps": steps // 2} if name == STUDY else {})


def lab_command(arguments: list[str]) -> list[str]:
    """Returns the command line of the lab's own command."""
    return [sys.executable, "-m", "lab", *arguments]


def complete_runs(home: Path) -> int:
    """Returns the number of runs in a home that have a result."""
    return len(list((home / "runs").glob("*/result.json")))
