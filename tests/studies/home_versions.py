"""Versions of study files on a home with stubbed training, and the answer that is right for each version."""

import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from lab.__main__ import main
from lab.run import files
from studies.running.executors.executor import Outcome, RunRequest
from tests.small_study import small_study
from tests.stub_training import stub_attempt

SCALE = ("--scale", "smoke")
NOT_TESTED = "too few runs have this metric"


@dataclass(frozen=True)
class Version:
    """The content of a study file, as far as versions differ."""

    steps: int
    seeds: int
    margin: float

    @property
    def text(self) -> str:
        return small_study(
            ("\nsteps = 3\n", f"\nsteps = {self.steps}\n"),
            ("seeds = 2\ntrials = 1", f"seeds = {self.seeds}\ntrials = 1"),
            ("margin = 0.1", f"margin = {self.margin}"),
            ('"model.width" = [8, 16]', '"model.width" = [8]'),
            ('where = { "model.width" = 16 }', 'where = { "model.width" = "first" }'),
        )


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Fuse:
    """Ends the process at one of its steps: a write to a study's files, or a run. No later step happens."""

    left: int | None = None

    def burn(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


FUSE = Fuse()
write_atomically = files.write_atomically


def write_or_die(path: Path, content: bytes) -> None:
    FUSE.burn()
    write_atomically(path, content)


def attempt_or_die(request: RunRequest, home: Path) -> Outcome:
    FUSE.burn()
    return stub_attempt(request, home)


@contextmanager
def stubbed() -> Iterator[None]:
    """Replaces training, drawing, waiting for the disk, and checks and estimates that take long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("studies.running.executors.here.attempt", attempt_or_die)
        patch.setattr("reports.pages.study.render_study", lambda judged, *_: judged.study.name)
        patch.setattr("reports.exhibits.index.scoreboard.effects_figure", lambda lines, name: "<svg></svg>")
        patch.setattr(files, "write_atomically", write_or_die)
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr("lab.run.store.version", lambda package: "0")
        patch.setattr("studies.declared.loading.check_runs", lambda study: None)
        patch.setattr("studies.judging.judgement.seeds_needed", lambda *_: None)
        yield


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    output: str
    errors: str


def call(*arguments: str) -> Done:
    """Runs a command as its entry point does."""
    output, errors = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        patch.setattr(sys, "argv", ["lab", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    code = end.value.code
    assert "Traceback" not in errors.getvalue()
    return Done(code if isinstance(code, int) else int(code is not None), output.getvalue(), errors.getvalue())


Rows = dict[tuple[str, str, str], tuple[str, str]]
"""(cell, phase, seed) -> (run, score) as `lab results` writes them."""


def rows_in(path: str) -> dict[str, Rows]:
    """Returns the rows of each study in a table of runs."""
    rows: dict[str, Rows] = {}
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = row["cell"], row["phase"], row["seed"]
            rows.setdefault(row["study"], {})[key] = row["run"], row["score"]
    return rows


@dataclass(frozen=True)
class Truth:
    """The answers of a version alone in a home."""

    rows: Rows
    verdicts: dict[str, Any]


@cache
def truth_of(version: Version) -> Truth:
    """Returns the answers of a version that ran alone."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path("alone.toml").write_text(version.text)
        assert call("study", "run", "alone.toml", *SCALE, "--executor", "here").code == 0
        assert call("results", "alone", "--out", "runs.csv").code == 0
        verdicts = json.loads(call("claims", "alone", "--json").output)["alone"]["verdicts"]
        return Truth(rows_in("runs.csv")["alone"], {verdict["claim"]: verdict for verdict in verdicts})


def is_answer_of(version: Version, rows: Rows | None, verdicts: list[Any] | None) -> bool:
    """Tells whether an answer is that of one version, as far as its runs ended."""
    truth = truth_of(version)
    for key, (run, score) in (rows or {}).items():
        if key not in truth.rows or run != truth.rows[key][0] or score not in ("", truth.rows[key][1]):
            return False
    for verdict in verdicts or []:
        expected = truth.verdicts[verdict["claim"]]
        untested = verdict["difference"] is None and NOT_TESTED in verdict["reason"]
        if verdict["margin"] != expected["margin"] or not (untested or verdict == expected):
            return False
    return True
