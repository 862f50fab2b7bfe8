"""A package of another author that is edited between commands, each of which runs in a process of its own.

The processes are forks of one that has imported the lab and nothing of the package, so that they start at once.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.outside_package import EXAMPLE, ROOT

SERVER = """
import importlib, io, json, os, sys, traceback
import torch._dynamo  # half of the time of a command
import lab.__main__, lab.run.training, lab.commands.score, lab.commands.train
for module in sys.argv[1:]:
    importlib.import_module(module)

for line in sys.stdin:
    folder, arguments = json.loads(line)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        importlib.invalidate_caches()
        sys.argv, sys.stdout, sys.stderr, code = ["lab", *arguments], io.StringIO(), io.StringIO(), 70
        try:
            lab.__main__.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        with os.fdopen(writer, "w") as pipe:
            json.dump([code, sys.stdout.getvalue(), sys.stderr.getvalue()], pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    print(answer, flush=True)
"""
METADATA = "Metadata-Version: 2.1\nName: mtp-lab-example\nVersion: {version}\n"
CODE = "mtp_lab_example"


class EditedPackage:
    """The example package, installed in a folder as files that can be edited, and a lab that finds it there.

    Args:
        folder: a folder for the package, in which the commands run.
        preloaded: modules that the commands import, beside those of `lab train` and `lab score`.
    """

    def __init__(self, folder: Path, *preloaded: str) -> None:
        self.folder, self.site = folder, folder / "site"
        self.restore()
        path = os.pathsep.join(map(str, (ROOT, self.site)))
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "PYTHONDONTWRITEBYTECODE": "1",
            "LAB_HOME": str(folder / "home"),
        }
        command = [sys.executable, "-c", SERVER, *preloaded]
        self.server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.server.stdin
        assert self.server.stdout
        self.server.kill()
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def restore(self) -> None:
        """Installs the package as it is in the repository, version 0.1.0."""
        shutil.rmtree(self.site, ignore_errors=True)
        shutil.copytree(EXAMPLE / CODE, self.site / CODE, ignore=shutil.ignore_patterns("__pycache__"))
        (self.site / "mtp_lab_example.dist-info").mkdir()
        points = (EXAMPLE / "pyproject.toml").read_text().partition("[project.entry-points")[2]
        text = f"[project.entry-points{points}".replace("[project.entry-points.", "[").replace('"', "")
        self._metadata("entry_points.txt").write_text(text)
        self.release("0.1.0")

    def release(self, version: str) -> None:
        """Gives the package another version."""
        self._metadata("METADATA").write_text(METADATA.format(version=version))

    def edit(self, module: str, *replacements: tuple[str, str]) -> None:
        """Replaces pieces of the text of a module, each of which it must have."""
        path = self.site / CODE / f"{module}.py"
        text = path.read_text()
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)

    def lab(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Runs a command of the lab in a process that loads the package as it is now."""
        assert self.server.stdin
        assert self.server.stdout
        self.server.stdin.write(json.dumps([str(self.folder), [str(argument) for argument in arguments]]) + "\n")
        self.server.stdin.flush()
        code, output, errors = json.loads(self.server.stdout.readline())
        return subprocess.CompletedProcess(list(arguments), code, output, errors)

    def answer(self, *arguments: object) -> tuple[Any, str]:
        """Runs a command that must succeed; returns its JSON answer, and standard error."""
        done = self.lab(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    def _metadata(self, name: str) -> Path:
        return self.site / "mtp_lab_example.dist-info" / name
