"""Arguments and options that several commands of this package share."""

from typing import Annotated

import typer

Studies = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY]...", help="studies, or a collection (paper); by default every stored study"),
]
