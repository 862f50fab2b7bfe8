"""A stored run, built again with the weights of one of its checkpoints."""

from pathlib import Path

from torch import Tensor

from generators.foundation.errors import UserError
from lab.run.assembly import RunParts, assemble
from lab.run.checkpoints import part
from lab.run.spec import RunSpec
from lab.run.store import BEST, LAST, RunFolder, find_run

CHECKPOINTS = {"best": BEST, "last": LAST}


def kept_weights(step: int | str) -> str:
    """The file of weights that `training.keep_every_steps` keeps; for "*", the pattern of their names."""
    return f"weights-{step}.safetensors"


def file_of(folder: RunFolder, checkpoint: str) -> str:
    """The name of a checkpoint's file: of the best, the last, or the weights kept at a step.

    Raises:
        UserError: the run has no such checkpoint.
    """
    if checkpoint in CHECKPOINTS:
        return CHECKPOINTS[checkpoint]
    numbers = (path.stem.removeprefix("weights-") for path in folder.path.glob(kept_weights("*")))
    kept = sorted(int(number) for number in numbers if number.isdecimal())
    if checkpoint in map(str, kept):
        return kept_weights(checkpoint)
    steps = ", ".join(map(str, kept)) if kept else "none (training.keep_every_steps keeps some)"
    raise UserError(f"--checkpoint {checkpoint}: should be best or last, or a step whose weights were kept: {steps}")


class StoredRun:
    """What a checkpoint of a run gives back: folder, spec, parts, and the step the weights are of.

    Raises:
        UserError: there is no such run or checkpoint, or the file is not what it says.
    """

    def __init__(self, home: Path, name: str, checkpoint: str) -> None:
        self.folder: RunFolder = find_run(home, name)
        self.spec: RunSpec = self.folder.spec()
        self.checkpoint = checkpoint
        weights, self.step = load_weights(self.folder, checkpoint)
        self.parts: RunParts = assemble(self.spec)
        try:
            self.parts.network.load_state_dict(weights)
        except RuntimeError:  # torch's message lists every name
            raise UserError(
                f"{self.folder.path / file_of(self.folder, checkpoint)}: the weights are not those of objective "
                f"{self.spec.objective.kind} as it is now; delete the run's folder and train it again"
            ) from None


def load_weights(folder: RunFolder, checkpoint: str) -> tuple[dict[str, Tensor], int]:
    """Weights by name of a run's checkpoint, and the step they are of.

    Raises:
        UserError: there is no such checkpoint, or the file is not what it says.
    """
    name = file_of(folder, checkpoint)
    stored = folder.read_tensors(name)
    if stored is None:
        raise UserError(f"run {folder.identity}: no {checkpoint} checkpoint yet; train it first")
    tensors, progress = stored
    return (part(tensors, "model.") if name == LAST else tensors), progress["step"]
