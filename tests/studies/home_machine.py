"""A home under random commands, and the oracle that says what each may answer.

Files of two names in two folders are edited, renamed, moved, run, run in shards, killed while they run, packed and
unpacked; runs turn into those of an earlier format and back. After every command each answer must be that of one version
of one study: the file's where a path is given, the one that ran last where a name is given. Training is stubbed: a run's
score follows from its spec, so the answer of a version is that of the version alone in a home of its own.
"""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.studies.home_versions import FUSE, SCALE, Killed, Version, call, is_answer_of, rows_in, truth_of

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
