"""A disk that is really full: a run on a tmpfs of a few MB. Needs root, or at least the right to mount.

    python -m tests.slow.full_disk

First the commands as a user gives them: a run whose second checkpoint does not fit stops with a sentence and exit
code 1, its first checkpoint can be scored, and once there is room the same command finishes with the bytes of a run
that never lacked any. The same disk mounted read-only: another sentence. Then a smaller run in this process, with
the room it is left growing by a page at a time from nothing to enough, so that every write is the one that fails.
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
    """A small file system of its own, unmounted whatever happens."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


def remount(place: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(place)], check=True)


def leave(place: Path, room_bytes: int) -> Path:
    """Fill a disk up to so much room; the file that fills it."""
    ballast = place / "ballast"
    state = os.statvfs(place)
    ballast.write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - room_bytes)))
    return ballast


def lab(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", *map(str, arguments)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = [line for line in ended.stderr.splitlines() if not line.startswith("step ")]
    print(f"$ lab {' '.join(map(str, arguments))}", *said, f"exit {ended.returncode}", sep="\n  ", flush=True)
    return ended


def second_checkpoint_does_not_fit(spec: Path, usual: Path) -> None:
    """The story a user lives through, command by command."""
    identity = read_spec(spec, []).identity
    assert lab("train", spec, "--home", usual).returncode == 0
    whole = usual / "runs" / identity
    last = (whole / "last.safetensors").stat().st_size
    best = (whole / "best.safetensors").stat().st_size
    with disk() as place:
        ballast = leave(place, last + 2 * best + 10 * PAGE_BYTES)
        ended = lab("train", spec, "--home", place)
        assert ended.returncode == 1
        assert "last.safetensors: could not be written (No space left on device)" in ended.stderr
        assert ended.stderr.count("lab: ") == 1
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
        assert lab("train", spec, "--home", place).returncode == 0  # it is complete: nothing to write
    print("all bytes equal to those of the run that had room", flush=True)


def every_write_fails_once(spec: Path, usual: Path) -> None:
    """Room from nothing to enough, a page more each time; each run is finished afterwards."""
    spec.write_text(SPEC.format(steps=60).replace('size = "30k"', SMALLER_MODEL))
    small = read_spec(spec, SMALLER)
    train(small, usual)
    expected = digests(RunFolder(usual, small.identity).path, STORED)
    failed: Counter[str] = Counter()
    room = 0
    while True:
        with disk() as place:
            ballast = leave(place, room * PAGE_BYTES)
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
    print("every one of them finished with equal bytes once there was room", flush=True)


def full_disk() -> None:
    """Both parts."""
    with tempfile.TemporaryDirectory() as place:
        spec = Path(place) / "spec.toml"
        spec.write_text(SPEC.format(steps=60))
        second_checkpoint_does_not_fit(spec, Path(place) / "usual")
        every_write_fails_once(spec, Path(place) / "usual")


if __name__ == "__main__":
    full_disk()
