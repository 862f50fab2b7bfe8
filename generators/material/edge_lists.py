"""Printed graphs: a list of directed edges, a question about some nodes, and an answer.

A sample of E edges and a question about two nodes, which stands after the edges or before them:

    3 10 | 9 2 | 0 7 / 9 10 = the answer          9 10 / 3 10 | 9 2 | 0 7 = the answer

Either way the answer begins at the same position.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from generators.foundation.randomness import Integers

EDGE, QUESTION, ANSWER = "|", "/", "="
MARKS = (EDGE, QUESTION, ANSWER)
"""The first tokens of the vocabulary; the names of nodes follow them."""


@dataclass(frozen=True)
class EdgeList:
    """The places of edges, question and answer in a sample.

    Attributes:
        edges: E, the number of edges.
        asked: Q, the number of nodes that the question names.
        question_first: whether the question stands before the edges.
    """

    edges: int
    asked: int
    question_first: bool = False

    @property
    def answer(self) -> int:
        """The position of the first token of the answer."""
        return 3 * self.edges + self.asked + 1

    def parts(self, tokens: Integers) -> tuple[Integers, Integers]:
        """Returns views of samples [B, T]: the edges, with the mark after them [B, E, 3], and the question [B, Q]."""
        edges, question = (self.asked + 1, 0) if self.question_first else (0, 3 * self.edges)
        pairs = tokens[:, edges : edges + 3 * self.edges].reshape(len(tokens), self.edges, 3)
        return pairs, tokens[:, question : question + self.asked]

    def write(self, tokens: Integers, edges: Integers, question: Integers) -> None:
        """Writes edges [B, E, 2] and questions [B, Q] with their marks into samples [B, T]."""
        pairs, asked = self.parts(tokens)
        pairs[:, :, :2], pairs[:, :, 2] = edges, MARKS.index(EDGE)
        asked[:] = question
        tokens[:, self.asked if self.question_first else 3 * self.edges - 1] = MARKS.index(QUESTION)
        tokens[:, self.answer - 1] = MARKS.index(ANSWER)

    def parse(self, words: Sequence[str]) -> tuple[list[list[str]], list[str]]:
        """Reads edges and question from the words of a sample, by its marks alone."""
        first, _, second = " ".join(words).partition(ANSWER)[0].partition(QUESTION)
        edges, question = (second, first) if self.question_first else (first, second)
        return [edge.split() for edge in edges.split(EDGE)], question.split()


def answers_of(tokens: Integers) -> Integers:
    """Returns the position [B] of the first token of the answer in samples [B, T]."""
    position: Integers = (tokens == MARKS.index(ANSWER)).argmax(axis=1) + 1
    return position


def partners(nodes: Integers, others: Integers, priority: Integers, vocabulary: int) -> Integers:
    """Returns, for each token, the other end of its edge of the highest priority [B, V]; -1 for no edge.

    Args:
        nodes, others: the two ends of each edge [B, E].
        priority: an integer for each edge [B, E].
    """
    order = np.argsort(priority, axis=1, kind="stable")  # the last one that is written remains
    table = np.full((len(nodes), vocabulary), -1)
    np.put_along_axis(
        table, np.take_along_axis(nodes, order, axis=1), np.take_along_axis(others, order, axis=1), axis=1
    )
    return table


def only_path(edges: Iterable[Sequence[str]], start: str, goal: str) -> list[str]:
    """Finds the nodes from start to goal in a list of edges (tail, head), by breadth-first search.

    Empty if the goal is unreachable or any node is reached twice; if each is reached once, the path is unique.
    """
    after: dict[str, list[str]] = {}
    for tail, head in edges:
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
