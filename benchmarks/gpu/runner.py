"""Runs parts one after the other, each in a process of its own that is killed at its limit.

A crash, a hang or an out-of-memory error of one part therefore costs the others nothing, and the rows that a part has
written before it ends are kept.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.plan import LOG, RESULTS, read_rows

ROOT = Path(__file__).parents[2]
USABLE_SECONDS = 5.0
"""A part that has less time than this is not started."""


@dataclass(frozen=True)
class Part:
    """A part of the script.

    Attributes:
        name: its name in results and summary.
        module: the module whose `measure(plan)` takes the measurements.
        seconds: its time limit.
        elastic: lets it also use the time that earlier parts left over.
    """

    name: str
    module: str
    seconds: float
    elastic: bool = False


@dataclass(frozen=True)
class Ending:
    """The end of one part: "ok", "failed", "timed out" or "not run", its seconds, and the rows that it wrote."""

    name: str
    status: str
    seconds: float
    rows: int

    def line(self) -> str:
        """Returns the line that the script prints about the part."""
        return f"{self.name:<10}{self.status:<11}{self.seconds:>7.1f} s{self.rows:>6} rows"


def seconds_of(part: Part, later: Sequence[Part], left: float) -> float:
    """Returns the time that a part gets when `left` seconds are left for it and the later ones."""
    unused = left - sum(other.seconds for other in later)
    return min(max(part.seconds, unused) if part.elastic else part.seconds, left)


def run_parts(
    parts: Sequence[Part], folder: Path, device: str, quick: bool, seconds: float, show: Callable[[str], None] = print
) -> list[Ending]:
    """Runs parts in their order, within a time for all of them, and returns how each ended.

    Args:
        show: receives one line per part.
    """
    end = time.time() + seconds
    endings = []
    for index, part in enumerate(parts):
        limit = seconds_of(part, parts[index + 1 :], end - time.time())
        ending = run_part(part, folder, device, quick, limit)
        show(ending.line())
        endings.append(ending)
    return endings


def run_part(part: Part, folder: Path, device: str, quick: bool, limit: float) -> Ending:
    """Runs one part for at most `limit` seconds; its output is appended to the log."""
    if limit < USABLE_SECONDS:
        return Ending(part.name, "not run", 0.0, 0)
    start = time.time()
    command = [sys.executable, "-m", "benchmarks.gpu.one_part", part.name, part.module, str(folder), device]
    command += [str(start + limit), *(["--quick"] if quick else [])]
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(f"\n===== {part.name}, at most {limit:.0f} s\n")
        log.flush()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            process.wait(limit)
            status = "failed" if process.returncode else "ok"
        except subprocess.TimeoutExpired:
            status = "timed out"
        finally:
            end_group(process)
        log.write(f"===== {part.name} {status}, exit code {process.returncode}\n")
    end_last_line(folder)
    rows = sum(row["part"] == part.name for row in read_rows(folder))
    return Ending(part.name, status, time.time() - start, rows)


def environment() -> dict[str, str]:
    """Returns the environment of a part: one thread per process, as the lab trains, and this checkout first."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {"TORCHINDUCTOR_COMPILE_THREADS": "2", **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kills the processes that a part started and left behind, and the part itself if it has not ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_last_line(folder: Path) -> None:
    """Ends the line that a killed part was writing, so that the next part begins a new one."""
    path = folder / RESULTS
    text = path.read_bytes() if path.exists() else b""
    if text and not text.endswith(b"\n"):
        path.write_bytes(text + b"\n")
