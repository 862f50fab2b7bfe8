"""lab study search: the same proposals whatever the workers, refusals at no cost, a front on fresh seeds, nothing twice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.run.spec import parse_spec
from lab.run.store import RunFolder
from studies.declared.catalog import SEARCHES
from studies.declared.search import Search, load_search
from studies.declared.study import TUNING_SEED
from studies.ledger.search_records import ProposalRecord, SearchRecord, SearchRunRecord
from studies.running.executors.executor import Outcome
from studies.running.executors.here import InProcess
from studies.running.front import front, front_lines
from studies.running.search import SearchCoordinator
from tests.conftest import Lab

SMALL = """
title = "Small"
question = "Which?"
cost = "parameters"
trials = 6
batch = 3
confirm_seeds = 2

[base.task]
kind = "induction"
characters = 3
name_parts = 4
length_tokens = 24
validation_samples = 8
test_samples = 8

[base.model]
attention_heads = 1
layers = 3

[base.objective]
kind = "multi_token"
match = "none"

[base.training]
steps = 2
batch_size = 2
evaluate_every_steps = 2

[space]
"objective.n" = [2, 1]
"model.width" = [8, 16]
"objective.head" = ["none", "linear"]
"objective.unembedding" = ["shared", "replicated"]
"training.learning_rate" = { low = 0.001, high = 0.1 }

