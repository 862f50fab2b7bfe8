"""The heat map of budgets: on which task which objective needs a smaller share of its operations."""

import numpy as np

from reports.exhibits.matrix.heat_map import HeatMap
from reports.frames.matrix.results import ArmRuns
from studies.judging.judgement import Judgement


class SoonerMap(HeatMap):
    """Shades the difference between the shares of the budget that runs took to solve the task."""

    def title(self) -> str:
        return "With which objective does it take fewer operations?"

    def introduction(self) -> str:
        return (
            "The share of its operations that a run saves: the mean share of the budget that runs of "
            f"{self.source.objectives[self.source.baseline]} took to solve the task, minus that of the objective. A "
            "run that did not solve it counts with its whole budget. Steps of different objectives cost differently, "
            "which is why operations are compared and not steps."
        )

    def table_caption(self) -> str:
        return f"Share of the budget saved, against {self.source.objectives[self.source.baseline]}"

    def judgement(self, row: str, task: str) -> Judgement:
        return self.source.squares[row, task].sooner

    def value(self, arm: ArmRuns) -> float:
        return -float(np.mean(list(arm.budgets.values()))) if arm.budgets else np.nan
