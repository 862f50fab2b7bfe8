"""Plans: the answer is the smallest topological order of the query's ancestors, and guessers reach their ceilings."""

from dataclasses import replace
from itertools import pairwise, permutations
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
from generators.tasks.plan import Plan, PlanConfig
from tests.generators.batches import assert_samples_independent_of_batch, assert_splits_disjoint

SAMPLES = 2000
SMALL = {"depth": 2, "others": 1, "edges": 6, "names": 12}
GRAPHS: dict[str, dict[str, int]] = {
    "defaults": {},
    "small": SMALL,
    "chains": {"width": 1, "edges": 5},
    "three": {"graphs": 3, "depth": 2, "width": 3, "edges": 14, "names": 30},
    "no others": {"depth": 4, "others": 0, "edges": 13},
}


def plan_task(**changes: int) -> Plan:
    return Plan(PlanConfig(**{"validation_samples": 200, "test_samples": 200, **changes}))


@pytest.fixture(scope="module", params=GRAPHS)
def task(request: pytest.FixtureRequest) -> Plan:
    return plan_task(**GRAPHS[request.param])


@pytest.fixture(scope="module")
def samples(task: Plan) -> Batch:
    return task.batch("train", np.arange(SAMPLES))


def parse_sample(task: Plan, tokens: Integers) -> tuple[list[tuple[int, int]], int, list[int]]:
    """Returns edges, query and answer of a sample, parsed from its text."""
    prompt, _, answer = task.text(tokens).partition(" = ")
    graph, _, query = prompt.partition(" / ")
    edges = [(int(edge.split()[0]), int(edge.split()[1])) for edge in graph.split(" | ")]
    return edges, int(query), [int(node) for node in answer.split()]


def ancestors_by_level(edges: list[tuple[int, int]], query: int) -> list[set[int]]:
    """Returns the nodes at each distance before the query, the query first."""
    levels = [{query}]
    while above := {tail for tail, head in edges if head in levels[-1]}:
        levels.append(above)
    return levels


# ---- samples


def test_the_example_of_the_module() -> None:
    task = plan_task(**SMALL)
    text = "6 9 | 8 10 | 4 3 | 5 1 | 7 3 | 9 10 | 2 4 | 6 0 | 11 8 | 11 9 | 5 7 | 2 7 / 3 = 2 4 5 7 3"
    tokens = np.array([[task.vocabulary.index(word) for word in text.split()]])
    assert tokens.shape == (1, task.length)
    scored = np.arange(task.length)[None] > text.split().index("=")
    batch = Batch(tokens=tokens, loss=scored, scored=scored)
    assert task.confirmed(batch).all()
    rules = {name: [task.vocabulary[token] for token in rule(batch)[scored]] for name, rule in task.shortcuts.items()}
    assert rules["guess_a_graph"] == ["2", "4", "5", "7", "3"]
    assert rules["any_root"] == ["2", "4", "5", "1", "1"]
    assert rules["parents"][-3:] == ["4", "7", "3"]


def test_the_answer_is_the_smallest_of_all_topological_orders() -> None:
    task = plan_task(**SMALL)
    for tokens in task.batch("train", np.arange(60)).tokens:
        edges, query, answer = parse_sample(task, tokens)
        nodes = sorted(set().union(*ancestors_by_level(edges, query)))
        inner = [(tail, head) for tail, head in edges if head in nodes]
        orders = (
            order for order in permutations(nodes) if all(order.index(tail) < order.index(head) for tail, head in inner)
        )
        assert answer == list(next(orders)), "permutations come in lexicographic order"


def test_graphs_have_the_levels_nodes_and_edges_of_the_settings(task: Plan, samples: Batch) -> None:
    config = task.config
    for tokens in samples.tokens[:300]:
        edges, query, answer = parse_sample(task, tokens)
        assert len(set(edges)) == len(edges) == config.graphs * config.edges
        assert len({node for edge in edges for node in edge}) == config.graphs * task.nodes
        levels = ancestors_by_level(edges, query)
        assert [len(level) for level in levels] == [1] + [config.width] * config.depth
        assert set(answer) == set().union(*levels)
        assert answer[-1] == query
        heads = {head for _, head in edges}
        roots = {tail for tail, _ in edges} - heads
        assert len(roots) == config.graphs * config.width
        assert levels[-1] <= roots
        assert answer[0] == min(levels[-1])
        for lower, upper in pairwise(levels):
            assert all(any((tail, head) in edges for tail in upper) for head in lower)


def test_the_oracle_confirms_samples_and_rejects_every_changed_node(task: Plan, samples: Batch) -> None:
    assert task.confirmed(samples.take(np.arange(1000))).all()
    some = samples.take(np.arange(50))
    for place in range(task.edge_list.answer, task.length):
        tokens = some.tokens.copy()
        tokens[:, place] = 3 + (tokens[:, place] - 2) % task.config.names
        assert not task.confirmed(replace(some, tokens=tokens)).any()


