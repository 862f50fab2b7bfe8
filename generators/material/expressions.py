"""Random expressions over the operators of a ring, a whole batch at a time: drawn, evaluated and written as tokens.

An expression of m operations is a tree of m nodes, numbered in prefix order: the outermost is node 0. Node j has two
*slots*, 2j and 2j + 1, for its arguments; a slot holds an operand or the value of a later node, whose *home* it is.
Negation leaves its second slot empty. A tree for at most M operations has 2M slots, then one for the value of the whole
expression, then one for values that are discarded:

    ( a + - b ) ∘ c        node 0 is ∘, node 1 is +, node 2 is -;  homes: 6, 0, 3
    slots: 0 (node 1), 1 c;  2 a, 3 (node 2);  4 b, 5 empty;  6 the whole

Drawing: operators are uniform and independent. Below a node with two arguments, a uniform number of the remaining
operations, from none to all, goes to its first argument and the rest to its second. So all operations are used and all
splits between two arguments are equally likely, but not all trees.

Writing: an operator stands between its two arguments, negation before its argument. Operations with two arguments are
in brackets, except the outermost, so nothing depends on precedence.
"""

from dataclasses import dataclass

import numpy as np

from generators.foundation.randomness import Integers, Stream
from generators.material.ring import OPERATORS
from generators.task import Mask

NONE = -1
# The number of arguments by operator; the last entry is that of NONE.
ARGUMENTS = np.array([*(operator.arguments for operator in OPERATORS.values()), 0])


@dataclass(frozen=True, kw_only=True)
class Trees:
    """B trees of up to M operations.

    Attributes:
        operators: int64 [B, M], the index of each node's operator in `OPERATORS`, NONE after the last node.
        homes: int64 [B, M], the slot that takes each node's value.
        operands: bool [B, 2M], slots that hold an operand.
    """

    operators: Integers
    homes: Integers
    operands: Mask


def draw_trees(stream: Stream, operations: Integers, most: int, choices: Integers) -> Trees:
    """Draws trees.

    Args:
        operations: nodes of each tree [B].
        most: M, the maximum number of nodes.
        choices: indices in `OPERATORS` of the operators to draw from.
    """
    rows, discarded = np.arange(len(stream)), 2 * most + 1
    operators = choices[stream.integers("operators", len(choices), most)]
    operators[np.arange(most) >= operations[:, None]] = NONE
    binary = ARGUMENTS[operators] == 2
    shares = stream.uniform("shares", most)
    sizes = np.zeros((len(stream), most + 1), dtype=np.int64)  # the last column is discarded
    homes = np.full((len(stream), most + 1), discarded)
    sizes[:, 0], homes[:, 0] = operations, 2 * most
    for node in range(most):
        below = np.maximum(sizes[:, node] - 1, 0)
        first = np.where(binary[:, node], (shares[:, node] * (below + 1)).astype(np.int64), below)
        for slot, size, child in ((0, first, node + 1), (1, below - first, node + 1 + first)):
            child = np.where(size > 0, child, most)
            sizes[rows, child] = size
            homes[rows, child] = 2 * node + slot
    homes = homes[:, :most]
    operands = np.zeros((len(stream), 2 * most + 2), dtype=np.bool_)
    operands[:, : 2 * most : 2] = operators != NONE
    operands[:, 1 : 2 * most : 2] = binary
    operands[rows[:, None], homes] = False
    return Trees(operators=operators, homes=homes, operands=operands[:, : 2 * most])


def evaluate(trees: Trees, operands: Integers, p: int) -> Integers:
    """Computes the values [B, k] of trees over F_p[X]/(X^k) from the operands [B, 2M, k] in their slots."""
    count, most = trees.operators.shape
    slots = np.concatenate((operands, np.zeros((count, 2, operands.shape[2]), dtype=np.int64)), axis=1)
    for node in range(most - 1, -1, -1):
        for index, operator in enumerate(OPERATORS.values()):
            rows = np.flatnonzero(trees.operators[:, node] == index)
            value = operator.apply(slots[rows, 2 * node], slots[rows, 2 * node + 1], p)
            slots[rows, trees.homes[rows, node]] = value
    return slots[:, 2 * most]


def longest(operations: int, k: int, binary: bool) -> int:
    """Returns the tokens of the longest expression with that many operations.

    Args:
        binary: True if operators with two arguments are allowed.
    """
    return k * (operations + 1) + operations + 2 * (operations - 1) if binary else k + operations


def write(trees: Trees, operands: Integers, signs: Integers, blank: int, length: int) -> tuple[Integers, Integers]:
    """Writes expressions as tokens.

    Args:
        operands: int64 [B, 2M, k], the tokens of each slot's operand.
        signs: the tokens of the operators in the order of `OPERATORS`, then of "(" and ")".
        blank: the token that fills the row after the end of an expression.

    Returns:
        Tokens [B, length], and the number of tokens [B] of each expression.
    """
    rows, (count, most, k) = np.arange(len(operands)), (*trees.operators.shape, operands.shape[2])
    binary = ARGUMENTS[trees.operators] == 2
    bracketed = binary & (np.arange(most) > 0)
    widths = np.full((count, 2 * most + 2), k)
    for node in range(most - 1, -1, -1):
        second = np.where(binary[:, node], widths[:, 2 * node + 1], 0)
        widths[rows, trees.homes[:, node]] = widths[:, 2 * node] + 1 + second + 2 * bracketed[:, node]
    starts = np.zeros((count, 2 * most + 2), dtype=np.int64)
    begins, places = np.empty((2, count, most), dtype=np.int64)
    for node in range(most):
        begins[:, node] = starts[rows, trees.homes[:, node]]
        starts[:, 2 * node] = begins[:, node] + np.where(binary[:, node], bracketed[:, node], 1)
        places[:, node] = np.where(binary[:, node], starts[:, 2 * node] + widths[:, 2 * node], begins[:, node])
        starts[:, 2 * node + 1] = places[:, node] + 1
    ends = starts[:, 1 : 2 * most : 2] + widths[:, 1 : 2 * most : 2]
    across = starts[:, : 2 * most, None] + np.arange(k)
    tokens = np.full((count, length + 1), blank)  # the last column is discarded
    *operators, opening, closing = signs
    tokens[rows[:, None], np.where(trees.operators != NONE, places, length)] = np.array(operators)[trees.operators]
    tokens[rows[:, None], np.where(bracketed, begins, length)] = opening
    tokens[rows[:, None], np.where(bracketed, ends, length)] = closing
    tokens[rows[:, None, None], np.where(trees.operands[:, :, None], across, length)] = operands
    return tokens[:, :length], widths[:, 2 * most]
