"""The metrics of runs: what each measures, its unit, which direction is better, and its bounds.

Measures of analyses are defined where they are declared, in `Analysis.measures`.
"""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A metric, or a family of metrics of one definition.

    Attributes:
        name: its name as a study file gives it; in capitals, a part that varies.
        pattern: a regular expression that its names match.
        summary: a clause that completes "the score is accuracy: ...".
        definition: what it measures, in sentences.
        unit: its unit; "" for a plain number.
        better: which direction is better.
        bounds: the smallest and the largest value; None if it has none.
    """

    name: str
    pattern: str
    summary: str
    definition: str
    unit: str
    better: Literal["more", "less"] = "more"
    bounds: tuple[float, float] | None = None


TEACHER_FORCED = (
    "The prediction is teacher-forced: it reads the true tokens before the token, by the next-token path alone."
)
SHARES = (0.0, 1.0)
METRICS = (
    Metric(
        "accuracy",
        "accuracy",
        "share of scored tokens whose most likely prediction is right",
        "The share of a split's scored tokens that are the most likely token of the prediction at their position. "
        f"{TEACHER_FORCED} Which tokens are scored is a property of the task.",
        "share of scored tokens",
        bounds=SHARES,
    ),
    Metric(
        "exact",
        "exact",
        "share of samples with every scored token right",
        "The share of samples, among those with a scored token, whose scored tokens are all predicted right as in "
        "accuracy. It equals the exact match of greedy decoding, although nothing is decoded: the prediction at every "
        "scored position is an argmax given the true tokens before it, so as long as all of them are right, greedy "
        "decoding has produced the same tokens and makes the same predictions, and where the first is wrong, it writes "
        "that wrong token. Tokens between the scored ones that are not scored are given to it.",
        "share of samples",
        bounds=SHARES,
    ),
    Metric(
        "accuracy_unexplained",
        "accuracy_unexplained",
        "accuracy on the scored tokens that every shortcut gets wrong",
        "The accuracy on those scored tokens that every shortcut of the task gets wrong, so that no simple rule "
        "explains it. A run lacks it if the task has no shortcut, or if every token has a shortcut that gets it right.",
        "share of those tokens",
        bounds=SHARES,
    ),
    Metric(
        "above_shortcuts",
        "above_shortcuts",
        "accuracy minus that of the best shortcut",
        "The accuracy minus the accuracy of the task's best shortcut on the same tokens; it is negative if a simple "
        "rule does better than the run.",
        "share of scored tokens",
        bounds=(-1.0, 1.0),
    ),
    Metric(
        "shortcut/NAME",
        "shortcut/.+",
        "accuracy of a shortcut",
        "The accuracy of the task's shortcut NAME on the split: the share of scored tokens that this simple rule gets "
        "right. It depends on the data alone, not on the run.",
        "share of scored tokens",
        bounds=SHARES,
    ),
    Metric(
        "shortcut_exact/NAME",
        "shortcut_exact/.+",
        "share of samples in which a shortcut gets every scored token right",
        "The share of samples, among those with a scored token, in which the shortcut NAME gets every scored token "
        "right. It depends on the data alone, not on the run.",
        "share of samples",
        bounds=SHARES,
    ),
    Metric(
        "loss_1",
        "loss_1",
        "mean cross-entropy of the next token in nats; lower is better",
        f"The mean cross-entropy of the next token over the targets of a split. {TEACHER_FORCED}",
        "nats per target",
        better="less",
    ),
    Metric(
        "loss_NAME",
        "loss_.+",
        "mean of a loss term in nats; lower is better",
        "The mean over the targets of a split of another loss term of the objective. For a whole number I, loss_I is "
        "the cross-entropy of the head that predicts the token I ahead; an objective names its other terms itself, "
        "such as loss_order of token_order. In a run's log, the split train has the mean over the steps before.",
        "nats per target",
        better="less",
    ),
    Metric(
        "seconds",
        "seconds",
        "wall time of the training steps in seconds; lower is better",
        "The wall time of the run's training steps, without evaluation and without the run that it starts from. It "
        "depends on the machine and on what else runs there.",
        "seconds",
        better="less",
    ),
    Metric(
        "solved",
        "solved",
        "share of runs that solved their task",
        "1 if the study's metric on validation reached `solved_at` in two evaluations in a row, otherwise 0. The mean "
        "of an arm is the share of its runs that solved their task. It needs `solved_at` in the study file.",
        "share of runs",
        bounds=SHARES,
    ),
    Metric(
        "steps_to_solve",
        "steps_to_solve",
        "optimiser steps until a run solved its task, or all its steps; lower is better",
        "The optimiser steps until the run solved its task, as in solved. A run that did not solve it counts with all "
        "the steps that it was to take, so the mean of an arm is a restricted mean time.",
        "optimiser steps",
        better="less",
    ),
    Metric(
        "budget_to_solve",
        "budget_to_solve",
        "share of its steps that a run took to solve its task, 1 if it did not; lower is better",
        "The optimiser steps until the run solved its task as a share of the steps that it was to take; 1 if it did "
        "not solve it. All steps of a run take equally many operations, so this is also the share of its operations. "
        "It compares arms that were given equal operations, and therefore different numbers of steps.",
        "share of the run's operations",
        better="less",
        bounds=SHARES,
    ),
)


def metric_named(name: str) -> Metric | None:
    """Returns the definition of a metric; None if it has none here, as the measure of an analysis."""
    return next((metric for metric in METRICS if re.fullmatch(metric.pattern, name)), None)
