"""The heat map of shares: on which task which objective solves more runs than the baseline."""

from reports.exhibits.matrix.heat_map import READING, HeatMap
from reports.frames.matrix.results import ArmRuns
from studies.judging.judgement import Judgement


class SolvedMap(HeatMap):
    """Shades the difference between the shares of runs that solved the task."""

    def title(self) -> str:
        return "Which objective solves which task?"

    def introduction(self) -> str:
        baseline = self.source.objectives[self.source.baseline]
        return f"The share of runs that solved the task, minus that of {baseline}, at equal operations. {READING}"

    def table_caption(self) -> str:
        return f"Share of runs solved, minus that of {self.source.objectives[self.source.baseline]}"

    def judgement(self, row: str, task: str) -> Judgement:
        return self.source.squares[row, task].solves

    def value(self, arm: ArmRuns) -> float:
        return arm.share_solved
