"""Arguments and options that several commands of this room share."""

from typing import Annotated

import typer

Studies = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY]...", help="studies, or a collection (paper); by default all that ran"),
]
