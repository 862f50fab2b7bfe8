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
prediction fails in this way (50 names, 200,000 training samples), and that it learns `reversed` paths. So the default
task is a positive control of objectives that look ahead, and reversed paths are a negative one.

Five settings make the task gradually easier. Frydenlund 2024 and 2025 (arXiv 2410.13779 and 2503.10542) report that
next-token prediction can learn path-star graphs if arms are printed whole, the question comes first, any node can be
the goal, or lengths are mixed; the second paper blames the single choice, which leaves nothing to decompose. No effect
of a multi-token objective has been published for these settings, so none of them is a control. The graph of the example
with shuffle = "arms" and question = "first", then a tree with degree 2, length 4, forks = 2 and goal = "any":

    9 10 / 9 2 | 2 0 | 0 7 | 9 11 | 11 3 | 3 10 = 9 11 3 10
    8 2 | 2 5 | 7 9 | 4 0 | 3 1 | 8 4 | 3 7 | 0 11 | 4 3 | 2 6 / 4 7 = 4 3 7

    shuffle = "arms"     An arm, or all of a tree that hangs from one node, is printed as a whole. The last edge from
                         the start up to the goal begins the path then, so a rule that reads in order is always right.
    question = "first"   Nodes can be matched with start and goal while the edges are read. Ceilings stay as they are.
    goal = "any"         The goal is at any depth of its arm with equal probability, and the path ends there. If it is
                         next to the start, or to a later fork, the edge into it shows the branch.
    length_minimum       Graphs have paths of length_minimum to `length` nodes, all lengths equally often, in training
                         and validation; each length has a test split, such as "test/length=4".
    forks                Nodes at this many depths have `degree` children: 1 is a star, length - 1 a complete tree. The
                         later a choice, the shorter the way back to it from the goal.

`ceilings` holds the best scores, for tokens and whole answers, of a rule that guesses at every fork (`branch_guessed`)
and, where that helps, of one that also sees the edge into the goal (`goal_edge_seen`) or reads arms in order
(`arm_read`). If lengths are mixed, it holds them over all lengths and for each length. With D the depth of the goal, a
guesser solves degree^-min(forks, D) of the samples, and one who sees the edge into the goal degree^-min(forks, D - 1).
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream
from generators.foundation.settings import Tree
from generators.material.edge_lists import ANSWER, MARKS, EdgeList, answers_of, only_path
from generators.material.trees import EqualArms, PrintedTrees, branch_ceilings
from generators.task import GROUPS, Batch, HeldOutSamples, Mask, Task, TaskConfig, TrainingSamples, shares, usual_splits

PADDING = "<pad>"
NODES_MAXIMUM = 1024
TEST_LENGTH = "test/length="


class StarConfig(TaskConfig):
    """Settings of `star`."""

    sample_independent: ClassVar[frozenset[str]] = TaskConfig.sample_independent | {"reversed"}
    later_settings: ClassVar[tuple[str, ...]] = ("shuffle", "question", "goal", "length_minimum", "forks")
    """Settings that earlier versions did not have."""

    kind: Literal["star"] = "star"
    degree: int = Field(default=2, ge=2, le=32, description="arms that leave the start")
    length: int = Field(default=5, ge=3, le=32, description="nodes from the start to the end of an arm, both included")
    nodes: int = Field(default=50, ge=5, le=NODES_MAXIMUM, description="node names; each graph draws its own from them")
    reversed: bool = Field(default=False, description="print the path from goal to start, the easy direction")
    shuffle: Literal["edges", "arms"] = Field(default="edges", description="what is printed in random order")
    question: Literal["last", "first"] = Field(default="last", description="print start and goal after or before edges")
    goal: Literal["end", "any"] = Field(default="end", description="the end of an arm, or any node of it")
    length_minimum: int | None = Field(
        default=None, ge=3, le=32, description="mixes graphs whose paths have this many nodes or more, up to length"
    )
    forks: int = Field(
        default=1, ge=1, le=31, description="depths whose nodes have degree children; length - 1 is a complete tree"
    )
    loss_on: Literal["answer", "all"] = Field(default="answer", description="targets in the loss mask")
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = 1000
    validation_samples: HeldOutSamples = 500

    def canonical(self) -> Tree:
        """Leaves out later settings that have their default, so that runs keep the identities of earlier versions."""
        fields = type(self).model_fields
        unset = {key for key in self.later_settings if getattr(self, key) == fields[key].default}
        return {key: value for key, value in super().canonical().items() if key not in unset}


