"""A stored run, built again with the weights of one of its checkpoints."""

from pathlib import Path

from torch import Tensor

from generators.errors import UserError
from lab.assembly import Parts, assemble
from lab.checkpoints import part
from lab.spec import RunSpec
from lab.store import BEST, LAST, RunFolder, find_run

CHECKPOINTS = {"best": BEST, "last": LAST}


class StoredRun:
    """What a checkpoint of a run gives back: folder, spec, parts, and the step the weights are of.

    Raises:
        UserError: there is no such run or checkpoint, or the file is not what it says.
    """

    def __init__(self, home: Path, name: str, checkpoint: str) -> None:
        if checkpoint not in CHECKPOINTS:
            raise UserError(f"--checkpoint {checkpoint}: should be {' or '.join(CHECKPOINTS)}")
        self.folder: RunFolder = find_run(home, name)
        self.spec: RunSpec = self.folder.spec()
        self.checkpoint = checkpoint
        weights, self.step = stored_weights(self.folder, checkpoint)
        self.parts: Parts = assemble(self.spec)
        try:
            self.parts.network.load_state_dict(weights)
        except RuntimeError:  # torch's message lists every name
            raise UserError(
                f"{self.folder.path / CHECKPOINTS[checkpoint]}: the weights are not those of objective "
                f"{self.spec.objective.kind} as it is now; delete the run's folder and train it again"
            ) from None


def stored_weights(folder: RunFolder, checkpoint: str) -> tuple[dict[str, Tensor], int]:
    """Weights by name of a run's best or last checkpoint, and the step they are of.

    Raises:
        UserError: there is no such checkpoint, or the file is not what it says.
    """
    stored = folder.read_tensors(CHECKPOINTS[checkpoint])
    if stored is None:
        raise UserError(f"run {folder.identity}: no {checkpoint} checkpoint yet; train it first")
    tensors, progress = stored
    return (tensors if checkpoint == "best" else part(tensors, "model.")), progress["step"]
