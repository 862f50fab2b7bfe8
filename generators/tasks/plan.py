"""Plans: print all nodes that lead to a query in a directed graph, in topological order.

A sample prints the edges of `graphs` random directed acyclic graphs in random order, then the query, a node of one of
them, then "=" and the answer: the ancestors of the query and the query itself. Ties are broken by the smallest number:
the next node is always the smallest one whose parents are all printed, so the answer is the lexicographically smallest
topological order. With graphs = 2, depth = 2, width = 2, others = 1, edges = 6 and 12 names:

    6 9 | 8 10 | 4 3 | 5 1 | 7 3 | 9 10 | 2 4 | 6 0 | 11 8 | 11 9 | 5 7 | 2 7 / 3 = 2 4 5 7 3

The parents of the query 3 are 4 and 7, and their parents are 2 and 5. The edge to 1 leads away from the query. In
the second graph, 6 and 11 are the roots, and the query would be 10.

Every graph has `depth` levels of `width` nodes above its query. Each of these nodes has an edge to a random node of the
level below and, unless it is a root, one from a random node of the level above. So all roots are `depth` edges away
from the query, and all of them lead to it. `others` further nodes are reached from the graph and do not lead to its
query. Random edges to the level below and into others are added until each graph has `edges` edges. All graphs of a
sample have the same distribution, and only the question tells which one is meant.

The task follows "Brevo" of Allen-Zhu 2025, "Physics of language models: part 4.1" (PhysicsLM4), which compares how
deeply architectures reason on random graphs without levels. No effect of a multi-token objective on it has been
published, so it is not a control.

Only the first token needs the whole plan: it is the smallest of the roots that lead to the query. A rule that ignores
the query, or follows edges back from it fewer than `depth` times, cannot tell the roots of one graph from those of
another. The smallest root of all is in each graph with the same probability. So such a rule solves at most 1/`graphs`
of the samples, and if it is right about all later tokens, it gets 1 - (1 - 1/graphs)/(depth width + 1) of the tokens
(`ceilings`, `guess_a_graph`). Heads that look ahead begin at the other end: the last token is the query, and the one
before it a parent.

The domain is large: one choice of names and graphs gives (graphs edges)! samples, one for each order of the edges. With
the defaults, of 22 edges, these are over 10^21.
"""

from graphlib import TopologicalSorter
from heapq import heapify, heappop, heappush
from typing import Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream
from generators.material.edge_lists import ANSWER, MARKS, EdgeList
from generators.task import Batch, HeldOutSamples, Mask, Task, TaskConfig, TrainingSamples, usual_splits

NAMES_MAXIMUM = 1024


class PlanConfig(TaskConfig):
    """Settings of `plan`."""

    kind: Literal["plan"] = "plan"
    graphs: int = Field(default=2, ge=2, le=16, description="graphs of a sample; the query is in one of them")
    depth: int = Field(default=3, ge=2, le=16, description="edges from every root of a graph to its query")
    width: int = Field(default=2, ge=1, le=16, description="nodes at each distance from the query")
    others: int = Field(default=2, ge=0, le=16, description="nodes of each graph that do not lead to its query")
    edges: int = Field(default=11, ge=1, le=1024, description="edges of each graph")
    names: int = Field(
        default=20, ge=5, le=NAMES_MAXIMUM, description="node names; each sample draws its own from them"
    )
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = 1000
    validation_samples: HeldOutSamples = 500


