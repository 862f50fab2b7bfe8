"""Path-star graphs: `degree` arms leave the start, and the goal is at the end of one of them.

Bachmann & Nagarajan 2024, "The pitfalls of next-token prediction", arXiv 2403.06963. In a graph G(degree, length) the
path from the start to the end of an arm has `length` nodes including the start. So an arm adds length - 1 nodes and
edges, and the graph has degree (length - 1) + 1 nodes. A sample prints the edges, directed away from the start and in
random order, then start and goal, then the path. G(2, 4) with names 0..11:

    3 10 | 9 2 | 0 7 | 11 3 | 9 11 | 2 0 / 9 10 = 9 11 3 10

The paper trains on all tokens after "=" (`loss_on = "answer"`). The first of them is given by the prompt; the other
`length` - 1 are scored. Read from the goal, each step of the path is the only edge into its node. Read from the start,
only the first step is a choice, and which arm is right depends on the goal at its end. Given the true tokens before it,
a model can learn every later step as "follow the edge", and then the first step gets no useful gradient: such a model
guesses a branch and solves 1/`degree` of the samples (`ceilings`), whatever its size. The paper finds that next-token
prediction fails in this way (50 names, 200,000 training samples), and that it learns `reversed` paths.
"""

from collections import deque
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream
from generators.task import GROUPS, Batch, HeldOutSamples, Mask, Task, TaskConfig, TrainingSamples, shares, usual_splits

EDGE, QUESTION, ANSWER = "|", "/", "="
MARKS = (EDGE, QUESTION, ANSWER)


class StarConfig(TaskConfig):
    """Settings of `star`."""

    sample_independent: ClassVar[frozenset[str]] = TaskConfig.sample_independent | {"reversed"}

    kind: Literal["star"] = "star"
    degree: int = Field(default=2, ge=2, le=32, description="arms that leave the start")
    length: int = Field(default=5, ge=3, le=32, description="nodes from the start to the end of an arm, both included")
    nodes: int = Field(default=50, ge=5, le=1024, description="node names; each graph draws its own from them")
    reversed: bool = Field(default=False, description="print the path from goal to start, the easy direction")
    loss_on: Literal["answer", "all"] = Field(default="answer", description="targets in the loss mask")
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = 1000
    validation_samples: HeldOutSamples = 500


