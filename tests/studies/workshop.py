"""A folder with study files and a home, in which commands run without training."""

import json
from pathlib import Path
from typing import Any

from tests.conftest import Lab
from tests.small_study import write_small_study


class Workshop:
    """A folder with study files and a home, in which commands run without training."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        self.folder, self.lab, self.home = folder, lab, folder / "home"

    def write(self, path: str, *replacements: tuple[str, str]) -> None:
        """Writes the small study file, with pieces of its text replaced."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(write_small_study(target.parent, *replacements, name=".draft").read_text())

    def run(self, *arguments: str) -> str:
        """Runs a study at scale smoke, and returns standard error."""
        done = self.lab("study", "run", *arguments, "--scale", "smoke", "--executor", "here", "--home", self.home)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def refused(self, *arguments: str) -> str:
        """Runs a command that must be refused in one sentence, after any notes, and returns standard error."""
        done = self.lab(*arguments, "--home", self.home)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert [line[:5] for line in done.stderr.splitlines()].count("lab: ") == 1, done.stderr
        return done.stderr

    def answer(self, *arguments: str) -> tuple[dict[str, Any], str]:
        """Returns a command's answer, and standard error."""
        done = self.lab(*arguments, "--home", self.home, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr
