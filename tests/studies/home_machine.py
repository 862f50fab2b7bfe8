"""A home under random commands, and the oracle that says what each may answer.

Files of two names in two folders are edited, renamed, moved, run, run in shards, killed while they run, packed and
unpacked; runs turn into those of an earlier format and back. After every command each answer must be that of one version
of one study: the file's where a path is given, the one that ran last where a name is given. Training is stubbed: a run's
score follows from its spec, so the answer of a version is that of the version alone in a home of its own.
"""

import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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
    """Ends the process at one of its steps: a write to a study's files, or a run. None of the later ones happen."""

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


VERSIONS = st.sampled_from([Version(3, 5, 0.1), Version(4, 5, 0.1), Version(3, 6, 0.1), Version(4, 5, 0.2)])
PATHS = st.sampled_from(["a/x.toml", "b/x.toml", "b/lr0.5.toml"])
NAMES = st.sampled_from(["x", "lr0.5"])
SHARDS = st.sampled_from(["", "", "1/2", "2/2"])
FUSES = st.none() | st.integers(0, 20)
"""The step at which a command is killed: a run that trains all of it takes about twenty."""


def name_in(path: str) -> str:
    return Path(path).name.removesuffix(".toml")


class HomeMachine(RuleBasedStateMachine):
    """Random commands on one home.

    Attributes:
        files: path -> the version that the file says.
        current: name -> the versions that may be stored; several after a kill.
        origins: name -> the path that ran last; None where it is unknown.
        archives: name, version and path of packed studies.
        spoiled: identities of runs that are of an earlier format.
    """

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.files: dict[str, Version] = {}
        self.current: dict[str, set[Version]] = {}
        self.origins: dict[str, str | None] = {}
        self.archives: list[tuple[str, Version, str]] = []
        self.spoiled: set[str] = set()
        for name in ("a", "b"):
            (self.folder / name).mkdir()
        self.before = Path.cwd()
        os.chdir(self.folder)

    def teardown(self) -> None:
        FUSE.left = None
        os.chdir(self.before)
        self.temporary.cleanup()

    @rule(path=PATHS, version=VERSIONS)
    def edit(self, path: str, version: Version) -> None:
        Path(path).write_text(version.text)
        self.files[path] = version

    @rule(path=PATHS, new_path=PATHS)
    def rename_or_move(self, path: str, new_path: str) -> None:
        if path in self.files:
            Path(path).rename(new_path)
            self.files[new_path] = self.files.pop(path)

    @initialize(version=VERSIONS)
    def begin(self, version: Version) -> None:
        self.edit("a/x.toml", version)
        self.run("a/x.toml", False, "", None)

    @rule(path=PATHS, assigned=st.booleans(), shard=SHARDS, fuse=FUSES)
    def run(self, path: str, assigned: bool, shard: str, fuse: int | None) -> None:
        if path not in self.files:
            return
        name, version = name_in(path), self.files[path]
        options = ["--set", "training.steps=4"] if assigned else []
        version = replace(version, steps=4) if assigned else version
        options += ["--shard", shard] if shard else []
        FUSE.left = fuse
        try:
            done = call("study", "run", path, *SCALE, "--executor", "here", *options)
        except Killed:
            self.current[name] = self.current.get(name, set()) | {version}
            self.origins[name] = path if self.current[name] == {version} else None
            return
        finally:
            FUSE.left = None
        known = self.current.get(name, set())
        if known and known != {version} and len(known) == 1 and self.origins[name] is not None:
            same_file = self.origins[name] == path
            assert (done.code == 2) == (not same_file), done
            assert ("was edited since it last ran" if same_file else "belongs to") in done.errors, done
        elif known == {version} or not known:
            assert done.code != 2, done
            assert "was edited" not in done.errors, done
        if done.code != 2:
            self.current[name], self.origins[name] = {version}, path

    @rule(name=NAMES)
    def pack(self, name: str) -> None:
        done = call("study", "pack", name, "--out", f"packed{len(self.archives)}")
        if done.code == 0 and len(self.current[name]) == 1:
            (version,) = self.current[name]
            self.archives.append((name, version, f"packed{len(self.archives)}/{name}-smoke.tar.xz"))

    @rule(data=st.data())
    def unpack(self, data: st.DataObject) -> None:
        if not self.archives:
            return
        name, version, path = data.draw(st.sampled_from(self.archives))
        done = call("study", "unpack", path)
        if done.code == 0 and name not in self.current:
            self.current[name], self.origins[name] = {version}, None

    @rule()
    def begin_a_new_home(self) -> None:
        """Leaves the archives and the files."""
        Path("experiments").exists() and Path("experiments").rename(tempfile.mkdtemp(dir=self.folder) + "/old")
        self.current, self.origins, self.spoiled = {}, {}, set()

    @rule(data=st.data())
    def change_the_format_of_a_run(self, data: st.DataObject) -> None:
        runs = sorted(path.parent.name for path in Path("experiments/runs").glob("*/environment.json"))
        if not runs:
            return
        run = data.draw(st.sampled_from(runs))
        path = Path("experiments/runs") / run / "environment.json"
        tree = json.loads(path.read_text())
        path.write_text(json.dumps(tree | {"format": 2 if run in self.spoiled else 1}))
        self.spoiled ^= {run}

    @invariant()
    def every_answer_is_of_one_version(self) -> None:
        for path in self.files:
            for command in (["claims"], ["results", "--out", "runs.csv"]):
                self.read_file(command, path)
        self.read_file(["study", "status"], "a/x.toml")
        self.read_file(["report"], "b/x.toml")
        for name in self.current:
            for command in (["claims"], ["results", "--out", "runs.csv"], ["study", "status"]):
                self.read_name(command, name)
        self.read_all()

    def read_file(self, command: list[str], path: str) -> None:
        done = call(*command, path, "--json")
        assert done.code in (0, 2), done
        if done.code == 0:
            version = self.files[path]
            if "ran with --set training.steps=4" in done.errors:
                version = replace(version, steps=4)
            self.check(command[0], name_in(path), {version}, json.loads(done.output))

    def read_name(self, command: list[str], name: str) -> None:
        done = call(*command, name, "--json")
        assert done.code in (0, 2), done
        if done.code == 0:
            self.check(command[0], name, self.current[name], json.loads(done.output))

    def read_all(self) -> None:
        claims, results = call("claims", "--json"), call("results", "--out", "runs.csv", "--json")
        if claims.code == 0:
            for name, answer in json.loads(claims.output).items():
                if "left_out" not in answer:
                    self.check("claims", name, self.current[name], {name: answer})
        if results.code == 0:
            for name in rows_in("runs.csv"):
                self.check("results", name, self.current[name], json.loads(results.output))

    def check(self, command: str, name: str, versions: set[Version], value: Any) -> None:
        """Checks that an answer is that of one of some versions, and of no run of another format."""
        if command == "study":
            assert value["runs"] in {2 * (1 + version.seeds) for version in versions}
            return
        rows = rows_in("runs.csv")[name] if command == "results" else None
        verdicts = value[name]["verdicts"] if command == "claims" else value.get("verdicts")
        fitting = [version for version in versions if is_answer_of(version, rows, verdicts)]
        assert fitting, f"{command} {name}: none of {versions} answers {rows or verdicts}"
        if rows:
            scored = {run for run, score in rows.values() if score}
            assert not scored & self.spoiled, f"{command} {name}: counts runs of another format"
        decided = [verdict for verdict in verdicts or [] if verdict["difference"] is not None]
        if decided:
            confirmed = {run for (_, phase, _), (run, _) in truth_of(fitting[0]).rows.items() if phase == "confirm"}
            assert not confirmed & self.spoiled, f"{command} {name}: judges runs of another format"
