"""Event files of TensorBoard, one folder per run.

Tags are `<split>/<metric>`, as in those that `lab tensorboard` writes of a study. Times are those of the clock.
"""

import shlex
from collections.abc import Mapping
from typing import Any

from lab.logs.run_log import LoggedRun, RunLog


class TensorBoardLog(RunLog):
    """Writes an event file for each process that trains the run; TensorBoard shows the files of a folder as one run."""

    module, package = "tensorboard", "tensorboard"

    def __init__(self, run: LoggedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = run.folder
        self.writer: Any = SummaryWriter(str(run.folder / run.name.replace("/", "-")))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()

    def place(self) -> str:
        return f"tensorboard --logdir {shlex.quote(str(self.folder))}"
