"""Implements `lab compare`."""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer
from generators.foundation.outputs import check_output_file, make_output_folder
from lab.commands.options import DEFAULT_HOME, Home
from lab.run.files import write_atomically
from reports.exhibits.drawn import ExhibitProblems, check_drawn
from reports.frames.pairs import ComparedStudy, StudyPair
from reports.pages.comparison import code_remark, render_comparison, verdict_lines, verdicts_by_claim
from reports.pages.writing import PAGE_ENDINGS
from studies.declared.names import split_scale
from studies.ledger.arguments import checked_name
from studies.ledger.declared_study import find_study


def compare_command(
    first_name: Annotated[
        str, typer.Argument(metavar="STUDY[@SCALE]", help="without a scale, the one that ran last", show_default=False)
    ],
    second_name: Annotated[
        str, typer.Argument(metavar="STUDY[@SCALE]", help="another study, or the same one at another scale")
    ],
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="HTML file to write; by default in `reports` under --home")
    ] = None,
    home: Home = DEFAULT_HOME,
    second_home: Annotated[
        Path | None, typer.Option(file_okay=False, help="home of the second study, if different")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two studies on one page: verdicts, effects, and the settings that differ."""
    if out is not None:
        check_output_file("--out", out, PAGE_ENDINGS)
    first, second = _study(home, first_name), _study(second_home or home, second_name)
    if (first.home.resolve(), first.name) == (second.home.resolve(), second.name):
        raise UserError(
            f"{first_name} and {second_name}: are the same study at the same scale; give another scale or --second-home"
        )
    path = (out or home / "reports" / f"{first.name}-{second.name}.html".replace("@", "-")).absolute()
    check_output_file("--out", path, PAGE_ENDINGS)
    pair, problems = StudyPair(first, second), ExhibitProblems()
    page = render_comparison(pair, problems).encode()
    make_output_folder("--out", path, path.parent)
    write_atomically(path, page)
    value = {"comparison": str(path), "claims": verdicts_by_claim(pair), "failed_exhibits": problems.failures}
    value["differing_code"] = pair.differing_code
    lines = [verdict_lines(pair), code_remark(pair), f"page: {path}"]
    answer(value, as_json, "\n".join(filter(None, lines)))
    check_drawn(problems.failures)


def _study(home: Path, name: str) -> ComparedStudy:
    """Returns the stored study that `STUDY` or `STUDY@SCALE` names."""
    argument, scale = split_scale(name)
    return ComparedStudy(home, find_study(home, checked_name(home, argument, scale), scale))