class Plan(Task):
    """Samples of 3 graphs edges + 2 + depth width + 1 tokens.

    Labels: `step` numbers the tokens of the answer from 1; 0 elsewhere.

    In each graph, node 0 is the query, the nodes of level 1 are its parents, those of level `depth` the roots, and the
    others come last.

    Attributes:
        ancestors: the number of nodes that lead to the query.
        nodes: N, the number of nodes of a graph.
        steps_down: whether a tail may have an edge to a head of the next level [N, N].
        into_others: whether a tail may have an edge to a head that does not lead to the query [N, N].
        edge_list: the places of edges, question and answer in a sample.
    """

    config: PlanConfig

    def __init__(self, config: PlanConfig) -> None:
        super().__init__(config)
        self.ancestors = config.depth * config.width
        self.nodes = 1 + self.ancestors + config.others
        node = np.arange(self.nodes)
        level = np.where(node > self.ancestors, -1, -(-node // config.width))
        self.steps_down: Mask = (level[:, None] == level + 1) & (level[:, None] > 0) & (level >= 0)
        other = level < 0
        self.into_others: Mask = other & (~other[:, None] | (node[:, None] < node))
        self._check()
        self.edge_list = EdgeList(config.graphs * config.edges, 1)
        self.vocabulary = (*MARKS, *map(str, range(config.names)))
        self.length = self.edge_list.answer + self.ancestors + 1
        self.splits = usual_splits(config)
        self.shortcuts = {"guess_a_graph": self.guess_a_graph, "any_root": self.any_root, "parents": self.parents}
        share = 1 / config.graphs
        self.ceilings = {
            "accuracy": {"graph_guessed": (self.ancestors + share) / (self.ancestors + 1)},
            "exact": {"graph_guessed": share},
        }

    def _check(self) -> None:
        """Raises a UserError if there are too few names, or too few or too many edges."""
        config = self.config
        nodes = config.graphs * self.nodes
        if config.names < nodes:
            advice = f"give at least {nodes}" if nodes <= NAMES_MAXIMUM else "give fewer or smaller graphs"
            raise UserError(
                f"task.names = {config.names}: {config.graphs} graphs of {self.nodes} nodes have {nodes} nodes, each "
                f"with its own name; {advice}"
            )
        fewest = self.ancestors + (config.depth - 1) * (config.width - 1) + config.others
        most = int(self.steps_down.sum() + self.into_others.sum())
        if not fewest <= config.edges <= most:
            raise UserError(
                f"task.edges = {config.edges}: a graph of depth {config.depth}, width {config.width} and "
                f"{config.others} others may need {fewest} edges and has room for {most}; give {fewest} to {most}"
            )

    def draw(self, stream: Stream, split: str) -> Batch:
        config, rows, count = self.config, np.arange(len(stream))[:, None], self.nodes
        edges = self._draw_edges(stream)
        names = len(MARKS) + stream.choose("names", config.names, config.graphs * count)
        tails, heads = np.divmod(edges, count)
        offset = count * np.arange(config.graphs)[:, None]
        pairs = np.stack([(ends + offset).reshape(len(stream), -1) for ends in (tails, heads)], axis=2)
        order = stream.choose("order of edges", self.edge_list.edges, self.edge_list.edges)
        tokens = np.empty((len(stream), self.length), np.int64)
        # Any graph is as good, because names and edges are shuffled.
        self.edge_list.write(tokens, names[rows[:, :, None], pairs[rows, order]], names[:, :1])
        adjacent = np.zeros((len(stream), count * count), np.bool_)
        np.put_along_axis(adjacent, edges[:, 0], True, axis=1)
        leading = slice(0, self.ancestors + 1)
        tokens[:, self.edge_list.answer :] = first_order(
            adjacent.reshape(-1, count, count)[:, leading, leading], names[:, leading]
        )
        step = np.maximum(np.arange(self.length) - self.edge_list.answer + 1, 0)[None].repeat(len(stream), axis=0)
        return Batch(tokens=tokens, loss=step > 0, scored=step > 0, labels={"step": step})

    def _draw_edges(self, stream: Stream) -> Integers:
        """Draws the edges [B, G, E] of all graphs; the edge from node u to node v of N is u N + v."""
        config, count = self.config, self.nodes
        weight = stream.uniform("weights of edges", config.graphs * count * count)
        weight = weight.reshape(-1, count, count)  # [B G, N, N]
        graph = np.arange(len(weight))[:, None]
        needed = np.zeros(weight.shape, np.bool_)
        ancestors, others = np.arange(1, self.ancestors + 1), np.arange(self.ancestors + 1, count)
        down = np.where(self.steps_down, weight, -1.0)
        needed[graph, ancestors, down[:, 1 : self.ancestors + 1].argmax(axis=2)] = True
        inner = np.arange(1, self.ancestors + 1 - config.width)
        orphans = ~needed[:, :, inner].any(axis=1)
        needed[graph, down[:, :, inner].argmax(axis=1), inner] |= orphans
        needed[graph, np.where(self.into_others, weight, -1.0)[:, :, others].argmax(axis=1), others] = True
        weight = np.where(self.steps_down | self.into_others, weight + needed, -1.0).reshape(len(graph), -1)
        chosen = np.argsort(-weight, axis=1)[:, : config.edges]
        return chosen.reshape(len(stream), config.graphs, config.edges)

    def oracle(self, batch: Batch) -> Integers:
        """Searches the printed edges backwards from the query, and sorts the nodes by `graphlib` with a heap."""
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            words = [self.vocabulary[token] for token in tokens]
            edges, (query,) = self.edge_list.parse(words)
            parents: dict[int, set[int]] = {}
            for tail, head in edges:
                parents.setdefault(int(head), set()).add(int(tail))
            leading: dict[int, set[int]] = {}
            pending = [int(query)]
            while pending:
                node = pending.pop()
                if node not in leading:
                    leading[node] = parents.get(node, set())
                    pending += leading[node]
            plan = [self.vocabulary.index(str(node)) for node in smallest_order(leading)]
            first = words.index(ANSWER) + 1
            answers[row, first : first + len(plan)] = plan
        return answers

    # ---- shortcuts

    def guess_a_graph(self, batch: Batch) -> Integers:
        """Begins with the smallest root of all graphs, and continues the plan after the true first node.

        It is right at 1/graphs of the first tokens and at all later ones.
        """
        adjacent, query = self._read(batch.tokens)
        reaches: Mask = query
        for _ in range(self.config.depth):
            reaches = reaches | np.any(adjacent & reaches[:, None], axis=2)
        guesses = self._next(batch, adjacent, reaches)
        guesses[:, self.edge_list.answer] = self.any_root(batch)[:, self.edge_list.answer]
        return guesses

    def any_root(self, batch: Batch) -> Integers:
        """Ignores the query: predicts the smallest node whose parents are all printed in the answer, in any graph.

        It is right at 1/graphs of the first tokens, and less often than `guess_a_graph` at later ones.
        """
        adjacent, _ = self._read(batch.tokens)
        return self._next(batch, adjacent, np.any(adjacent | adjacent.swapaxes(1, 2), axis=1))

    def parents(self, batch: Batch) -> Integers:
        """Ends with the parents of the query by number, and the query: no whole answer, and always right at the end."""
        adjacent, query = self._read(batch.tokens)
        parents = np.nonzero((adjacent & query[:, None]).any(axis=2))[1].reshape(len(batch), self.config.width)
        guesses = np.full(batch.tokens.shape, -1)
        guesses[:, -self.config.width - 1 : -1] = parents
        guesses[:, -1] = query.argmax(axis=1)
        return guesses

    def _read(self, tokens: Integers) -> tuple[Mask, Mask]:
        """Returns which tokens have an edge to which [B, V, V], and which token is the query [B, V]."""
        size = len(self.vocabulary)
        edges, asked = self.edge_list.parts(tokens)
        adjacent = np.zeros((len(tokens), size, size), np.bool_)
        adjacent[np.arange(len(tokens))[:, None], edges[:, :, 0], edges[:, :, 1]] = True
        return adjacent, np.arange(size) == asked

    def _next(self, batch: Batch, adjacent: Mask, candidates: Mask) -> Integers:
        """Predicts, after the true nodes before it, the smallest candidate [B, V] whose parents are all printed."""
        guesses, rows = np.full(batch.tokens.shape, -1), np.arange(len(batch))
        left, waits_for = candidates.copy(), adjacent.sum(axis=1)
        for place in range(self.edge_list.answer, self.length):
            guesses[:, place] = (left & (waits_for == 0)).argmax(axis=1)
            node = batch.tokens[:, place]
            left[rows, node] = False
            waits_for -= adjacent[rows, node]
        return guesses


def first_order(adjacent: Mask, names: Integers) -> Integers:
    """Sorts the nodes of graphs topologically, the smallest name first wherever there is a choice.

    Args:
        adjacent: whether there is an edge from one node to another [B, N, N].
        names: the name of each node [B, N].

    Returns:
        The names [B, N] in order.
    """
    rows, left = np.arange(len(names)), np.ones(names.shape, np.bool_)
    waits_for = adjacent.sum(axis=1)
    order = np.empty_like(names)
    for place in range(names.shape[1]):
        ready = left & (waits_for == 0)
        node = np.where(ready, names, names.max(initial=0) + 1).argmin(axis=1)
        order[:, place] = names[rows, node]
        left[rows, node] = False
        waits_for -= adjacent[rows, node]
    return order


def smallest_order(parents: dict[int, set[int]]) -> list[int]:
    """Returns the topological order of nodes, given by their parents, that is lexicographically smallest."""
    sorter = TopologicalSorter(parents)
    sorter.prepare()
    ready, order = list(sorter.get_ready()), []
    heapify(ready)
    while ready:
        order.append(heappop(ready))
        sorter.done(order[-1])
        for node in sorter.get_ready():
            heappush(ready, node)
    return order
