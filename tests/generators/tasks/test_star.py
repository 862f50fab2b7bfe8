"""Path-star graphs: one path, a first step that only the goal decides, and shortcuts at their known rates."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from generators.foundation.errors import UserError
from generators.foundation.randomness import epochs
from generators.foundation.settings import validate
from generators.material.edge_lists import only_path
from generators.table import TASKS
from generators.task import Batch, whole_answers
from generators.tasks.star import Star, StarConfig
from tests.generators.batches import assert_samples_independent_of_batch, assert_splits_disjoint

SAMPLES = 20_000


@pytest.fixture(scope="module", params=[(2, 5, False), (3, 3, False), (5, 5, False), (3, 4, True)])
def task(request: pytest.FixtureRequest) -> Star:
    degree, length, backwards = request.param
    return Star(StarConfig(degree=degree, length=length, reversed=backwards))


@pytest.fixture(scope="module")
def graphs(task: Star) -> Batch:
    return task.batch("train", np.arange(SAMPLES))


def parse_sample(task: Star, tokens: list[int]) -> tuple[list[tuple[str, str]], str, str, list[str]]:
    """Returns edges, start, goal and path of a sample, parsed from its text."""
    graph, _, rest = task.text(np.array(tokens)).partition(" / ")
    question, _, answer = rest.partition(" = ")
    edges = [(edge.split()[0], edge.split()[1]) for edge in graph.split(" | ")]
    start, goal = question.split()
    return edges, start, goal, answer.split()


def all_paths(edges: list[tuple[str, str]], start: str, goal: str) -> list[list[str]]:
    """Returns all paths from start to goal in a graph without cycles."""
    if start == goal:
        return [[goal]]
    return [[start, *rest] for tail, head in edges if tail == start for rest in all_paths(edges, head, goal)]


# ---- samples


def test_a_sample_prints_graph_question_and_path() -> None:
    task = Star(StarConfig(degree=2, length=4, nodes=12))
    text = "3 10 | 9 2 | 0 7 | 11 3 | 9 11 | 2 0 / 9 10 = 9 11 3 10"
    tokens = np.array([[task.vocabulary.index(word) for word in text.split()]])
    assert tokens.shape == (1, task.length)
    assert task.text(tokens[0]) == text
    scored = np.arange(task.length)[None] > text.split().index("=") + 1
    batch = Batch(tokens=tokens, loss=scored, scored=scored)
    rules = {name: task.text(rule(batch)[scored]) for name, rule in task.shortcuts.items()}
    assert task.text(task.oracle(batch)[scored]) == "11 3 10"
    assert rules == {"guess_a_branch": "2 0 7", "follow_an_edge": "2 3 10", "goal": "10 10 10"}


def test_a_graph_has_the_arms_nodes_and_edges_of_the_paper(task: Star, graphs: Batch) -> None:
    degree, length = task.config.degree, task.config.length
    for tokens in graphs.tokens[:500].tolist():
        edges, start, goal, path = parse_sample(task, tokens)
        assert len(edges) == degree * (length - 1)
        assert len({node for edge in edges for node in edge}) == degree * (length - 1) + 1
        assert sum(tail == start for tail, _ in edges) == degree
        assert goal not in {tail for tail, _ in edges}
        assert len(path) == length


def test_the_answer_is_the_only_path_from_start_to_goal(task: Star, graphs: Batch) -> None:
    for tokens in graphs.tokens.tolist():
        edges, start, goal, path = parse_sample(task, tokens)
        assert all_paths(edges, start, goal) == [path[::-1] if task.config.reversed else path]


def test_the_oracle_confirms_samples_and_rejects_changed_paths(task: Star, graphs: Batch) -> None:
    assert task.confirmed(graphs).all()
    assert graphs.scored.sum() == SAMPLES * (task.config.length - 1)
    some_graphs = graphs.take(np.arange(1000))
    for step in range(task.length - task.config.length + 1, task.length):
        tokens = some_graphs.tokens.copy()
        tokens[:, step] = tokens[:, 0]
        changed = tokens[:, step] != some_graphs.tokens[:, step]
        assert changed.mean() > 0.5
        assert (task.confirmed(replace(some_graphs, tokens=tokens)) == ~changed).all()


def test_only_path_is_empty_without_a_path_or_with_several() -> None:
    def path(edges: str, goal: str) -> list[str]:
        return only_path([edge.split() for edge in edges.split(" | ")], "1", goal)

    assert path("1 2 | 2 3 | 1 4", "3") == ["1", "2", "3"]
    assert path("1 2 | 3 4", "4") == []
    assert path("1 2 | 2 4 | 1 3 | 3 4", "4") == []
    assert path("1 2 | 2 1 | 2 3", "3") == []


@pytest.mark.parametrize(("loss_on", "first"), [("answer", "after ="), ("all", "second")])
def test_loss_is_on_the_path_or_on_all_targets_and_the_first_node_is_not_scored(loss_on: str, first: str) -> None:
    config = validate(StarConfig, {"kind": "star", "degree": 2, "length": 4, "loss_on": loss_on}, "a spec")
    task = Star(config)
    batch = task.batch("test", np.arange(10))
    words = [task.vocabulary[token] for token in batch.tokens[0]]
    begins = words.index("=") + 1 if first == "after =" else 1
    assert (batch.loss == (np.arange(task.length) >= begins)).all()
    assert (batch.scored == (np.arange(task.length) >= words.index("=") + 2)).all()
    assert batch.labels["step"][0].tolist() == [0] * (task.length - 3) + [1, 2, 3]


# ---- what reveals the first step


def test_every_edge_of_the_start_begins_the_path_equally_often(task: Star, graphs: Batch) -> None:
    counts = np.zeros(task.config.degree)
    for tokens in graphs.tokens.tolist():
        edges, start, _, path = parse_sample(task, tokens)
        steps = [head for tail, head in edges if tail == start]
        counts[steps.index(path[-2] if task.config.reversed else path[1])] += 1
    assert counts.sum() == SAMPLES
    assert chisquare(counts).pvalue > 1e-4


def test_names_are_drawn_uniformly(task: Star, graphs: Batch) -> None:
    start = task.text(graphs.tokens[0]).split().index("/") + 1
    for position in (0, start, start + 1):
        counts = np.bincount(graphs.tokens[:, position] - 3, minlength=task.config.nodes)
        assert len(counts) == task.config.nodes
        assert chisquare(counts).pvalue > 1e-4


def test_guessing_a_branch_solves_one_sample_in_degree(task: Star, graphs: Batch) -> None:
    steps = task.config.length - 1
    right = task.shortcut_scores(graphs)["guess_a_branch"].reshape(SAMPLES, steps).all(axis=1)
    ceiling = 1 / task.config.degree
    followed = {"edges_followed": 1.0} if task.config.reversed else {}
    by_token = followed or {"branch_guessed": pytest.approx((steps - 1 + ceiling) / steps)}
    assert task.ceilings == {"accuracy": by_token, "exact": {"branch_guessed": ceiling, **followed}}
    assert abs(right.mean() - ceiling) < 4 * np.sqrt(ceiling * (1 - ceiling) / SAMPLES)


def test_following_the_true_edges_leaves_only_the_first_step_to_a_guess(task: Star, graphs: Batch) -> None:
    right = task.shortcut_scores(graphs)["follow_an_edge"].reshape(SAMPLES, -1)
    ceiling = 1 / task.config.degree
    error = np.sqrt(ceiling * (1 - ceiling) / SAMPLES)
    assert right[:, 1:].all()
    if task.config.reversed:
        assert right[:, 0].all()
    else:
        assert abs(right[:, 0].mean() - ceiling) < 4 * error


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("degree", "length"), [(2, 3), (3, 3), pytest.param(5, 5, marks=pytest.mark.slow)])
def test_whole_answers_of_shortcuts_are_as_frequent_as_theory_says(degree: int, length: int, backwards: bool) -> None:
    task = Star(StarConfig(degree=degree, length=length, reversed=backwards))
    batch = task.batch("test", np.arange(10_000))
    right = {name: whole_answers(batch, tokens).mean() for name, tokens in task.shortcut_scores(batch).items()}
    share = 1 / degree
    error = np.sqrt(share * (1 - share) / len(batch))
    assert right.pop("guess_a_branch") == pytest.approx(share, abs=4 * error)
    assert right.pop("follow_an_edge") == pytest.approx(1.0 if backwards else share, abs=4 * error)
    assert right == {"goal": 0}


def test_a_guessed_branch_is_one_arm_from_the_start_to_its_end(task: Star, graphs: Batch) -> None:
    some_graphs = graphs.take(np.arange(500))
    guesses = task.guess_a_branch(some_graphs)[some_graphs.scored].reshape(500, -1)
    for tokens, guess in zip(some_graphs.tokens.tolist(), guesses, strict=True):
        edges, start, _, _ = parse_sample(task, tokens)
        nodes = [task.vocabulary[token] for token in guess]
        arm = nodes[::-1] if task.config.reversed else [start, *nodes]
        assert arm[0] == start
        assert all(edge in edges for edge in pairwise(arm))


def test_the_goal_is_right_only_at_the_last_step(task: Star, graphs: Batch) -> None:
    right = task.shortcut_scores(graphs)["goal"].reshape(SAMPLES, -1)
    assert right.mean(axis=0).tolist() == [0.0] * (task.config.length - 2) + [0.0 if task.config.reversed else 1.0]


# ---- the same bytes everywhere, and no sample twice


@settings(max_examples=30, deadline=None)
@given(
    degree=st.integers(2, 6),
    length=st.integers(3, 7),
    spare=st.integers(0, 30),
    backwards=st.booleans(),
    fixed=st.none() | st.integers(1, 50),
    split=st.sampled_from(["train", "validation", "test"]),
    seed=st.integers(0, 5),
    cut=st.integers(1, 19),
)
def test_a_sample_does_not_depend_on_its_batch(
    degree: int, length: int, spare: int, backwards: bool, fixed: int | None, split: str, seed: int, cut: int
) -> None:
    nodes = degree * (length - 1) + 1 + spare
    config = StarConfig(degree=degree, length=length, nodes=nodes, reversed=backwards, training_samples=fixed)
    task = Star(config)
    whole = assert_samples_independent_of_batch(task, split, seed, cut)
    assert task.confirmed(whole).all()


def test_train_validation_and_test_share_no_sample() -> None:
    task = Star(StarConfig(degree=2, length=3, nodes=5))
    samples = assert_splits_disjoint(task, 1500)
    assert len(samples["train"]) < 1500, "so few graphs exist that a chance overlap would be seen"


def test_every_epoch_reads_the_whole_training_set_in_a_different_order() -> None:
    task = Star(StarConfig(training_samples=40))
    first, second = (task.batch("train", np.arange(40) + 40 * epoch).tokens.tolist() for epoch in (0, 1))
    assert len({tuple(row) for row in first}) == 40
    assert sorted(first) == sorted(second)
    assert first != second
    assert task.splits["train"] == 40
    endless = Star(StarConfig()).batch("train", np.arange(80)).tokens.tolist()
    assert len({tuple(row) for row in endless}) == 80


def test_epochs_are_different_permutations() -> None:
    orders = epochs("a name", np.arange(60), 20).reshape(3, 20)
    assert (np.sort(orders, axis=1) == np.arange(20)).all()
    assert all((first != second).any() for first, second in pairwise(orders))
    assert (epochs("a name", [41, 3], 20) == [orders[2, 1], orders[0, 3]]).all()
    assert (epochs("another", np.arange(20), 20) != orders[0]).any()


# ---- settings


def test_too_few_node_names_are_refused_with_the_minimum() -> None:
    Star(StarConfig(degree=3, length=5, nodes=13))
    with pytest.raises(UserError, match=r"task.nodes = 12: .* 3 arms .* 5 nodes has 13 nodes.* give at least 13"):
        Star(StarConfig(degree=3, length=5, nodes=12))


@pytest.mark.parametrize(("key", "value"), [("degree", 1), ("length", 2), ("nodes", 4), ("training_samples", 0)])
def test_settings_out_of_bounds_are_refused_with_their_key(key: str, value: int) -> None:
    with pytest.raises(UserError, match=f"a spec: task.{key} = {value}: should be greater than or equal to"):
        TASKS.config({"kind": "star", key: value}, "a spec")


@pytest.mark.parametrize(("key", "value"), [("degree", 3), ("length", 4), ("nodes", 49)])
def test_each_setting_of_the_graph_changes_the_graphs(key: str, value: int) -> None:
    default, changed = Star(StarConfig()), Star(TASKS.config({"kind": "star", key: value}, "a spec"))
    assert default.name != changed.name
    assert default.vocabulary != changed.vocabulary or default.length != changed.length


def test_forward_and_reversed_print_the_paths_of_the_same_graphs() -> None:
    forward, backward = (Star(StarConfig(degree=3, reversed=backwards)) for backwards in (False, True))
    answer = forward.length - forward.config.length
    for split in forward.splits:
        ahead, back = (task.batch(split, np.arange(200)).tokens for task in (forward, backward))
        assert (ahead[:, :answer] == back[:, :answer]).all()
        assert (ahead[:, answer:] == back[:, : answer - 1 : -1]).all()
        assert (back[:, answer] == back[:, answer - 2]).all()
