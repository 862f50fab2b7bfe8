"""Path-star graphs: from the centre `degree` arms go out, and one of them ends in the goal.

Bachmann & Nagarajan 2024, "The pitfalls of next-token prediction", arXiv 2403.06963. A graph G(degree, length) has a
start with `degree` arms; a path from the start to the end of an arm has `length` nodes, the start counted, so an arm
adds length - 1 nodes and as many edges, and the graph has degree (length - 1) + 1 nodes. Edges are printed from the
start outward, in random order, then start and goal, then the path. G(2, 4) with names 0..11:

    3 10 | 9 2 | 0 7 | 11 3 | 9 11 | 2 0 / 9 10 = 9 11 3 10

The paper trains on all tokens behind "=" (`loss_on = "answer"`). Scored are the `length` - 1 of them behind the first,
which the prompt gives. Reading the path from the goal, each step is the one edge that leads there; from the start only
the first step is a choice, and it is right for the reason that comes last. With the truth before it a model may learn
every later step as "follow the edge", which leaves the first step nothing to be learnt from: such a model guesses a
branch and is right in 1/`degree` of samples (`guess_ceiling`), whatever its size. The paper finds just that for
next-token prediction (50 names, 200,000 training samples), and that it learns `reversed` paths.
"""

from collections import deque
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream
from generators.task import GROUPS, Batch, Mask, Task, TaskConfig, shares

EDGE, QUESTION, ANSWER = "|", "/", "="
MARKS = (EDGE, QUESTION, ANSWER)


class StarConfig(TaskConfig):
    """Settings of `star`."""

    aside: ClassVar[frozenset[str]] = TaskConfig.aside | {"reversed"}

    kind: Literal["star"] = "star"
    degree: int = Field(default=2, ge=2, le=32, description="arms that leave the start")
    length: int = Field(default=5, ge=3, le=32, description="nodes from the start to the end of an arm, both counted")
    nodes: int = Field(default=50, ge=5, le=1024, description="node names, of which each graph draws its own")
    reversed: bool = Field(default=False, description="print the path from the goal to the start, the easy direction")
    loss_on: Literal["answer", "all"] = Field(default="answer", description="targets that are trained on")
    training_samples: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="a fixed training set of that size, read in epochs; without it, fresh samples",
    )
    test_samples: int = Field(default=1000, ge=1, le=10**7)
    validation_samples: int = Field(default=500, ge=1, le=10**7)


