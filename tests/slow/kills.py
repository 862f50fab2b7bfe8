"""Kills a run with SIGKILL again and again; it must always end with the bytes of an undisturbed run.

    python -m tests.slow.kills --kills 200

In each of several homes, `lab train` is started, killed and started again until it completes. Half of the kills come
at a moment drawn uniformly from the rest of the run, start-up included. The other half hit a checkpoint write: they
come after one to twelve more files, as soon as there is a temporary file in the folder. The exit code is 1 if a byte of
the metrics, of a checkpoint or of the result differs, or if a start fails.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.slow.killing import ROOT, SPEC, digests

CHECKPOINTS = ("last.safetensors", "best.safetensors")


@dataclass
class KillTally:
    """Counts shared by the homes that are killed in parallel."""

    target: int
    kills: int = 0
    in_write: int = 0
    before_first_checkpoint: int = 0
    starts: int = 0
    equal: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def open(self) -> bool:
        return self.kills < self.target and not self.wrong

    def killed(self, folder: Path | None, left_before: set[tuple[str, int]]) -> None:
        with self.lock:
            self.kills += 1
            self.in_write += bool(stamps(folder, "*.tmp") - left_before)
            self.before_first_checkpoint += folder is None or not (folder / "last.safetensors").exists()
            if self.kills % 20 == 0:
                print(f"  {self.kills} kills, {self.in_write} of them during a write", file=sys.stderr, flush=True)


def start(spec: Path, home: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lab", "train", str(spec), "--home", str(home)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def run_folder(home: Path) -> Path | None:
    return next(iter((home / "runs").glob("*")), None)


def run_of(home: Path) -> Path:
    """Returns the folder of the only run of a home."""
    folder = run_folder(home)
    assert folder is not None
    return folder


def stamps(folder: Path | None, pattern: str) -> set[tuple[str, int]]:
    """Returns name and time of every file that matches a pattern, without files that vanish meanwhile."""
    times = set()
    for path in folder.glob(pattern) if folder else ():
        with suppress(FileNotFoundError):
            times.add((path.name, path.stat().st_mtime_ns))
    return times


def wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Waits for a process; returns True if it is still running after some seconds."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def wait_for_a_write(process: subprocess.Popen[bytes], home: Path, checkpoints: int) -> bool:
    """Waits until a process has written `checkpoints` files, then for a temporary file; returns True if it still runs."""
    seen = stamps(run_folder(home), "*.safetensors")
    checkpoints += len(seen)
    while process.poll() is None:
        folder = run_folder(home)
        if len(seen) >= checkpoints and folder and any((folder / f"{name}.tmp").exists() for name in CHECKPOINTS):
            return True
        seen |= stamps(folder, "*.safetensors")
        time.sleep(0.0003)
    return False


def chain(
    number: int, spec: Path, home: Path, seconds: float, whole: dict[str, str], tally: KillTally, seed: int
) -> None:
    """Kills one run until it completes or the kills are used up."""
    random = np.random.default_rng([seed, number])
    steps = int(spec.read_text().split("steps = ")[1].split()[0])
    while True:
        folder = run_folder(home)
        timing = (folder / "timing.jsonl").read_bytes().splitlines() if folder and any(folder.glob("timing*")) else []
        done = max((json.loads(line)["step"] for line in timing if line.endswith(b"}")), default=0)
        left_before = stamps(folder, "*.tmp")
        process = start(spec, home)
        with tally.lock:
            tally.starts += 1
        running = True
        if tally.open and random.random() < 0.5:
            running = wait(process, random.uniform(0, seconds * (1 - done / steps)))
        elif tally.open:
            running = wait_for_a_write(process, home, int(random.integers(1, 13)))
        else:
            process.wait()
        if running and process.poll() is None:
            process.kill()
        assert process.stderr is not None
        errors = process.stderr.read().decode()
        if process.wait() == -9:
            tally.killed(run_folder(home), left_before)
            continue
        with tally.lock:
            if process.returncode != 0:
                tally.wrong.append(f"chain {number}: exit {process.returncode}: {errors.strip().splitlines()[-1]}")
                return
            differing = [name for name, digest in digests(run_of(home)).items() if digest != whole[name]]
            left = [path.name for path in (run_folder(home) or home).glob("*.tmp")]
            tally.wrong += [f"chain {number}: {name} differs" for name in differing]
            tally.wrong += [f"chain {number}: {name} was left behind" for name in left]
            tally.equal += not differing and not left
        return


def torture(kills: int, seed: int, workers: int, steps: int) -> KillTally:
    """Kills runs until a number of kills have happened and prints a summary."""
    with tempfile.TemporaryDirectory() as place:
        spec = Path(place) / "spec.toml"
        spec.write_text(SPEC.format(steps=steps))
        before = time.monotonic()
        undisturbed = start(spec, Path(place) / "whole")
        _, errors = undisturbed.communicate()
        assert undisturbed.returncode == 0, errors.decode()
        seconds = time.monotonic() - before
        whole = digests(run_of(Path(place) / "whole"))
        print(f"undisturbed: {seconds:.0f} s, {steps // 20} checkpoints", flush=True)
        tally = KillTally(kills)
        numbers = itertools.count()

        def chains() -> None:
            while tally.open:
                number = next(numbers)
                chain(number, spec, Path(place) / f"chain-{number}", seconds, whole, tally, seed)

        before = time.monotonic()
        with ThreadPoolExecutor(workers) as pool:
            for future in [pool.submit(chains) for _ in range(workers)]:
                future.result()
        print(
            f"{tally.kills} kills with SIGKILL in {time.monotonic() - before:.0f} s, {tally.in_write} while a file was "
            f"being written, {tally.before_first_checkpoint} before the first checkpoint"
        )
        print(f"{tally.starts} starts came to {tally.equal} complete runs with the bytes of the undisturbed one")
        for name, digest in whole.items():
            print(f"  {name:<18}{digest[:16]}")
        print("\n".join(tally.wrong) or "all equal", flush=True)
        return tally


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="number of runs at a time")
    parser.add_argument("--steps", type=int, default=1600, help="of the run; 1,600 take about 30 s on one core")
    arguments = parser.parse_args()
    sys.exit(bool(torture(arguments.kills, arguments.seed, arguments.workers, arguments.steps).wrong))
