"""The optional packages of the lab, and the command that installs one of them next to the lab."""

import json
import re
import shlex
import shutil
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

DISTRIBUTION = "mtp-lab"
EXTRAS = {
    "optuna-dashboard": "dashboard",
    "ray": "ray",
    "transformers": "export",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow-skinny": "mlflow",
    "pyarrow": "parquet",
}
"""Package -> the extra of pyproject.toml that names it."""


def install_command(package: str) -> str:
    """Returns the command that installs an optional package into this environment, quoted for a shell.

    If the lab is an editable checkout, the command names its extra, as in `pip install -e '/lab[ray]'`. If it was
    installed from a wheel, which may be on no index, the command names the package and the versions that the lab
    accepts, as in `pip install 'ray[default]>=2.52'`.
    """
    try:
        installed = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        installed = None
    if checkout := checkout_of(installed):
        return f"{pip()} install -e {shlex.quote(f'{checkout}[{EXTRAS[package]}]')}"
    return f"{pip()} install {shlex.quote(requirement(package, installed))}"


def checkout_of(installed: Distribution | None) -> Path | None:
    """Returns the folder of the checkout that the lab runs from, or None if it was installed from a wheel.

    Args:
        installed: the lab's metadata; None if it is not installed, as when only PYTHONPATH names the checkout.
    """
    origin = json.loads((installed and installed.read_text("direct_url.json")) or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return Path(url2pathname(urlsplit(origin["url"]).path))
    folder = Path(str(installed.locate_file(""))) if installed else Path(__file__).parents[2]
    return folder if (folder / "pyproject.toml").exists() else None


def requirement(package: str, installed: Distribution | None) -> str:
    """Returns the requirement of the lab's extra for a package, without its marker."""
    for line in (installed and installed.requires) or ():
        needed, _, marker = line.partition(";")
        if re.search(rf"extra == ['\"]{EXTRAS[package]}['\"]", marker):
            return needed.strip()
    return package


def pip() -> str:
    """Returns the command that runs the pip of this environment."""
    usual = shutil.which("pip")
    own = usual and Path(usual).parent == Path(sys.executable).parent
    return "pip" if own else f"{shlex.quote(sys.executable)} -m pip"
