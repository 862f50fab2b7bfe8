"""lab study search: its options, and what it refuses before anything runs."""

import json
from pathlib import Path

import pytest

from studies.declared.catalog import SEARCHES
from studies.declared.search import load_search
from tests.conftest import Lab
from tests.small_search import write_small_search
from tests.small_study import write_small_study


def test_a_search_runs_on_the_executor_that_the_command_names(tmp_path: Path, lab: Lab) -> None:
    path = write_small_search(tmp_path, ("trials = 6", "trials = 2"))
    done = lab("study", "search", path, "--executor", "here", "--home", tmp_path / "home", "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["trained"] == 2 + 2 * len(value["front"])
    refused = lab("study", "search", path, "--executor", "here", "--workers", 2, "--home", tmp_path / "home")
    assert refused.returncode == 2
    assert "--workers: --executor here has no such setting; executors that have it: local, ray" in refused.stderr


def test_a_search_has_no_shards_and_says_why(tmp_path: Path, lab: Lab) -> None:
    done = lab("study", "search", write_small_search(tmp_path), "--shard", "1/2", "--home", tmp_path / "home")
    assert done.returncode == 2
    assert "--shard 1/2: a search has no shards, since each batch of proposals depends on the results" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch = 3", "batches = 3", "batches = 3: no such key; the nearest is batch"),
        (
            '"model.width" = [8, 16]',
            '"model.wide" = [8, 16]',
            "space: nothing in it can run; the last combination tried: n=1 wide=16",
        ),
        ('"model.width" = [8, 16]', '"model.width" = [8, 8]', "space.model.width = [8, 8]: lists a choice twice"),
        ("low = 0.001", "low = 1.0", "space.training.learning_rate: low = 1.0 should be below high = 0.1"),
        ("low = 0.001", 'low = "a"', "space.training.learning_rate.low"),
        ("[8, 16]", "8", "space.model.width = 8: should be a list of choices"),
        (
            '["none", "linear"]',
            '["none", "lineal"]',
            "space.objective.head: 'lineal' cannot run with any other setting",
        ),
        ('cost = "parameters"', 'metric = "acuracy"', "metric = 'acuracy': no such score; the nearest is accuracy"),
        ("steps = 2", "steps = 2\nlearning_rate = 0.1\n[base]\nseed = 1", "not valid TOML"),
    ],
)
def test_an_error_in_a_search_file_is_one_line_and_nothing_runs(
    lab: Lab, tmp_path: Path, old: str, new: str, message: str
) -> None:
    done = lab("study", "search", write_small_search(tmp_path, (old, new)), "--home", tmp_path / "home")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["best"], "the nearest is best-n"),
        (["best-n", "--scale", "cup"], "the nearest is cpu"),
        (["SMALL", "--set", "model.width=4"], "--set: model.width is searched in small"),
    ],
)
def test_an_unknown_name_or_a_searched_setting_is_refused(
    lab: Lab, tmp_path: Path, arguments: list[str], message: str
) -> None:
    path = write_small_search(tmp_path)
    done = lab("study", "search", *(path if argument == "SMALL" else argument for argument in arguments))
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("scale", ["smoke", "cpu", "gpu"])
def test_every_search_of_the_catalog_can_run_at_every_scale(scale: str) -> None:
    for name in SEARCHES.names:
        load_search(name, scale, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "run", "best-n"], "study 'best-n': is a search of the catalog; its command is: lab study search best-n"),
        (["study", "show", "best-n"], "its command is: lab study search best-n"),
        (["study", "status", "best-n"], "its command is: lab study search best-n"),
        (["report", "best-n"], "its command is: lab study search best-n"),
        (["study", "search", "induction-quick"], "search 'induction-quick': is a study of the catalog; its command is: lab study run induction-quick"),
        (["study", "search", "paper"], "is a collection of the catalog; its command is: lab study run paper"),
        (["study", "run", "{folder}/small.toml"], "is the file of a search; its command is: lab study search {folder}/small.toml"),
        (["study", "status", "found"], "is a search that ran under {home}; its command is: lab study search found.toml"),
        (["study", "search", "{folder}/study.toml"], "is the file of a study; its command is: lab study run {folder}/study.toml"),
    ],
)  # fmt: skip
def test_a_search_given_as_a_study_or_the_reverse_is_answered_with_its_own_command(
    arguments: list[str], message: str, tmp_path: Path, lab: Lab
) -> None:
    write_small_search(tmp_path)
    write_small_study(tmp_path, name="study")
    home = tmp_path / "home"
    stored = home / "studies" / "found" / "cpu" / "search.json"
    stored.parent.mkdir(parents=True)
    stored.write_text("{}")
    place = {"folder": tmp_path, "home": home}
    option = [] if arguments[1] == "show" else ["--home", home]
    done = lab(*(argument.format(**place) for argument in arguments), *option)
    assert done.returncode == 2
    assert message.format(**place) in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("command", "name"), [("run", "induction-quick"), ("search", "best-n")])
def test_a_limit_of_a_run_is_above_zero_and_its_help_says_so(
    command: str, name: str, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    help_lines = lab("study", command, "--help").stdout.splitlines()
    (line,) = (line for line in help_lines if "above 0; a run that takes longer is terminated" in line)
    assert "x>=0" not in line
    refused = lab("study", command, name, "--run-limit", "0", "--home", tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "lab: --executor local: run_limit = 0.0: should be greater than 0\n"
