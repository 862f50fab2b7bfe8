"""How far each measure tells the arms of a study apart, relative to its scatter over seeds.

Arms are the cells of the study. The means of arms scatter more than the arms do, because a mean of K seeds has the
variance (variance over seeds) / K of its own. Subtracting it estimates the scatter of the arms themselves (a
random-effects model; the estimate is 0 if it would be negative).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np
import pandas as pd

from lab.run.evaluation import SCORES
from reports.frames.solving import solving_runs
from studies.declared.measures import SOLVED, STEPS_TO_SOLVE
from studies.reading.results import Results
from studies.statistics.forms.form import Scores

SEEDS_MINIMUM = 2
"""An arm with fewer complete seeds shows no scatter and does not count."""
ARMS_MINIMUM = 2
LOSS = "loss_1"


@dataclass(frozen=True)
class MeasureSignal:
    """A measure's scatter between arms and over seeds.

    Attributes:
        metric: the measure's metric.
        between: standard deviation between arms, without the part that comes from seeds.
        within: standard deviation over the seeds of an arm, pooled over arms.
        seeds: number of seeds of each arm.
    """

    metric: str
    between: float
    within: float
    seeds: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """The signal to noise: inf if arms differ and seeds do not, nan if nothing differs."""
        if self.within > 0:
            return self.between / self.within
        return inf if self.between > 0 else nan


def signal_of(metric: str, arms: Sequence[Scores]) -> MeasureSignal:
    """Returns the signal of a measure.

    Args:
        metric: the measure's metric.
        arms: the values of each arm, at least two arms of at least two values.
    """
    seeds = tuple(map(len, arms))
    constant = all(np.ptp(values) == 0 for values in arms)  # rounding in the mean would show as a variance
    means = [values[0] if constant else values.mean() for values in arms]
    squares = 0.0 if constant else sum(float(values.var(ddof=1)) * (len(values) - 1) for values in arms)
    within = squares / (sum(seeds) - len(seeds))
    of_means = 0.0 if np.ptp(means) == 0 else float(np.var(means, ddof=1))
    between = max(0.0, of_means - within * float(np.mean([1 / count for count in seeds])))
    return MeasureSignal(metric, float(np.sqrt(between)), float(np.sqrt(within)), seeds)


def measure_signals(results: Results) -> list[MeasureSignal]:
    """Returns the signal of every measure that enough confirming runs have, from the highest ratio to the lowest.

    Measures are the metrics of an evaluation on the study's split and, if the study says what counts as solved, whether
    and when its runs solved their task.
    """
    runs = results.phase("confirm")
    columns = {metric: results.column(metric) for metric in (*SCORES, LOSS)}
    frames = {metric: runs[["cell", column]] for metric, column in columns.items() if column in runs}
    solving = solving_runs(results)
    if solving:
        cells = [run.cell for run in solving]
        steps = [run.steps_to_solve for run in solving]
        solved = [float(run.step is not None) for run in solving]
        frames[SOLVED] = pd.DataFrame({"cell": cells, "value": solved})
        frames[STEPS_TO_SOLVE] = pd.DataFrame({"cell": cells, "value": steps})
    signals = []
    for metric, frame in frames.items():
        by_cell = frame.set_axis(["cell", "value"], axis=1).dropna().groupby("cell", sort=False)["value"]
        arms = [values.to_numpy(dtype=np.float64) for _, values in by_cell if len(values) >= SEEDS_MINIMUM]
        if len(arms) >= ARMS_MINIMUM:
            signals.append(signal_of(metric, arms))
    return sorted(signals, key=lambda signal: -np.nan_to_num(signal.ratio, nan=-1.0, posinf=inf))
