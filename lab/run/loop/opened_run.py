"""The folder of a run while it is trained: locked, with its spec and environment, and at the end with its result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from generators.foundation.settings import Tree
from lab.run.assembly import RunParts
from lab.run.finetuning import load_start_weights
from lab.run.other_code.replacing import put_in_place, training_folder
from lab.run.other_code.standing import OtherCode
from lab.run.spec import RunSpec, Start
from lab.run.store import LAST, RunFolder
from lab.run.training_data import seed_digests, training_batches

StartWeights = Callable[[Start, OtherCode], dict[str, Tensor]]
"""Returns the weights that a finetuning run starts from; the run that they belong to is trained first if necessary."""


@dataclass(frozen=True)
class OpenedRun:
    """A run that this process may train.

    Attributes:
        run: the folder of the run, which this process holds.
        folder: the folder in which it is trained: that folder, or one within it while an older result is kept.
        digests: the digests of what its seed decides.
    """

    spec: RunSpec
    parts: RunParts
    run: RunFolder
    folder: RunFolder
    digests: dict[str, str]

    def close(self, result: Tree) -> Tree:
        """Writes the result, which declares the run complete, and returns it."""
        result["seed_digests"] = self.digests
        if self.spec.start is not None:
            result["start"] = self.spec.start.run.identity
        self.folder.write_result(result)
        put_in_place(self.run)
        return result


@contextmanager
def opened_run(
    spec: RunSpec, run: RunFolder, parts: RunParts, other_code: OtherCode, start_weights: StartWeights
) -> Iterator[OpenedRun]:
    """Locks the folder of a run and prepares it; a finetuning run that has no checkpoint gets the weights of its start.

    Raises:
        FolderInUse: another process is training the run.
        UserError: the folder has another format.
    """
    with run.locked(spec):
        folder = training_folder(run, other_code)
        folder.write_environment(spec)
        digests = seed_digests(parts.network, next(training_batches(parts.task, spec, parts.device, 0)))
        if spec.start is not None and not (folder.path / LAST).exists():
            kept = folder is run and other_code in ("refuse", "keep")
            load_start_weights(spec, parts.network, start_weights(spec.start, other_code if kept else "renew"))
        yield OpenedRun(spec, parts, run, folder, digests)