class Star(Task):
    """Graphs of one size: 3 degree (length - 1) + 3 + length tokens. Labels: `step`, 1.. at the scored tokens."""

    config: StarConfig

    def __init__(self, config: StarConfig) -> None:
        edges = config.degree * (config.length - 1)
        if config.nodes < edges + 1:
            raise UserError(
                f"task.nodes = {config.nodes}: a graph of {config.degree} arms and paths of {config.length} nodes has "
                f"{edges + 1} nodes, each with a name of its own; give at least {edges + 1}"
            )
        super().__init__(config)
        self.vocabulary = (*MARKS, *(str(name) for name in range(config.nodes)))
        self.question = 3 * edges - 1
        """Place of the "/" in every sample; start, goal, "=" and the path follow."""
        self.answer = self.question + 4
        self.length = self.answer + config.length
        self.splits = {
            "train": config.training_samples,
            "validation": config.validation_samples,
            "test": config.test_samples,
        }
        self.shortcuts = {"guess_a_branch": self.guess_a_branch, "follow_an_edge": self.follow_an_edge}
        self.shortcuts["goal"] = self.goal

    @property
    def guess_ceiling(self) -> float:
        """The share of samples that a guessed first step gets wholly right."""
        return 1 / self.config.degree

    def belongs(self, batch: Batch, split: str) -> Mask:
        """By the hash of graph and question alone, so that the direction of the answer does not move a graph."""
        return np.isin(shares(batch.tokens[:, : self.answer]), GROUPS[split.partition("/")[0]])

    def draw(self, stream: Stream, split: str) -> Batch:
        rows, degree, steps = len(stream), self.config.degree, self.config.length - 1
        edges = degree * steps
        names = len(MARKS) + stream.choose("names", self.config.nodes, edges + 1)
        start, arms = names[:, :1], names[:, 1:].reshape(rows, degree, steps)
        before = np.concatenate((start[:, None].repeat(degree, axis=1), arms[:, :, :-1]), axis=2)
        pairs = np.stack((before, arms), axis=3).reshape(rows, edges, 2)
        order = stream.choose("order of edges", edges, edges)
        path = np.concatenate((start, arms[:, 0]), axis=1)  # any arm will do: names and edges are shuffled
        tokens = np.empty((rows, self.length), np.int64)
        printed = tokens[:, : self.question + 1].reshape(rows, edges, 3)  # a view: it is printed where it stands
        printed[:, :, :2] = pairs[np.arange(rows)[:, None], order]
        printed[:, :, 2] = MARKS.index(EDGE)
        tokens[:, self.question] = MARKS.index(QUESTION)
        tokens[:, self.question + 1 : self.question + 3] = path[:, [0, -1]]
        tokens[:, self.answer - 1] = MARKS.index(ANSWER)
        tokens[:, self.answer :] = path[:, ::-1] if self.config.reversed else path
        place = np.arange(self.length)[None].repeat(rows, axis=0)
        return Batch(
            tokens=tokens,
            loss=place >= (self.answer if self.config.loss_on == "answer" else 1),
            scored=place > self.answer,
            labels={"step": np.maximum(place - self.answer, 0)},
        )

    def oracle(self, batch: Batch) -> Integers:
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            words = [self.vocabulary[token] for token in tokens]
            edges, _, question = " ".join(words).partition(QUESTION)
            start, goal = question.partition(ANSWER)[0].split()
            path = only_path(edges, start, goal)[:: -1 if self.config.reversed else 1]
            first = words.index(ANSWER) + 2
            answers[row, first : first + len(path) - 1] = [self.vocabulary.index(node) for node in path[1:]]
        return answers

    # ---- shortcuts

    def guess_a_branch(self, batch: Batch) -> Integers:
        """The arm of the start's first edge in print, as the path: wholly right in 1/degree of samples."""
        after, _ = self._neighbours(batch.tokens)
        path = [batch.tokens[:, self.question + 1]]
        for _ in range(self.config.length - 1):
            path.append(after[np.arange(len(batch)), path[-1]])
        return self._answered(batch, np.stack(path[::-1] if self.config.reversed else path, axis=1)[:, 1:])

    def follow_an_edge(self, batch: Batch) -> Integers:
        """Each step the first printed edge from (reversed: to) the true node before it.

        Forward it is right at 1/degree of first steps and at all others; reversed it is always right.
        """
        after, into = self._neighbours(batch.tokens)
        nodes = batch.tokens[:, self.answer : -1]
        table = into if self.config.reversed else after
        return self._answered(batch, np.take_along_axis(table, nodes, axis=1))

    def goal(self, batch: Batch) -> Integers:
        """The goal at every step: forward right at the last, reversed never."""
        goal = batch.tokens[:, self.question + 2 : self.question + 3]
        return self._answered(batch, goal.repeat(self.config.length - 1, axis=1))

    def _answered(self, batch: Batch, steps: Integers) -> Integers:
        """Guesses [B, length - 1] at the scored tokens, -1 elsewhere."""
        guesses = np.full(batch.tokens.shape, -1)
        guesses[:, self.answer + 1 :] = steps
        return guesses

    def _neighbours(self, tokens: Integers) -> tuple[Integers, Integers]:
        """The head of the first printed edge from each node, and the tail of the one into it: [B, V], -1 for none."""
        printed = tokens[:, : self.question + 1].reshape(len(tokens), -1, 3)
        tails, heads = printed[:, :, 0], printed[:, :, 1]
        after, into = np.full((2, len(tokens), len(self.vocabulary)), -1)
        np.put_along_axis(after, tails, heads, axis=1)
        np.put_along_axis(into, heads, tails, axis=1)
        rows, start = np.arange(len(tokens)), tokens[:, self.question + 1]
        after[rows, start] = heads[rows, (tails == start[:, None]).argmax(axis=1)]  # only the start has several
        return after, into


def only_path(edges: str, start: str, goal: str) -> list[str]:
    """The nodes from start to goal in a printed edge list, by breadth-first search.

    Empty if the goal is not found, or a node is found twice: where each is found once, its path is the only one.
    """
    after: dict[str, list[str]] = {}
    for edge in edges.split(EDGE):
        tail, head = edge.split()
        after.setdefault(tail, []).append(head)
    before = {start: start}
    queue = deque([start])
    while queue:
        for head in after.get(node := queue.popleft(), ()):
            if head in before:
                return []
            before[head] = node
            queue.append(head)
    path = [goal] if goal in before else []
    while path and path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]
