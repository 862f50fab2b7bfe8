"""A stored run, rebuilt with the weights of one of its checkpoints."""

from pathlib import Path

import torch
from torch import Tensor

from generators.foundation.errors import UserError
from generators.task import Task
from lab.objectives.objective import Objective
from lab.run.assembly import RunParts, assemble
from lab.run.checkpoints import select_prefix
from lab.run.spec import RunSpec
from lab.run.store import BEST, LAST, RunFolder, find_run

CHECKPOINTS = {"best": BEST, "last": LAST}


class StoredRun:
    """A run read back from its folder.

    Args:
        home: the folder that holds `runs`, such as `experiments`.
        name: the run's identity, or enough of its first digits to name one run.
        checkpoint: "best", "last", or a step whose weights `training.keep_every_steps` kept.

    Attributes:
        folder: the folder of the run.
        spec: the spec it was trained from.
        checkpoint: the checkpoint that was read.
        step: the optimiser step of that checkpoint.
        parts: task, network with the weights of the checkpoint, and device.

    Raises:
        UserError: no such run or checkpoint exists, or a file of it is damaged.
    """

    def __init__(self, home: Path | str, name: str, checkpoint: str = "best") -> None:
        self.folder: RunFolder = find_run(Path(home), name)
        self.spec: RunSpec = self.folder.spec()
        self.checkpoint = checkpoint
        weights, self.step = load_weights(self.folder, checkpoint)
        self.parts: RunParts = assemble(self.spec)
        try:
            self.parts.network.load_state_dict(weights)
        except RuntimeError:  # torch's message lists every name
            raise UserError(
                f"{self.folder.path / checkpoint_file(self.folder, checkpoint)}: the weights do not fit objective "
                f"{self.spec.objective.kind} as it is now; delete the run's folder and train it again"
            ) from None

    @property
    def network(self) -> Objective:
        """The network with the weights of the checkpoint."""
        return self.parts.network

    @property
    def task(self) -> Task:
        """The task that the run was trained on."""
        return self.parts.task

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return self.parts.device

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """The stored metrics of the checkpoint: split -> metric -> value.

        The best and the last checkpoint of a complete run have all held-out splits, others validation alone.
        """
        result = self.folder.result() or {}
        if self.checkpoint in result.get("scores", {}):
            scores: dict[str, dict[str, float]] = result["scores"][self.checkpoint]
            return scores
        return self.folder.validation_scores(self.step)


def kept_weights_file(step: int | str) -> str:
    """Returns the name of the file of weights kept at a step; for "*", the pattern of all such names."""
    return f"weights-{step}.safetensors"


def checkpoint_file(folder: RunFolder, checkpoint: str) -> str:
    """Returns the file name of a checkpoint: "best", "last", or a step whose weights were kept.

    Raises:
        UserError: the run has no such checkpoint.
    """
    if checkpoint in CHECKPOINTS:
        return CHECKPOINTS[checkpoint]
    numbers = (path.stem.removeprefix("weights-") for path in folder.path.glob(kept_weights_file("*")))
    kept = sorted(int(number) for number in numbers if number.isdecimal())
    if checkpoint in map(str, kept):
        return kept_weights_file(checkpoint)
    steps = ", ".join(map(str, kept)) if kept else "none (training.keep_every_steps keeps some)"
    raise UserError(
        f"checkpoint {checkpoint} of run {folder.identity}: should be best or last, or a step whose weights were kept: "
        f"{steps}"
    )


def load_weights(folder: RunFolder, checkpoint: str) -> tuple[dict[str, Tensor], int]:
    """Reads the weights of a checkpoint by parameter name, and the optimiser step they belong to.

    Raises:
        UserError: no such checkpoint exists, also because the run was unpacked from an archive; or its file is damaged.
    """
    name = checkpoint_file(folder, checkpoint)
    stored = folder.read_tensors(name)
    if stored is None:
        if folder.result() is not None:
            raise UserError(
                f"run {folder.identity}: has a result but no weights, because archives hold none; to train it "
                f"again, delete {folder.path} and run its study, with --retrain if other code made the study's runs"
            )
        raise UserError(f"run {folder.identity}: no {checkpoint} checkpoint yet; train it first")
    tensors, progress = stored
    return (select_prefix(tensors, "model.") if name == LAST else tensors), progress["step"]
