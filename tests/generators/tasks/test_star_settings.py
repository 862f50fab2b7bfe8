"""Path-star graphs made easier: each setting does what it says, and shortcuts reach the scores that theory gives."""

from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from generators.check import check_task
from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.table import TASKS
from generators.task import Batch, whole_answers
from generators.tasks.star import Star, StarConfig
from tests.generators.batches import assert_samples_independent_of_batch, assert_splits_disjoint

SAMPLES = 3000
GRAPHS: dict[str, dict[str, Any]] = {
    "arms": {"shuffle": "arms", "degree": 3, "length": 4},
    "question first": {"question": "first"},
    "any goal": {"goal": "any", "degree": 3},
    "any goal, question first": {"goal": "any", "length": 4, "question": "first"},
    "mixed lengths": {"length_minimum": 3, "length": 5},
    "two forks": {"forks": 2, "length": 5},
    "complete tree": {"forks": 3, "length": 4},
    "arms of a tree": {"shuffle": "arms", "forks": 2, "degree": 3, "length": 4, "question": "first"},
    "everything": {"goal": "any", "length_minimum": 3, "length": 5, "forks": 2},
    "reversed": {"reversed": True, "goal": "any", "length_minimum": 3, "length": 4, "forks": 2},
}


def graph_task(**changes: Any) -> Star:
    return Star(StarConfig(**{"validation_samples": 200, "test_samples": 200, **changes}))


@pytest.fixture(scope="module", params=GRAPHS)
def task(request: pytest.FixtureRequest) -> Star:
    return graph_task(**GRAPHS[request.param])


@pytest.fixture(scope="module")
def graphs(task: Star) -> Batch:
    return task.batch("train", np.arange(SAMPLES))


def parse_sample(task: Star, tokens: Integers) -> tuple[list[list[str]], list[str], list[str]]:
    """Returns edges, question and answer of a sample, parsed from its text."""
    prompt, _, answer = task.text(tokens).partition(" = ")
    parts = prompt.split(" / ")
    edges, question = parts[::-1] if task.config.question == "first" else parts
    return [edge.split() for edge in edges.split(" | ")], question.split(), answer.split()


def goal_depths(config: StarConfig, lengths: list[int]) -> list[tuple[float, int]]:
    """Returns the possible depths of the goal, each with its probability."""
    return [
        (1 / len(lengths) / len(depths), depth)
        for length in lengths
        for depths in ([length - 1] if config.goal == "end" else range(1, length),)
        for depth in depths
    ]


def expected_scores(config: StarConfig, lengths: list[int]) -> dict[str, tuple[float, float]]:
    """Returns the share of tokens and of whole paths that each shortcut gets right, by adding up all depths."""
    backwards, arms = config.reversed, config.shuffle == "arms"
    totals = {name: np.zeros(2) for name in ("guess_a_branch", "follow_an_edge", "goal", "edge_before_goal")}
    nodes = 0.0
    for share, depth in goal_depths(config, lengths):
        chance = [float(config.degree) ** -min(config.forks, node) for node in range(depth + 1)]
        steps = [1 / config.degree if node < config.forks else 1.0 for node in range(depth)]
        scored = chance[:depth] if backwards else chance[1:]
        follow = [1.0] * depth if backwards else steps
        seen = [1.0] * depth if arms else [*steps[:-1], 1.0]
        totals["guess_a_branch"] += share * np.array([sum(scored), min(scored)])
        totals["follow_an_edge"] += share * np.array([sum(follow), np.prod(follow)])
        totals["goal"] += share * np.array([not backwards, depth == 1 and not backwards])
        totals["edge_before_goal"] += share * np.array([sum(seen), np.prod(seen)])
        nodes += share * depth
    return {name: (float(right / nodes), float(whole)) for name, (right, whole) in totals.items()}


# ---- scores


def test_shortcuts_reach_the_scores_of_theory(task: Star, graphs: Batch) -> None:
    expected = expected_scores(task.config, list(task.graphs))
    for name, right in task.shortcut_scores(graphs).items():
        tokens, whole = expected[name]
        assert right.mean() == pytest.approx(tokens, abs=0.04), name
        error = np.sqrt(whole * (1 - whole) / SAMPLES)
        assert whole_answers(graphs, right).mean() == pytest.approx(whole, abs=4.5 * error + 1e-9), name


