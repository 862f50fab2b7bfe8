"""Fills a real disk, a tmpfs of a few MB, while a run writes to it. Needs the right to mount.

    python -m tests.slow.full_disk

The first part runs commands as a user does. A run whose second checkpoint does not fit stops with a one-sentence error and
exit code 1; its first checkpoint can be scored; once there is room, the same command finishes with the bytes of an
undisturbed run. A disk that is mounted read-only is refused. The second part trains a smaller run in this process with
0, 1, 2, ... free pages, so that every write fails once.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from generators.foundation.errors import UserError, WorkFailed
from lab.run.spec import read_spec
from lab.run.store import RunFolder
from lab.run.training import train
from tests.slow.killing import COMPARED, ROOT, SPEC, digests

STORED = (*COMPARED, "spec.json")
DISK_BYTES = 4 * 2**20
PAGE_BYTES = 4096
SMALLER = ["training.steps=4", "training.evaluate_every_steps=2", "training.batch_size=2"]
SMALLER_MODEL = "width = 8\nlayers = 3\nattention_heads = 1"


@contextmanager
def disk() -> Iterator[Path]:
    """Mounts a small file system and unmounts it whatever happens."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


def remount(place: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(place)], check=True)


def fill(place: Path, room_bytes: int) -> Path:
    """Fills a disk except for `room_bytes` and returns the file that fills it."""
    ballast = place / "ballast"
    state = os.statvfs(place)
    ballast.write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - room_bytes)))
    return ballast


def lab(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    messages = [line for line in done.stderr.splitlines() if not line.startswith("step ")]
    print(f"$ lab {' '.join(map(str, arguments))}", *messages, f"exit {done.returncode}", sep="\n  ", flush=True)
    return done


def second_checkpoint_does_not_fit(spec: Path, usual: Path) -> None:
    """Gives the commands of a user whose disk becomes full."""
    identity = read_spec(spec, []).identity
    assert lab("train", spec, "--home", usual).returncode == 0
    whole = usual / "runs" / identity
    last = (whole / "last.safetensors").stat().st_size
    best = (whole / "best.safetensors").stat().st_size
    with disk() as place:
        ballast = fill(place, last + 2 * best + 10 * PAGE_BYTES)
        done = lab("train", spec, "--home", place)
        assert done.returncode == 1
        assert "last.safetensors: could not be written (No space left on device)" in done.stderr
        assert done.stderr.count("lab: ") == 1
        folder = place / "runs" / identity
        assert not list(folder.glob("*.tmp"))
        scored = lab("score", identity, "--checkpoint", "last", "--home", place, "--json")
        assert scored.returncode == 0
        assert '"step": 20' in scored.stdout
        ballast.unlink()
        remount(place, "ro")
        assert lab("train", spec, "--home", place).returncode == 2
        remount(place, "rw")
        assert lab("train", spec, "--home", place).returncode == 0
        assert digests(folder, STORED) == digests(whole, STORED)
        remount(place, "ro")
        assert lab("score", identity, "--home", place).returncode == 0
        assert lab("train", spec, "--home", place).returncode == 0  # a complete run writes nothing
    print("all bytes equal to those of the run that had room", flush=True)


def every_write_fails_once(spec: Path, usual: Path) -> None:
    """Trains with one more free page each time, until that is enough; every run is finished afterwards."""
    spec.write_text(SPEC.format(steps=60).replace('size = "30k"', SMALLER_MODEL))
    small = read_spec(spec, SMALLER)
    train(small, usual)
    expected = digests(RunFolder(usual, small.identity).path, STORED)
    failed: Counter[str] = Counter()
    room = 0
    while True:
        with disk() as place:
            ballast = fill(place, room * PAGE_BYTES)
            try:
                train(small, place)
            except (WorkFailed, UserError) as error:
                where, _, why = str(error).partition(": ")
                if "No space left on device" not in why:
                    raise
                failed[Path(where).name if "." in Path(where).name else "the folder"] += 1
            else:
                break
            ballast.unlink()
            folder = RunFolder(place, small.identity)
            assert not list(folder.path.glob("*.tmp"))
            train(small, place)
            assert digests(folder.path, STORED) == expected
        room += 1
    print(f"a smaller run with room for 0 to {room - 1} pages of {PAGE_BYTES} bytes: {room} times stopped, at")
    for name, times in failed.items():
        print(f"  {name:<18}{times}")
    print("every run finished with equal bytes once there was room", flush=True)


def full_disk() -> None:
    """Runs both parts."""
    with tempfile.TemporaryDirectory() as place:
        spec = Path(place) / "spec.toml"
        spec.write_text(SPEC.format(steps=60))
        second_checkpoint_does_not_fit(spec, Path(place) / "usual")
        every_write_fails_once(spec, Path(place) / "usual")


if __name__ == "__main__":
    full_disk()
