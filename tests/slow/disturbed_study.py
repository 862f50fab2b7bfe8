"""Kills the workers and the coordinator of a study with SIGKILL again and again; its verdicts must stay the same.

    python -m tests.slow.disturbed_study --kills 50

A study of 60 runs of a second or two is run once undisturbed. It is then run in an empty home; at moments drawn
uniformly a worker, or every fourth time the coordinator, is killed by its pid. A coordinator that was killed, or ended
with runs whose worker died three times, is started again until the study completes; remaining kills go to the next
home. The exit code is 1 if verdicts.json, ledger.json or any run differs by a byte.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.slow.killing import ROOT, digests, workers_of

STUDY = """
title = "A study to disturb"
question = "Does it end with the same verdicts?"
paper = "none"
seeds = 12
[base.task]
kind = "induction"
characters = 3
name_parts = 6
length_tokens = 32
validation_samples = 32
test_samples = 64
[base.model]
layers = 3
attention_heads = 1
[base.objective]
kind = "multi_token"
[base.training]
steps = {steps}
batch_size = 8
learning_rate = 0.01
evaluate_every_steps = 20
[factors]
"model.width" = [8, 16]
"objective.n" = [1, 2]
[tuning]
trials = 3
search."training.learning_rate" = {{ low = 0.003, high = 0.03 }}
[[claims]]
name = "helps"
text = "Two are better than one."
paper = "none"
kind = "difference"
factor = "objective.n"
treatment = 2
control = 1
where = {{ "model.width" = "first" }}
[[claims]]
name = "same"
text = "Two are no different from one."
paper = "none"
kind = "equivalence"
margin = 0.2
factor = "objective.n"
treatment = 2
control = 1
where = {{ "model.width" = "last" }}
[scales.cpu]
summary = "two minutes"
"""
FOLDER = Path("studies/disturbed/cpu")
STORED = ("verdicts.json", "ledger.json")


def start(study: Path, home: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lab", "study", "run", str(study), "--home", str(home), "--workers", str(workers)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def everything(home: Path) -> dict[str, dict[str, str]]:
    """Returns digests of the verdicts, the ledger and every run."""
    runs = sorted((home / "runs").iterdir())
    return {"study": digests(home / FOLDER, STORED)} | {run.name: digests(run) for run in runs}


def disturb(study: Path, home: Path, random: np.random.Generator, tally: Counter[str], kills: int, workers: int) -> str:
    """Disturbs the study in one home until it completes; returns what went wrong, or an empty text."""
    while True:
        coordinator = start(study, home, workers)
        tally["starts"] += 1
        while coordinator.poll() is None:
            if tally["workers killed"] + tally["coordinators killed"] >= kills:
                break
            with suppress(subprocess.TimeoutExpired):
                coordinator.wait(random.uniform(0.5, 5.0))
                break
            victims = workers_of(coordinator.pid)
            if random.random() < 0.25:
                coordinator.kill()
                tally["coordinators killed"] += 1
            elif victims:
                os.kill(int(random.choice(victims)), signal.SIGKILL)
                tally["workers killed"] += 1
        _, errors = coordinator.communicate()
        if coordinator.returncode == 0:
            return ""
        if coordinator.returncode == 1 and b"its worker died 3 times" in errors:
            tally["ends with failed runs"] += 1
        elif coordinator.returncode != -signal.SIGKILL:
            return f"exit {coordinator.returncode}: {errors.decode().strip().splitlines()[-1]}"


def torture(kills: int, seed: int, workers: int, steps: int) -> list[str]:
    """Disturbs studies until a number of kills have happened, prints a summary, and returns what went wrong."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        study = place / "disturbed.toml"
        study.write_text(STUDY.format(steps=steps))
        before = time.monotonic()
        undisturbed = start(study, place / "whole", workers)
        _, errors = undisturbed.communicate()
        assert undisturbed.returncode == 0, errors.decode()
        whole = everything(place / "whole")
        print(f"undisturbed: {len(whole) - 1} runs in {time.monotonic() - before:.0f} s", flush=True)
        random = np.random.default_rng(seed)
        tally: Counter[str] = Counter()
        wrong: list[str] = []
        before = time.monotonic()
        while tally["workers killed"] + tally["coordinators killed"] < kills and not wrong:
            home = place / f"home-{tally['studies']}"
            if failure := disturb(study, home, random, tally, kills, workers):
                wrong.append(failure)
                break
            tally["studies"] += 1
            disturbed = everything(home)
            parts = sorted(whole.keys() | disturbed)
            wrong += [f"{part}: differs" for part in parts if whole.get(part) != disturbed.get(part)]
        print(
            f"disturbed for {time.monotonic() - before:.0f} s: " + ", ".join(f"{n} {what}" for what, n in tally.items())
        )
        print(*(f"  {name:<18}{digest[:16]}" for name, digest in whole["study"].items()), sep="\n")
        print("\n".join(wrong) or "verdicts, ledger and every run: all bytes equal", flush=True)
        return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=300, help="of a run; 300 take a second or two")
    arguments = parser.parse_args()
    sys.exit(bool(torture(arguments.kills, arguments.seed, arguments.workers, arguments.steps)))