def test_ceilings_are_the_scores_of_the_shortcuts_that_reach_them(task: Star) -> None:
    config = task.config
    groups = {"": list(task.graphs)}
    if config.length_minimum is not None:
        groups |= {f"/length={length}": [length] for length in task.graphs}
    for group, lengths in groups.items():
        expected = expected_scores(config, lengths)
        guessed = expected["guess_a_branch"][1]
        assert task.ceilings["exact"]["branch_guessed" + group] == pytest.approx(guessed)
        if config.reversed:
            continue
        assert task.ceilings["accuracy"]["branch_guessed" + group] == pytest.approx(expected["follow_an_edge"][0])
        seen = "arm_read" if config.shuffle == "arms" else "goal_edge_seen"
        assert (seen + group in task.ceilings["exact"]) == ("edge_before_goal" in task.shortcuts)
        if "edge_before_goal" in task.shortcuts:
            accuracy, exact = expected["edge_before_goal"]
            assert task.ceilings["accuracy"][seen + group] == pytest.approx(accuracy)
            assert task.ceilings["exact"][seen + group] == pytest.approx(exact)


def test_numbers_worked_out_by_hand() -> None:
    """The goal is next to the start in half of the graphs of G(2,3); in a tree of 3 x 3, the second fork shows it."""
    assert graph_task(goal="any", length=3).ceilings == {
        "accuracy": {"branch_guessed": pytest.approx(2 / 3), "goal_edge_seen": pytest.approx(2.5 / 3)},
        "exact": {"branch_guessed": 0.5, "goal_edge_seen": 0.75},
    }
    assert graph_task(degree=3, length=3, forks=2).ceilings == {
        "accuracy": {"branch_guessed": pytest.approx(1 / 3), "goal_edge_seen": pytest.approx(2 / 3)},
        "exact": {"branch_guessed": pytest.approx(1 / 9), "goal_edge_seen": pytest.approx(1 / 3)},
    }


@pytest.mark.parametrize("name", ["arms", "any goal", "complete tree", "everything", "reversed"])
def test_the_check_passes(name: str) -> None:
    result = check_task(graph_task(**GRAPHS[name]), 300)
    assert result.problems == []
    assert result.shared_between_splits == 0


# ---- samples


def test_the_answer_is_the_way_from_start_to_goal_and_the_oracle_agrees(task: Star, graphs: Batch) -> None:
    assert task.confirmed(graphs.take(np.arange(1000))).all()
    for tokens in graphs.tokens[:300]:
        edges, (start, goal), answer = parse_sample(task, tokens)
        path = answer[::-1] if task.config.reversed else answer
        assert (path[0], path[-1]) == (start, goal)
        assert all([tail, head] in edges for tail, head in pairwise(path))


def test_every_node_has_the_children_of_its_depth_and_leaves_are_equally_deep(task: Star, graphs: Batch) -> None:
    for tokens in graphs.tokens[:300]:
        edges, (start, _), _ = parse_sample(task, tokens)
        level, depths = [start], 0
        while children := [head for node in level for tail, head in edges if tail == node]:
            assert len(children) == len(level) * (task.config.degree if depths < task.config.forks else 1)
            level, depths = children, depths + 1
        assert depths + 1 in task.graphs
        assert len({node for edge in edges for node in edge}) == len(edges) + 1


def test_masks_and_labels_end_with_the_path(task: Star, graphs: Batch) -> None:
    everything = graph_task(**{**task.config.model_dump(), "loss_on": "all"})
    whole = everything.batch("train", np.arange(100))
    for row in range(100):
        words = task.text(graphs.tokens[row]).split()
        begin = words.index("=") + 1
        steps = len(words) - begin - 1
        label = [0] * (begin + 1) + list(range(1, steps + 1)) + [0] * (task.length - len(words))
        assert graphs.labels["step"][row].tolist() == label
        assert (graphs.scored[row] == (np.array(label) > 0)).all()
        assert np.flatnonzero(graphs.loss[row]).tolist() == list(range(begin, len(words)))
        assert np.flatnonzero(whole.loss[row]).tolist() == list(range(1, len(words)))


