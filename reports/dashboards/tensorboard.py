"""lab tensorboard: the curves of studies as event files, for those who look at everything in TensorBoard.

    DIR/<study>-<scale>/<cell>, <seed or trial>/events.out.tfevents.*

Tags are `<split>/<metric>`. The time of an event is seconds of training, so that TensorBoard's relative time compares
runs by what they cost, and not by when they ran.
"""

from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer
from lab.commands.options import DEFAULT_HOME, Home
from lab.run.files import make_folder
from reports.dashboards.board import StudySource
from reports.dashboards.searches import sources
from reports.frames.formatting import plural, run_name
from reports.frames.results import Results, read_results, rows_of
from studies.commands.options import StoredScale
from studies.ledger.declared_study import find_study

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def group() -> None:
    """Reading what is stored."""


@app.command("tensorboard")
def tensorboard_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="by default every study that ran")
    ] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="empty, or not there yet")] = Path("tensorboard"),
    scale: StoredScale = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write the curves of studies as TensorBoard event files, a folder a run."""
    if names:
        studies = [find_study(home, name, scale) for name in names]
    else:
        shown = [source for source in sources(home, None, scale) if isinstance(source, StudySource)]
        studies = [find_study(home, source.name, source.scale) for source in shown]
    if not studies:
        raise UserError(f"no study ran under {home}; start with: lab study run quick")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"--out {out}: is not empty; give an empty folder, or one that is not there yet")
    make_folder(out)
    written = {}
    for study in studies:
        name = f"{study.name}-{study.scale}"
        written[name] = write_events(read_results(home, study), out / name)
    lines = [f"{name}: {plural(runs, 'run')}" for name, runs in written.items()]
    answer({"folder": str(out), "runs": written}, as_json, "\n".join([*lines, f"look: tensorboard --logdir {out}"]))


def write_events(results: Results, folder: Path) -> int:
    """Every curve of a study's runs; how many runs have one.

    Raises:
        UserError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "lab tensorboard needs tensorboard; bring it with: pip install 'mtp-lab[tensorboard]'"
        ) from None
    count = 0
    for run in rows_of(results.runs):
        points = results.curves[(results.curves["run"] == run["run"]) & (results.curves["phase"] == run["phase"])]
        if points.empty:
            continue
        with SummaryWriter(str(folder / run_name(run).replace("/", "-"))) as writer:
            for point in rows_of(points):
                at = point["seconds"] if isfinite(point["seconds"]) else 0.0
                writer.add_scalar(f"{point['split']}/{point['metric']}", point["value"], point["step"], walltime=at)
        count += 1
    return count