class Star(Task):
    """Graphs of one size: 3 degree (length - 1) + 3 + length tokens.

    Labels: `step` numbers the scored tokens from 1; 0 elsewhere.

    Attributes:
        question: the position of "/" in every sample; start, goal, "=" and the path follow.
        answer: the position of the first token of the path.
    """

    config: StarConfig

    def __init__(self, config: StarConfig) -> None:
        edges = config.degree * (config.length - 1)
        if config.nodes < edges + 1:
            raise UserError(
                f"task.nodes = {config.nodes}: a graph of {config.degree} arms and paths of {config.length} nodes has "
                f"{edges + 1} nodes, each with its own name; give at least {edges + 1}"
            )
        super().__init__(config)
        self.vocabulary = (*MARKS, *(str(name) for name in range(config.nodes)))
        self.question = 3 * edges - 1
        self.answer = self.question + 4
        self.length = self.answer + config.length
        self.splits = usual_splits(config)
        self.shortcuts = {"guess_a_branch": self.guess_a_branch, "follow_an_edge": self.follow_an_edge}
        self.shortcuts["goal"] = self.goal
        followed = {"edges_followed": 1.0} if config.reversed else {}
        self.ceilings = {"exact": {"branch_guessed": 1 / config.degree, **followed}}

    def belongs(self, batch: Batch, split: str) -> Mask:
        """Hashes graph and question only, so that both directions of the answer are in the same split."""
        return np.isin(shares(batch.tokens[:, : self.answer]), GROUPS[split.partition("/")[0]])

    def draw(self, stream: Stream, split: str) -> Batch:
        rows, degree, steps = len(stream), self.config.degree, self.config.length - 1
        edges = degree * steps
        names = len(MARKS) + stream.choose("names", self.config.nodes, edges + 1)
        start, arms = names[:, :1], names[:, 1:].reshape(rows, degree, steps)
        before = np.concatenate((start[:, None].repeat(degree, axis=1), arms[:, :, :-1]), axis=2)
        pairs = np.stack((before, arms), axis=3).reshape(rows, edges, 2)
        order = stream.choose("order of edges", edges, edges)
        path = np.concatenate((start, arms[:, 0]), axis=1)  # any arm is as good: names and edges are shuffled
        tokens = np.empty((rows, self.length), np.int64)
        printed = tokens[:, : self.question + 1].reshape(rows, edges, 3)  # a view of `tokens`
        printed[:, :, :2] = pairs[np.arange(rows)[:, None], order]
        printed[:, :, 2] = MARKS.index(EDGE)
        tokens[:, self.question] = MARKS.index(QUESTION)
        tokens[:, self.question + 1 : self.question + 3] = path[:, [0, -1]]
        tokens[:, self.answer - 1] = MARKS.index(ANSWER)
        tokens[:, self.answer :] = path[:, ::-1] if self.config.reversed else path
        position = np.arange(self.length)[None].repeat(rows, axis=0)
        return Batch(
            tokens=tokens,
            loss=position >= (self.answer if self.config.loss_on == "answer" else 1),
            scored=position > self.answer,
            labels={"step": np.maximum(position - self.answer, 0)},
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
        """Predicts the arm of the start's first printed edge: solves 1/degree of the samples."""
        after, _ = self._neighbours(batch.tokens)
        path = [batch.tokens[:, self.question + 1]]
        for _ in range(self.config.length - 1):
            path.append(after[np.arange(len(batch)), path[-1]])
        return self._guesses(batch, np.stack(path[::-1] if self.config.reversed else path, axis=1)[:, 1:])

    def follow_an_edge(self, batch: Batch) -> Integers:
        """Follows the first printed edge from the true previous node; in reversed paths, the edge into it.

        Forward it is right at 1/degree of the first steps and at all later ones; reversed it is always right.
        """
        after, into = self._neighbours(batch.tokens)
        nodes = batch.tokens[:, self.answer : -1]
        table = into if self.config.reversed else after
        return self._guesses(batch, np.take_along_axis(table, nodes, axis=1))

    def goal(self, batch: Batch) -> Integers:
        """Predicts the goal at every step: right at the last step of forward paths, never in reversed ones."""
        goal = batch.tokens[:, self.question + 2 : self.question + 3]
        return self._guesses(batch, goal.repeat(self.config.length - 1, axis=1))

    def _guesses(self, batch: Batch, steps: Integers) -> Integers:
        """Puts steps [B, length - 1] at the scored tokens and -1 elsewhere."""
        guesses = np.full(batch.tokens.shape, -1)
        guesses[:, self.answer + 1 :] = steps
        return guesses

    def _neighbours(self, tokens: Integers) -> tuple[Integers, Integers]:
        """Returns the head of the first printed edge from each node and the tail of the edge into it [B, V], or -1."""
        printed = tokens[:, : self.question + 1].reshape(len(tokens), -1, 3)
        tails, heads = printed[:, :, 0], printed[:, :, 1]
        after, into = np.full((2, len(tokens), len(self.vocabulary)), -1)
        np.put_along_axis(after, tails, heads, axis=1)
        np.put_along_axis(into, heads, tails, axis=1)
        rows, start = np.arange(len(tokens)), tokens[:, self.question + 1]
        after[rows, start] = heads[rows, (tails == start[:, None]).argmax(axis=1)]  # only the start has several edges
        return after, into


def only_path(edges: str, start: str, goal: str) -> list[str]:
    """Finds the nodes from start to goal in a printed edge list, by breadth-first search.

    Empty if the goal is unreachable or any node is reached twice; if each is reached once, the path is unique.
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