class Star(Task):
    """Graphs of 3 edges + 3 + `length` tokens; shorter samples are padded.

    Labels: `step` numbers the scored tokens from 1; 0 elsewhere.

    Attributes:
        graphs: for every length of an arm, its tree.
        edge_lists: for every length of an arm, the places in a sample.
    """

    config: StarConfig

    def __init__(self, config: StarConfig) -> None:
        shortest = config.length if config.length_minimum is None else config.length_minimum
        check_settings(config, shortest)
        super().__init__(config)
        lengths = range(shortest, config.length + 1)
        self.graphs = {length: EqualArms(config.degree, length, min(config.forks, length - 1)) for length in lengths}
        padded = config.goal == "any" or len(lengths) > 1
        self.vocabulary = (*MARKS, *map(str, range(config.nodes)), *([PADDING] if padded else []))
        self.padding = self.vocabulary.index(PADDING) if padded else -1
        self.edge_lists = {
            length: EdgeList(graph.edges, 2, config.question == "first") for length, graph in self.graphs.items()
        }
        self.length = self.edge_lists[config.length].answer + config.length
        self.splits = usual_splits(config)
        if config.length_minimum is not None:
            sizes = {name: size for name, size in self.splits.items() if name != "test"}
            self.splits = sizes | {f"{TEST_LENGTH}{length}": config.test_samples for length in lengths}
        self.shortcuts = {"guess_a_branch": self.guess_a_branch, "follow_an_edge": self.follow_an_edge}
        self.shortcuts["goal"] = self.goal
        goal_helps = config.shuffle == "arms" or config.goal == "any" or config.forks >= shortest - 1
        if goal_helps := goal_helps and not config.reversed:
            self.shortcuts["edge_before_goal"] = self.edge_before_goal
        self.ceilings = self._ceilings(goal_helps)

    def _goal_depths(self, length: int) -> Sequence[int]:
        """Returns the possible depths of the goal, which are equally likely."""
        return [length - 1] if self.config.goal == "end" else range(1, length)

    def _ceilings(self, goal_helps: bool) -> dict[str, dict[str, float]]:
        """Returns the ceilings of rules that guess at every fork, and of those that see the edge into the goal."""
        config = self.config
        edges_seen = {
            "branch_guessed": int(config.reversed)
        }  # a reversed path begins with the goal, which is not scored
        if goal_helps and config.shuffle == "arms":
            edges_seen["arm_read"] = config.length
        elif goal_helps:
            edges_seen["goal_edge_seen"] = 1
        groups = {"": list(self.graphs)}
        if config.length_minimum is not None:
            groups |= {f"/length={length}": [length] for length in self.graphs}
        best = {
            rule + group: branch_ceilings(map(self._goal_depths, lengths), config.degree, config.forks, seen)
            for rule, seen in edges_seen.items()
            for group, lengths in groups.items()
        }
        exact = {rule: whole for rule, (_, whole) in best.items()}
        if config.reversed:
            return {"accuracy": {"edges_followed": 1.0}, "exact": {**exact, "edges_followed": 1.0}}
        return {"accuracy": {rule: tokens for rule, (tokens, _) in best.items()}, "exact": exact}

    def belongs(self, batch: Batch, split: str) -> Mask:
        """Hashes graph and question only, so that both directions of the answer are in the same split."""
        prompts = batch.tokens[:, : self.length - self.config.length]
        if len(self.graphs) > 1:
            prompts = np.where(np.arange(prompts.shape[1]) < answers_of(batch.tokens)[:, None], prompts, -1)
        return np.isin(shares(prompts), GROUPS[split.partition("/")[0]])

    def draw(self, stream: Stream, split: str) -> Batch:
        lengths = list(self.graphs)
        if split.startswith(TEST_LENGTH):
            lengths = [int(split.removeprefix(TEST_LENGTH))]
        if lengths == [self.config.length]:
            tokens, depth = self._write(stream, self.graphs[self.config.length])
            answer = np.full(len(stream), self.length - self.config.length)
        else:
            length = np.array(lengths)[stream.integers("length", len(lengths), 1)[:, 0]]
            tokens = np.full((len(stream), self.length), self.padding)
            answer, depth = np.empty((2, len(stream)), dtype=np.int64)
            for some in lengths:
                rows = np.flatnonzero(length == some)
                written, depth[rows] = self._write(Stream(stream.keys[rows]), self.graphs[some])
                tokens[rows, : written.shape[1]] = written
                answer[rows] = written.shape[1] - some
        step = np.arange(self.length) - answer[:, None]
        within = step <= depth[:, None]
        scored = (step > 0) & within
        loss = (step >= 0) & within if self.config.loss_on == "answer" else within
        loss[:, 0] = False
        return Batch(tokens=tokens, loss=loss, scored=scored, labels={"step": np.where(scored, step, 0)})

    def _write(self, stream: Stream, graph: EqualArms) -> tuple[Integers, Integers]:
        """Draws samples with this graph [B, T], and the depth of the goal [B]."""
        rows, place = np.arange(len(stream)), np.arange(graph.length)
        names = len(MARKS) + stream.choose("names", self.config.nodes, graph.nodes)
        pairs = np.stack((names[:, graph.parents], names[:, 1:]), axis=2)
        if self.config.shuffle == "edges":
            order = stream.choose("order of edges", graph.edges, graph.edges)
        else:
            order = graph.arms_in_random_order(stream)
        depth = np.full(len(rows), graph.length - 1)
        if self.config.goal == "any":
            depth = 1 + stream.integers("depth of the goal", graph.length - 1, 1)[:, 0]
        # Any arm is as good, because names and edges are shuffled: the path leads through nodes 0, 1, .. to the goal.
        question = np.stack((names[:, 0], names[rows, depth]), axis=1)
        path = names[:, : graph.length]
        if self.config.reversed:
            path = np.take_along_axis(path, np.maximum(depth[:, None] - place, 0), axis=1)
        edge_list = self.edge_lists[graph.length]
        tokens = np.empty((len(rows), edge_list.answer + graph.length), np.int64)
        edge_list.write(tokens, pairs[rows[:, None], order], question)
        tokens[:, edge_list.answer :] = np.where(place <= depth[:, None], path, self.padding)
        return tokens, depth

    def oracle(self, batch: Batch) -> Integers:
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            words = [self.vocabulary[token] for token in tokens]
            edges, (start, goal) = self.edge_lists[self.config.length].parse(words)
            path = only_path(edges, start, goal)[:: -1 if self.config.reversed else 1]
            first = words.index(ANSWER) + 2
            answers[row, first : first + len(path) - 1] = [self.vocabulary.index(node) for node in path[1:]]
        return answers

    def text(self, tokens: Integers) -> str:
        return super().text(tokens).replace(f" {PADDING}", "")

    # ---- shortcuts

    def guess_a_branch(self, batch: Batch) -> Integers:
        """Predicts the arm that begins with the start's first printed edge, and takes the first edge at later forks.

        It is right at a node of depth j with probability degree^-min(forks, j), and at a whole path with that of its
        deepest scored node.
        """

        def steps(graph: PrintedTrees) -> Integers:
            arm = [graph.start]
            for _ in range(graph.length - 1):
                arm.append(graph.after[np.arange(len(graph.start)), arm[-1]])
            step = np.arange(1, graph.length)
            depths = np.maximum(graph.depth[:, None] - step, 0) if self.config.reversed else step[None]
            return np.take_along_axis(np.stack(arm, axis=1), depths, axis=1)

        return self._guesses(batch, steps)

    def follow_an_edge(self, batch: Batch) -> Integers:
        """Follows the first printed edge from the true previous node; in reversed paths, the edge into it.

        Forward it is right at 1/degree of the steps from forks and at all others; reversed it is always right.
        """
        return self._guesses(batch, lambda graph: graph.follow(graph.into if self.config.reversed else graph.after))

    def goal(self, batch: Batch) -> Integers:
        """Predicts the goal at every step: right at the last step of forward paths, never in reversed ones."""
        return self._guesses(batch, lambda graph: graph.goal[:, None].repeat(graph.length - 1, axis=1))

    def edge_before_goal(self, batch: Batch) -> Integers:
        """Follows the last edge from the true previous node that is printed up to the edge into the goal.

        If there is none, it follows the first printed one. It is always right if arms are printed whole. If edges are
        shuffled, it is right at the last step, and at the others as often as `follow_an_edge`.
        """
        return self._guesses(batch, lambda graph: graph.follow(graph.after_until_goal))

    def _guesses(self, batch: Batch, steps: Callable[[PrintedTrees], Integers]) -> Integers:
        """Puts the nodes after the start [B, length - 1] that a rule predicts at the scored tokens and -1 elsewhere."""
        guesses = np.full(batch.tokens.shape, -1)
        answers, depth = answers_of(batch.tokens), batch.scored.sum(axis=1)
        for length, edge_list in self.edge_lists.items():
            rows, begin, end = np.flatnonzero(answers == edge_list.answer), edge_list.answer, edge_list.answer + length
            trees = PrintedTrees(edge_list, length, batch.tokens[rows, :end], depth[rows], len(self.vocabulary))
            guesses[rows, begin + 1 : end] = steps(trees)
        return np.where(batch.scored, guesses, -1)


def check_settings(config: StarConfig, shortest: int) -> None:
    """Raises a UserError if the settings contradict each other.

    Args:
        shortest: the length of the shortest arms.
    """
    if shortest > config.length:
        raise UserError(
            f"task.length_minimum = {shortest}: is above task.length = {config.length}; give at most {config.length}"
        )
    if config.forks > config.length - 1:
        raise UserError(
            f"task.forks = {config.forks}: the end of an arm is at depth task.length - 1 = {config.length - 1} and has "
            f"no children; give at most {config.length - 1}"
        )
    needed = EqualArms(config.degree, config.length, config.forks).nodes
    if config.nodes < needed:
        graph = f"{config.degree} arms" if config.forks == 1 else f"{config.forks} forks of degree {config.degree}"
        advice = "give fewer forks or shorter arms" if needed > NODES_MAXIMUM else f"give at least {needed}"
        raise UserError(
            f"task.nodes = {config.nodes}: a graph of {graph} and paths of {config.length} nodes has "
            f"{needed} nodes, each with its own name; {advice}"
        )
