"""A stored run, built again with the weights of one of its checkpoints."""

from pathlib import Path

from generators.errors import UserError
from lab.assembly import Parts, assemble
from lab.spec import RunSpec
from lab.store import BEST, LAST, RunFolder, find_run
from lab.training import part

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
        stored = self.folder.read_tensors(CHECKPOINTS[checkpoint])
        if stored is None:
            raise UserError(f"run {self.folder.identity}: no {checkpoint} checkpoint yet; train it first")
        tensors, progress = stored
        weights = tensors if checkpoint == "best" else part(tensors, "model.")
        self.step: int = progress["step"]
        self.parts: Parts = assemble(self.spec)
        try:
            self.parts.network.load_state_dict(weights)
        except RuntimeError:  # torch's message lists every name
            raise UserError(
                f"{self.folder.path / CHECKPOINTS[checkpoint]}: the weights are not those of objective "
                f"{self.spec.objective.kind} as it is now; delete the run's folder and train it again"
            ) from None
