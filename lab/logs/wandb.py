"""Weights & Biases. A run is stored in a local folder unless WANDB_MODE says otherwise, and `wandb sync` sends it."""

import os
import shlex
from collections.abc import Mapping
from typing import Any

from lab.logs.run_log import LoggedRun, RunLog

PROJECT = "mtp-lab"


class WandbLog(RunLog):
    """A run of the project `mtp-lab`, or of WANDB_PROJECT, whose id is the run's key."""

    module, package = "wandb", "wandb"

    def __init__(self, run: LoggedRun) -> None:
        import wandb

        run.folder.mkdir(parents=True, exist_ok=True)
        mode: Any = os.environ.get("WANDB_MODE") or "offline"
        self.folder, self.is_offline = run.folder, mode == "offline"
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=run.key,
            name=run.name,
            config=run.settings,
            dir=str(run.folder),
            mode=mode,
            resume="allow",
            settings=wandb.Settings(silent=True),
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step, commit=True)

    def close(self) -> None:
        self.run.finish()

    def place(self) -> str:
        return (
            f"wandb sync {shlex.quote(str(self.folder / 'wandb'))}/offline-run-*" if self.is_offline else self.run.url
        )
