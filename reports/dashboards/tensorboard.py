"""Learning curves as TensorBoard event files.

    DIR/<study>-<scale>/<cell>, <seed or trial>/events.out.tfevents.*

Tags are `<split>/<metric>`. The time of an event is seconds of training, so that TensorBoard's relative time compares
runs by their cost, not by the hour at which they ran.
"""

from math import isfinite
from pathlib import Path
from typing import Any

from generators.foundation.errors import UserError
from lab.doctor.extras import install_command
from reports.frames.wording import run_name
from studies.reading.results import Results, rows_of


def event_writer() -> Any:
    """Returns the class that writes event files.

    Raises:
        UserError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(f"lab tensorboard needs tensorboard: {install_command('tensorboard')}") from None
    return SummaryWriter


def write_events(results: Results, folder: Path) -> int:
    """Writes all curves of a study's runs, and returns the number of runs that have one.

    Raises:
        UserError: TensorBoard is not installed.
    """
    writer_class, count = event_writer(), 0
    for run in rows_of(results.runs):
        points = results.curves[(results.curves["run"] == run["run"]) & (results.curves["phase"] == run["phase"])]
        if points.empty:
            continue
        with writer_class(str(folder / run_name(run).replace("/", "-"))) as writer:
            for point in rows_of(points):
                seconds = point["seconds"] if isfinite(point["seconds"]) else 0.0
                writer.add_scalar(
                    f"{point['split']}/{point['metric']}", point["value"], point["step"], walltime=seconds
                )
        count += 1
    return count
