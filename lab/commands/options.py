"""Where everything a command writes is kept."""

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path, typer.Option("--home", envvar="LAB_HOME", help="folder for runs, studies and reports", file_okay=False)
]
DEFAULT_HOME = Path("experiments")