def test_arms_are_printed_whole_in_random_order() -> None:
    task = graph_task(shuffle="arms", degree=3, length=4)
    counts = np.zeros(3)
    for tokens in task.batch("train", np.arange(1500)).tokens:
        edges, (start, goal), _ = parse_sample(task, tokens)
        for number, (tail, head) in enumerate(edges):
            assert tail == (edges[number - 1][1] if number % 3 else start)
            counts[number // 3] += head == goal
    assert chisquare(counts).pvalue > 1e-4


def test_a_tree_is_printed_in_preorder_with_children_in_random_order() -> None:
    task = graph_task(shuffle="arms", forks=2, degree=2, length=4)
    counts = np.zeros(4)
    for tokens in task.batch("train", np.arange(1500)).tokens:
        edges, (start, goal), _ = parse_sample(task, tokens)
        ancestors = [start]
        for tail, head in edges:
            ancestors = [*ancestors[: ancestors.index(tail) + 1], head]
        tails = {tail for tail, _ in edges}
        counts[[head for _, head in edges if head not in tails].index(goal)] += 1
    assert chisquare(counts).pvalue > 1e-4


def test_a_goal_is_at_every_depth_equally_often_and_mixed_lengths_are_equally_frequent() -> None:
    depth = graph_task(goal="any").batch("train", np.arange(SAMPLES)).scored.sum(axis=1)
    assert chisquare(np.bincount(depth, minlength=5)[1:]).pvalue > 1e-4
    mixed = graph_task(length_minimum=3, length=5)
    steps = mixed.batch("train", np.arange(SAMPLES)).scored.sum(axis=1)
    assert chisquare(np.bincount(steps, minlength=5)[2:]).pvalue > 1e-4
    assert list(mixed.splits) == ["train", "validation", "test/length=3", "test/length=4", "test/length=5"]
    for length in (3, 4, 5):
        assert (mixed.batch(f"test/length={length}", np.arange(50)).scored.sum(axis=1) == length - 1).all()


# ---- the same bytes everywhere, and no sample twice


def test_the_defaults_give_the_samples_and_names_of_earlier_versions() -> None:
    """The digests are those of the version before these settings existed."""
    task = Star(StarConfig())
    later = {"shuffle", "question", "goal", "length_minimum", "forks"}
    assert task.config.canonical().keys() == StarConfig.model_fields.keys() - later
    assert task.name == "star:6faf0ea4f7e2c207b562359cbcf4d866ff63de167d53e165e0e6e389711c6768"
    digests = [sha256(task.batch(split, np.arange(100)).tokens.tobytes()).hexdigest()[:16] for split in task.splits]
    assert digests == ["4f5f71f854000514", "bbab5aed272165af", "e35459c9fe6de875"]


@pytest.mark.parametrize("change", [{"shuffle": "arms"}, {"question": "first"}, {"goal": "any"}, {"forks": 2}])
def test_each_setting_changes_the_samples_and_the_name(change: dict[str, Any]) -> None:
    default, changed = graph_task(), graph_task(**change)
    assert changed.config.canonical().items() - default.config.canonical().items() == change.items()
    assert default.name != changed.name
    tokens = [task.batch("test", np.arange(5)).tokens.tolist() for task in (default, changed)]
    assert tokens[0] != tokens[1]


@settings(max_examples=20, deadline=None)
@given(
    shuffle=st.sampled_from(["edges", "arms"]),
    question=st.sampled_from(["last", "first"]),
    goal=st.sampled_from(["end", "any"]),
    shortest=st.none() | st.integers(3, 5),
    forks=st.integers(1, 3),
    backwards=st.booleans(),
    cut=st.integers(1, 19),
)
def test_a_sample_does_not_depend_on_its_batch(
    shuffle: Any, question: Any, goal: Any, shortest: int | None, forks: int, backwards: bool, cut: int
) -> None:
    task = graph_task(
        shuffle=shuffle, question=question, goal=goal, length_minimum=shortest, forks=forks, reversed=backwards
    )
    whole = assert_samples_independent_of_batch(task, "train", 3, cut)
    assert task.confirmed(whole).all()


def test_splits_share_no_sample_even_if_few_exist() -> None:
    task = graph_task(goal="any", length_minimum=3, length=3, nodes=5, shuffle="arms")
    samples = assert_splits_disjoint(task, 1000)
    assert len(samples["train"]) < 1000, "so few graphs exist that a chance overlap would be seen"


# ---- settings that contradict each other


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"length_minimum": 6}, r"task.length_minimum = 6: is above task.length = 5; give at most 5"),
        ({"forks": 5}, r"task.forks = 5: the end of an arm is at depth .* = 4 and has no children; give at most 4"),
        ({"forks": 4, "nodes": 30}, r"task.nodes = 30: .* 4 forks of degree 2 .* has 31 nodes.* give at least 31"),
        ({"forks": 4, "degree": 9}, r"task.nodes = 50: .* has 7381 nodes.* give fewer forks or shorter arms"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Star(TASKS.config({"kind": "star", **change}, "a spec"))