def test_loss_and_score_are_on_the_answer_alone(task: Plan, samples: Batch) -> None:
    answer = np.arange(task.length) >= task.edge_list.answer
    assert (samples.scored == answer).all()
    assert (samples.loss == answer).all()
    assert (samples.labels["step"] == np.where(answer, np.arange(task.length) - task.edge_list.answer + 1, 0)).all()


def test_names_are_drawn_uniformly(task: Plan, samples: Batch) -> None:
    for place in (0, 1, task.edge_list.answer - 2):
        counts = np.bincount(samples.tokens[:, place] - 3, minlength=task.config.names)
        assert chisquare(counts).pvalue > 1e-5


# ---- scores of simple rules


def test_guessing_a_graph_reaches_the_ceilings(task: Plan, samples: Batch) -> None:
    share, steps = 1 / task.config.graphs, task.ancestors + 1
    right = task.shortcut_scores(samples)["guess_a_graph"].reshape(SAMPLES, steps)
    assert right[:, 1:].all()
    assert right[:, 0].mean() == pytest.approx(share, abs=4.5 * np.sqrt(share * (1 - share) / SAMPLES))
    assert task.ceilings == {
        "accuracy": {"graph_guessed": pytest.approx(1 - (1 - share) / steps)},
        "exact": {"graph_guessed": share},
    }


def test_rules_that_plan_less_stay_below(task: Plan, samples: Batch) -> None:
    right = task.shortcut_scores(samples)
    first = {name: tokens.reshape(SAMPLES, -1)[:, 0] for name, tokens in right.items()}
    assert (first["any_root"] == first["guess_a_graph"]).all()
    assert right["any_root"].mean() < right["guess_a_graph"].mean()
    assert right["parents"].reshape(SAMPLES, -1)[:, -1].all()
    assert not whole_answers(samples, right["parents"]).any()


@pytest.mark.parametrize("name", ["small", "chains", "three"])
def test_the_check_passes(name: str) -> None:
    result = check_task(plan_task(**GRAPHS[name]), 300)
    assert result.problems == []
    assert result.repeated_within_held_out == 0


# ---- the same bytes everywhere, and no sample twice


@settings(max_examples=20, deadline=None)
@given(
    graphs=st.integers(2, 3),
    depth=st.integers(2, 4),
    width=st.integers(1, 3),
    others=st.integers(0, 3),
    spare=st.integers(0, 3),
    split=st.sampled_from(["train", "validation", "test"]),
    cut=st.integers(1, 19),
)
def test_a_sample_does_not_depend_on_its_batch(
    graphs: int, depth: int, width: int, others: int, spare: int, split: str, cut: int
) -> None:
    fewest = depth * width + (depth - 1) * (width - 1) + others
    most = width + (depth - 1) * width**2 + others * (depth * width + 1) + others * (others - 1) // 2
    task = plan_task(graphs=graphs, depth=depth, width=width, others=others, edges=min(fewest + spare, most), names=50)
    whole = assert_samples_independent_of_batch(task, split, 3, cut)
    assert task.confirmed(whole).all()
    assert (whole.tokens != task.batch(split, np.arange(20), 4).tokens).any()


def test_splits_share_no_sample_even_if_few_exist() -> None:
    task = plan_task(depth=2, width=1, others=0, edges=2, names=6)
    samples = assert_splits_disjoint(task, 1500)
    assert len(samples["train"]) < 1500, "so few samples exist that a chance overlap would be seen"


# ---- settings


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"names": 17}, r"task.names = 17: 2 graphs of 9 nodes have 18 nodes, .* give at least 18"),
        ({"graphs": 16, "depth": 16, "width": 16}, r"task.names = 20: .* give fewer or smaller graphs"),
        ({"edges": 9}, r"task.edges = 9: .* may need 10 edges and has room for 25; give 10 to 25"),
        ({"edges": 26}, r"task.edges = 26: .* give 10 to 25"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Plan(TASKS.config({"kind": "plan", **change}, "a spec"))


@pytest.mark.parametrize("edges", [10, 25])
def test_the_fewest_and_the_most_edges_can_be_drawn(edges: int) -> None:
    task = plan_task(edges=edges)
    assert task.confirmed(task.batch("train", np.arange(200))).all()


@pytest.mark.parametrize(
    "change",
    [{"graphs": 3, "names": 40}, {"depth": 4, "names": 30, "edges": 14}, {"others": 1}, {"edges": 12}, {"names": 21}],
)
def test_each_setting_changes_the_samples(change: dict[str, Any]) -> None:
    default, changed = plan_task(), plan_task(**change)
    assert default.name != changed.name
    assert default.batch("test", [0]).tokens.tolist() != changed.batch("test", [0]).tokens.tolist()