[scales.cpu]
summary = "a few seconds"
"""


@pytest.fixture
def declared(tmp_path: Path) -> Callable[..., Path]:
    def write(*replacements: tuple[str, str]) -> Path:
        text = SMALL
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "small.toml"
        path.write_text(text)
        return path

    return write


class Backwards(InProcess[Any]):
    """Runs whose outcomes are as declared, last submitted first, several at once; nothing is trained."""

    def outcomes(self) -> Any:
        while self.waiting:
            key, request = self.waiting.pop()
            tree = parse_spec(request.tree, "a stub run").canonical()
            quality = tree["model"]["width"] / 100 + tree["training"]["learning_rate"]
            scores = {"validation": {"accuracy": quality}, "test": {"accuracy": quality / 2}}
            yield (
                key,
                Outcome(
                    {"status": "complete", "scores": {"best": scores}, "parameters": {"all": tree["model"]["width"]}}
                ),
            )


class Forwards(Backwards):
    """The same, first submitted first."""

    def outcomes(self) -> Any:
        self.waiting.reverse()
        yield from super().outcomes()


def searched(search: Search, home: Path, executor: Any) -> SearchRecord:
    return SearchCoordinator(search, home, lambda line: None).run(executor)


def test_proposals_do_not_depend_on_which_run_ended_first(declared: Callable[..., Path], tmp_path: Path) -> None:
    search = load_search(str(declared()), "cpu", [])
    trees = [searched(search, tmp_path / kind.__name__, kind(tmp_path)) for kind in (Backwards, Forwards)]
    assert trees[0] == trees[1]
    assert len(trees[0].trials) == 6
    assert json.loads((tmp_path / "Backwards/studies/small/cpu/search.json").read_text()) == trees[0].tree()


@pytest.mark.parametrize("sampler", [pytest.param("gp", marks=pytest.mark.slow), "random"])
def test_a_sampler_that_insists_on_what_is_refused_does_not_end_the_search(
    declared: Callable[..., Path], tmp_path: Path, sampler: str
) -> None:
    changed = declared(("trials = 6", f'trials = 14\nsampler = "{sampler}"'))
    tree = searched(load_search(str(changed), "cpu", []), tmp_path, Backwards(tmp_path))
    assert len(tree.trials) == 14


def test_refused_settings_cost_no_budget(declared: Callable[..., Path], tmp_path: Path) -> None:
    search = load_search(str(declared()), "cpu", [])
    assert search.refusal(search.first) is not None  # n=2, no layer, one unembedding
    tree = searched(search, tmp_path, Backwards(tmp_path))
    assert tree.refused >= 1
    assert tree.failed == 0
    assert all(search.refusal(one.settings) is None for one in tree.trials)


def test_the_search_sees_validation_and_its_front_is_scored_on_test_and_fresh_seeds(
    declared: Callable[..., Path], tmp_path: Path
) -> None:
    tree = searched(load_search(str(declared()), "cpu", []), tmp_path, Backwards(tmp_path))
    for one in tree.trials:
        quality = one.settings["model.width"] / 100 + one.settings["training.learning_rate"]
        assert [run.seed for run in one.runs] == [TUNING_SEED]
        assert (one.quality, one.cost) == (pytest.approx(quality), one.settings["model.width"])
        assert [run.seed for run in one.confirmed] == ([0, 1] if one.front else [])
        assert [run.quality for run in one.confirmed] == pytest.approx([quality / 2] * len(one.confirmed))
    best = {  # of each width the best is not dominated, for a wider one is better here and costs more
        max((one.quality, one.number) for one in tree.trials if one.cost == cost)[1]
        for cost in {one.cost for one in tree.trials}
    }
    assert set(tree.front) == best
    assert tree.dominated == 6 - len(best)
    assert any("decides no claim" in line for line in front_lines(tree))


def test_the_front_by_hand() -> None:
    def proposal(number: int, quality: float | None, cost: float) -> ProposalRecord:
        failure = "diverged" if quality is None else None
        run = SearchRunRecord(seed=0, identity="", quality=quality, cost=cost, failure=failure)
        made = ProposalRecord(number=number, settings={"n": number}, runs=[run])
        made.summarise()
        return made

    given = [(0.5, 10), (0.5, 12), (0.7, 20), (0.6, 25), (0.4, 5), (None, 1), (0.7, 20)]
    proposals = [proposal(number, *pair) for number, pair in enumerate(given)]
    assert [one.number for one in front(proposals)] == [0, 2, 4, 6]
    proposals[6].settings = proposals[2].settings
    assert [one.number for one in front(proposals)] == [0, 2, 4]


def test_the_same_search_again_trains_nothing_and_a_larger_one_goes_on(
    declared: Callable[..., Path], tmp_path: Path
) -> None:
    first = load_search(str(declared(("trials = 6", "trials = 3"))), "cpu", [])
    searching = SearchCoordinator(first, tmp_path, lambda line: None)
    tree = searching.run(InProcess(tmp_path))
    assert searching.trained == 3 + 2 * len(tree.front)
    for one in tree.trials:
        for run in [*one.runs, *one.confirmed]:
            result = RunFolder(tmp_path, run.identity).result()
            assert result is not None
            split = "validation" if run.seed == TUNING_SEED else "test"
            assert run.quality == result["scores"]["best"][split]["accuracy"]
            assert run.cost == sum(result["parameters"].values())
    again = SearchCoordinator(first, tmp_path, lambda line: None)
    assert again.run(InProcess(tmp_path)) == tree
    assert again.trained == 0
    larger = load_search(str(declared()), "cpu", [])
    more = searched(larger, tmp_path, Backwards(tmp_path))
    assert [one.settings for one in more.trials[:3]] == [one.settings for one in tree.trials]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("batch = 3", "batches = 3", "batches = 3: no such key; the nearest is batch"),
        (
            '"model.width" = [8, 16]',
            '"model.wide" = [8, 16]',
            "space: nothing in it can run; the last combination tried: n=1 wide=16",
        ),
        (
            '"model.width" = [8, 16]',
            '"model.width" = [8, 8]',
            "space.model.width = [8, 8]: lists a choice twice",
        ),
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
def test_what_is_wrong_with_a_file_is_said_before_anything_runs(
    declared: Callable[..., Path], lab: Lab, tmp_path: Path, old: str, new: str, said: str
) -> None:
    done = lab("study", "search", declared((old, new)), "--home", tmp_path / "home")
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "home").exists()


def test_what_is_not_there_is_said_with_what_is(declared: Callable[..., Path], lab: Lab) -> None:
    for arguments, said in [
        (["best"], "the nearest is best-n"),
        (["best-n", "--scale", "cup"], "the nearest is cpu"),
        ([declared(), "--set", "model.width=4"], "--set: model.width is searched in small"),
    ]:
        done = lab("study", "search", *arguments)
        assert done.returncode == 2
        assert said in done.stderr


@pytest.mark.parametrize("scale", ["smoke", "cpu", "gpu"])
def test_every_shipped_search_can_run_at_every_scale(scale: str) -> None:
    for name in SEARCHES.names:
        load_search(name, scale, [])
