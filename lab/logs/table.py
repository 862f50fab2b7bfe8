"""The programs that `lab train --log` can write to."""

from importlib import import_module

from generators.foundation.errors import UserError
from generators.foundation.settings import suggestion
from lab.logs.run_log import RunLog

LOGS = {
    "tensorboard": "lab.logs.tensorboard:TensorBoardLog",
    "wandb": "lab.logs.wandb:WandbLog",
    "mlflow": "lab.logs.mlflow:MLflowLog",
}


def log_class(name: str) -> type[RunLog]:
    """Returns the class of a program that is installed.

    Raises:
        UserError: there is no such program, or it is not installed.
    """
    if name not in LOGS:
        raise UserError(f"--log {name}: no such program; {suggestion(name, list(LOGS))}")
    module, _, class_name = LOGS[name].partition(":")
    row: type[RunLog] = getattr(import_module(module), class_name)
    row.require(f"--log {name}")
    return row
