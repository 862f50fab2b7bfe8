"""Helpers for the scripts that kill runs: a spec that trains in seconds, digests of files, child processes by pid."""

from contextlib import suppress
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPARED = ("metrics.jsonl", "best.safetensors", "last.safetensors", "result.json")
SPEC = """
[task]
kind = "induction"
characters = 3
name_parts = 6
validation_samples = 32
test_samples = 64
[model]
size = "30k"
[objective]
kind = "multi_token"
n = 2
[training]
steps = {steps}
batch_size = 16
learning_rate = 0.01
evaluate_every_steps = 20
"""


def digests(folder: Path, names: tuple[str, ...] = COMPARED) -> dict[str, str]:
    """Returns the SHA-256 of files in a folder, by name."""
    return {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}


def children(pid: int) -> list[int]:
    """Returns the children of a process; an empty list once it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def workers_of(pid: int) -> list[int]:
    """Returns the children of a process that are workers of a study."""
    workers = []
    for child in children(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                workers.append(child)
    return workers
