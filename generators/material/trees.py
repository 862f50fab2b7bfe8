"""Trees of equal arms: stars, complete trees and what lies between them.

A tree has a start, and all its leaves are at the same depth. Nodes at the first `forks` depths have `degree` children,
and all others above the leaves have one. So a tree with forks = 1 is a star of `degree` arms, and one with a fork at
every depth is a complete tree. Nodes are numbered in preorder, with the start as node 0; edge i is the edge into node
i + 1. With degree 2, paths of 4 nodes and forks = 2:

    0 - 1 - 2 - 3            edges: 0 1, 1 2, 2 3, 1 4, 4 5, 0 6, 6 7, 7 8, 6 9, 9 10
     \\   \\- 4 - 5
      \\- 6 - 7 - 8
           \\- 9 - 10
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from generators.foundation.randomness import Integers, Stream
from generators.material.edge_lists import EdgeList, partners


@dataclass(frozen=True)
class EqualArms:
    """A tree of equal arms.

    Attributes:
        degree: the number of children of a node at a depth with forks.
        length: the number of nodes from the start to a leaf, both included.
        forks: the number of depths, counted from the start, whose nodes have `degree` children.
    """

    degree: int
    length: int
    forks: int

    @property
    def nodes(self) -> int:
        """The number of nodes, without building the tree."""
        return sum(self.degree ** min(depth, self.forks) for depth in range(self.length))

    @property
    def edges(self) -> int:
        """The number of edges."""
        return self.nodes - 1

    @cached_property
    def _parents_and_depths(self) -> tuple[Integers, Integers]:
        """The parent, -1 for the start, and the depth of each node [N]."""
        parents: list[int] = []
        depths: list[int] = []
        pending = [(-1, 0)]
        while pending:
            parent, depth = pending.pop()
            node = len(parents)
            parents.append(parent)
            depths.append(depth)
            if depth < self.length - 1:
                pending += [(node, depth + 1)] * (self.degree if depth < self.forks else 1)
        return np.array(parents), np.array(depths)

    @property
    def parents(self) -> Integers:
        """The parent of each node but the start [N - 1]."""
        return self._parents_and_depths[0][1:]

    def arms_in_random_order(self, stream: Stream) -> Integers:
        """Draws an order [B, N - 1] of the edges in which every arm is printed whole, from the start outwards.

        It is a preorder of the tree in which the children of every node have a random order.
        """
        parents, depths = self._parents_and_depths
        place = np.zeros((len(stream), self.nodes), np.int64)
        below = self.nodes
        for depth in range(1, self.length):
            nodes = np.flatnonzero(depths == depth)
            place[:, nodes] = place[:, parents[nodes]] + 1
            if depth <= self.forks:
                below = (below - 1) // self.degree  # the size of a subtree at this depth
                words = stream.bits(f"order of arms at depth {depth}", len(nodes))
                siblings = (len(stream), len(nodes) // self.degree, self.degree)
                place[:, nodes] += below * np.argsort(words.reshape(siblings), axis=2).reshape(words.shape)
        return np.argsort(place[:, 1:], axis=1)


@dataclass(frozen=True)
class PrintedTrees:
    """B samples whose arms have the same length, as shortcuts read them.

    Attributes:
        edge_list: the places of edges, question and answer.
        length: the nodes from the start to the end of an arm.
        tokens: the samples [B, T].
        depth: the depth of the goal [B].
        vocabulary: V, the number of tokens.
    """

    edge_list: EdgeList
    length: int
    tokens: Integers
    depth: Integers
    vocabulary: int

    @property
    def start(self) -> Integers:
        """The start of each sample [B]."""
        return self.edge_list.parts(self.tokens)[1][:, 0]

    @property
    def goal(self) -> Integers:
        """The goal of each sample [B]."""
        return self.edge_list.parts(self.tokens)[1][:, 1]

    def follow(self, table: Integers) -> Integers:
        """Looks the true nodes before each step up in a table [B, V]: [B, length - 1]."""
        return np.take_along_axis(table, self.tokens[:, self.edge_list.answer : -1], axis=1)

    @property
    def after(self) -> Integers:
        """For each token [B, V], the head of its first printed edge."""
        return self._after(-np.arange(self.edge_list.edges)[None].repeat(len(self.tokens), axis=0))

    @property
    def into(self) -> Integers:
        """For each token [B, V], the tail of the edge into it."""
        tails, heads = self._ends()
        return partners(heads, tails, np.zeros_like(tails), self.vocabulary)

    @property
    def after_until_goal(self) -> Integers:
        """For each token [B, V], the head of its last edge up to that into the goal, or else of its first one."""
        _, heads = self._ends()
        place = np.arange(self.edge_list.edges)
        until = place <= (heads == self.goal[:, None]).argmax(axis=1)[:, None]
        return self._after(np.where(until, place, -1 - place))

    def _ends(self) -> tuple[Integers, Integers]:
        edges = self.edge_list.parts(self.tokens)[0]
        return edges[:, :, 0], edges[:, :, 1]

    def _after(self, priority: Integers) -> Integers:
        tails, heads = self._ends()
        return partners(tails, heads, priority, self.vocabulary)


def branch_ceilings(
    goal_depths: Iterable[Collection[int]], degree: int, forks: int, edges_seen: int
) -> tuple[float, float]:
    """Returns the best scores of a rule that guesses at every fork and follows the true edges elsewhere.

    The rule is right at a fork with probability 1/degree, independently of other forks, and always right elsewhere.

    Args:
        goal_depths: the depths of the goal in trees of each kind; kinds are equally likely, and so are the depths of a
            kind.
        edges_seen: the number of last edges before the goal that the rule sees, so that it does not guess there.

    Returns:
        The share of nodes after the start that are right given the true nodes before them, over the paths of all trees
        together, and the share of whole paths that are right.
    """
    nodes = right = whole = 0.0
    kinds = list(goal_depths)
    for depths in kinds:
        for depth in depths:
            guesses = min(forks, max(0, depth - edges_seen))
            nodes += depth / len(depths)
            right += (depth - guesses + guesses / degree) / len(depths)
            whole += degree**-guesses / len(depths)
    return right / nodes, whole / len(kinds)
