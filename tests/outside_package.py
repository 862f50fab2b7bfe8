"""Installs the example package as a user installs one, and declares a study that uses it."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests" / "example_package"
STUDY = """
title = "An objective from elsewhere"
question = "Does recalling the previous token help?"
paper = "none"
seeds = 5

[base.task]
kind = "reverse"
validation_samples = 20
test_samples = 40

[base.model]
width = 8
layers = 2
attention_heads = 1

[base.training]
steps = 4
batch_size = 4
learning_rate = 0.01
evaluate_every_steps = 2

[factors]
objective = ["next_token", "mine"]

[levels.objective]
next_token = { kind = "multi_token" }
mine = { kind = "previous_token", weight = 0.5 }

[tuning]
trials = 1
search."training.learning_rate" = { low = 0.001, high = 0.1 }

[[claims]]
name = "helps"
text = "Recalling the previous token gives higher accuracy."
paper = "none"
kind = "difference"
factor = "objective"
treatment = "mine"
control = "next_token"

[scales.smoke]
summary = "seconds"
seeds = 2

[scales.cpu]
summary = "seconds"
"""
OUTSIDE_CLAIM = """
[[claims]]
name = "calibrated"
text = "A model that recalls the previous token is better calibrated than the average objective."
paper = "none"
kind = "above_average"
metric = "analysis/calibration/overconfidence"
factor = "objective"
treatment = "mine"
"""


def lay_out_example(folder: Path) -> Path:
    """Writes the files that an installer leaves of the example package, which takes no time; returns as below."""
    site = folder / "site"
    shutil.copytree(EXAMPLE / "mtp_lab_example", site / "mtp_lab_example")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = site / "mtp_lab_example-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in rows.items()) for group, rows in groups
        )
    )
    return site


def install_example(folder: Path) -> Path:
    """Installs the example package into a separate folder; returns the folder to put on the path."""
    source, site = folder / "source", folder / "site"
    shutil.copytree(EXAMPLE, source)  # a build writes into its source
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", site, source], check=True)
    return site
