"""What the scripts that kill share: a run of a few seconds, what of a run must be equal, and processes found by pid."""

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
    """SHA-256 of each of a folder's files."""
    return {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}


def children(pid: int) -> list[int]:
    """Processes that a process started; none where it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def workers_of(pid: int) -> list[int]:
    """Those of them that are workers of a study."""
    found = []
    for child in children(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found
