"""The method section lets a reader repeat the study: its specs parse, and its commands contain no local paths."""

import re
import shlex
import tomllib
from dataclasses import replace
from html import unescape
from pathlib import Path

from lab.run.spec import parse_spec
from reports.frames.wording import cautions
from reports.pages.method import redraw_commands, rerun_commands, spec_toml
from reports.pages.study import render_study
from studies.reading.judged import read_judged
from studies.reading.portable import portable
from studies.reading.results import read_results
from tests.reports.stored_study import Outcome, StoredStudy, StudyStore, usual_outcome


def test_the_specs_shown_are_those_of_stored_runs(usual_store: StoredStudy) -> None:
    page = render_study(read_judged(usual_store.home, usual_store.study))
    specs = re.findall(r"<summary>[^<]*: run ([0-9a-f]{16})</summary>\s*<pre[^>]*>(.*?)</pre>", page, flags=re.DOTALL)
    assert len(specs) == 4
    for identity, text in specs:
        assert parse_spec(tomllib.loads(unescape(text)), "the page").identity == identity
        assert (usual_store.home / "runs" / identity).is_dir()


def test_toml_keeps_every_kind_of_value() -> None:
    tree = {
        "a": 1,
        "b": 1e-05,
        "c": 'x "y" \\ <é>',
        "d": True,
        "e": [1, 2],
        "f": {"g": None, "h": {"i": 2.5}},
        "j": None,
    }
    kept = {"a": 1, "b": 1e-05, "c": 'x "y" \\ <é>', "d": True, "e": [1, 2], "f": {"h": {"i": 2.5}}}
    assert tomllib.loads(spec_toml(tree, Path("home"))) == kept


def test_commands_on_a_page_are_quoted(usual_store: StoredStudy) -> None:
    study = replace(usual_store.study, source="my studies/two words.toml", name="two words", scale="a b")
    for command in (*rerun_commands(study, usual_store.home), *redraw_commands(study)):
        assert {"--scale", "a b"} <= set(shlex.split(command))
        assert {"two words", "two words.toml"} & set(shlex.split(command))


def test_paths_in_settings_and_failures_do_not_reveal_the_machine(store: StudyStore) -> None:
    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        failed = cell == "width=8 n=1" and phase == "confirm" and number == 0
        return "OSError: /home/someone/data/tales.txt is gone" if failed else usual_outcome(cell, phase, number)

    stored = store(outcomes, sets=("task.name_parts=5",))
    assert "seed 0 (OSError: tales.txt is gone)" in cautions(read_results(stored.home, stored.study))[0]
    command = "lab study run small.toml --scale cpu --set task.name_parts=5"
    assert rerun_commands(stored.study, stored.home)[0] == command
    assert portable(f"{stored.home}/runs/ab", stored.home) == "runs/ab"
    assert portable("task.corpus=/data/x/tales.txt", stored.home) == "task.corpus=tales.txt"
    assert portable("1/2 and figures 3/4 of a/b/c", stored.home) == "1/2 and figures 3/4 of a/b/c"
    assert spec_toml({"corpus": "/data/x/tales.txt"}, stored.home) == 'corpus = "tales.txt"'
