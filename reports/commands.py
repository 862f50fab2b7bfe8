"""lab report."""

from pathlib import Path
from typing import Annotated

import typer

from generators.errors import UserError
from generators.options import Json, answer
from lab.options import DEFAULT_HOME, Home
from lab.store import write_whole
from reports.page import render
from reports.results import COMPLETE, read_results
from studies.claims import judge
from studies.commands import Name, StoredScale, sentence
from studies.sweep import find_study, scores_for

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def group() -> None:
    """Reading what is stored."""


@app.command("report")
def report_command(
    name: Name,
    scale: StoredScale = None,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="by default reports/STUDY-SCALE.html under the lab's home")
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write a study's page: one self-contained HTML file, the answer first."""
    study = find_study(home, name, scale)
    results = read_results(home, study)
    verdicts = judge(study, scores_for(study, results.cells))
    path = (out or home / "reports" / f"{study.name}-{study.scale}.html").absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {path}: no folder can be made there ({error.strerror}); give another path") from None
    write_whole(path, render(results, verdicts, home).encode())
    complete = int((results.runs["status"] == COMPLETE).sum())
    value = {"report": str(path), "study": study.name, "scale": study.scale, "runs": complete}
    lines = [*map(sentence, verdicts), f"{complete} of {study.runs} runs complete", f"page: {path}"]
    answer(value | {"verdicts": [one.tree() for one in verdicts]}, as_json, "\n".join(lines))
