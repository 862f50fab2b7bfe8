"""Costs and gains of each objective: parameters, operations and measured seconds against the baseline."""

from collections.abc import Callable

import numpy as np

from reports.drawing.palette import TEXT
from reports.drawing.sheet import open_sheet
from reports.drawing.tables import Column, Table, columns_of, number, word
from reports.exhibits.exhibit import MatrixExhibit
from reports.exhibits.matrix.look import look
from reports.frames.matrix.results import ArmRuns


class CostAndGain(MatrixExhibit):
    """Draws one mark for each objective: its training time against its gain."""

    section = "cost"

    def title(self) -> str:
        return "Cost beside gain"

    def caption(self) -> str:
        baseline = self.source.objectives[self.source.baseline]
        return (
            "Budgets are equal in operations, but not in seconds: kernels of small models and losses take time "
            "beyond that of their operations. To the right, a whole budget takes more training time than with "
            f"{baseline}, measured where the runs were trained; further up, a larger share of runs solves its task. "
            "Seconds are geometric means over tasks, and gains are means."
        )

    def figures(self) -> list[str]:
        with open_sheet("cost", 360) as sheet:
            texts = []
            for place, (name, title) in enumerate(self.source.objectives.items()):
                seconds, gain = self._ratio(name, lambda arm: arm.median_seconds), self._gain(name)
                if not (np.isfinite(seconds) and np.isfinite(gain)):
                    continue
                text = f"{title}: {seconds:z.2f} times the seconds, {gain:+z.2f} of the runs"
                style = look(place)
                marker = style["marker"]
                sheet.mark(seconds, gain, marker, text, color=style["color"], ms=10, mec=style["mec"], mew=1, zorder=4)
                sheet.add_legend(title, ms=9, **style | {"ls": "none"})
                texts.append(text)
            sheet.axes.axhline(0, color=TEXT, lw=1, zorder=1)
            sheet.axes.axvline(1, color=TEXT, lw=1, zorder=1)
            sheet.axes.set(xlabel="seconds of a whole budget, as a multiple", ylabel="gain in the share of runs solved")
            sheet.axes.margins(0.12)
            return [sheet.svg(self.title(), "; ".join(texts))]

    def summary(self) -> Table:
        """Returns the costs and gains of each objective, over tasks."""
        titles = (
            "parameters",
            "operations a step",
            "steps",
            "operations",
            "seconds",
            "gain in runs solved",
            "budget saved",
        )
        caption = "Multiples of the baseline, as geometric means over tasks, and gains as means over tasks"
        table = Table(caption, [Column("objective", "word"), *columns_of("number", titles)])
        for name, title in self.source.objectives.items():
            ratios = [
                self._ratio(name, read)
                for read in (
                    lambda arm: arm.parameters,
                    lambda arm: arm.operations / arm.steps if arm.steps else np.nan,
                    lambda arm: arm.steps,
                    lambda arm: arm.operations,
                    lambda arm: arm.median_seconds,
                )
            ]
            gains = [self._gain(name), self._saved(name)]
            table.rows.append(
                [word(title), *(number(ratio, ".2f") for ratio in ratios), *(number(gain, "+.2f") for gain in gains)]
            )
        return table

    def table(self) -> Table:
        """Returns the costs of each objective on each task."""
        titles = ("parameters", "steps", "operations", "seconds", "seeds", "solved", "budget to solve")
        table = Table(
            "Costs and results of a whole budget, by task",
            [*columns_of("word", ("objective", "task")), *columns_of("number", titles)],
        )
        for name, title in self.source.objectives.items():
            for task, task_title in self.source.tasks.items():
                arm = self.source.arms[name, task]
                budget = float(np.mean(list(arm.budgets.values()))) if arm.budgets else np.nan
                values = [number(arm.parameters, ",.0f"), number(arm.steps, ",.0f"), number(arm.operations, ".3g")]
                values += [number(arm.median_seconds, ".3g"), number(len(arm.solved), "d")]
                values += [number(arm.share_solved, ".2f"), number(budget, ".3f")]
                table.rows.append([word(title), word(task_title), *values])
        return table

    def _ratio(self, name: str, read: Callable[[ArmRuns], float]) -> float:
        """Returns the geometric mean over tasks of a value, as a multiple of the baseline's."""
        logs = []
        for task in self.source.tasks:
            own, other = read(self.source.arms[name, task]), read(self.source.arms[self.source.baseline, task])
            if np.isfinite(own) and np.isfinite(other) and own > 0 and other > 0:
                logs.append(np.log(own / other))
        return float(np.exp(np.mean(logs))) if logs else np.nan

    def _gain(self, name: str) -> float:
        baseline = self.source.solved_TxK(self.source.baseline).mean()
        return float(self.source.solved_TxK(name).mean() - baseline)

    def _saved(self, name: str) -> float:
        baseline = self.source.budgets_TxK(self.source.baseline).mean()
        return float(baseline - self.source.budgets_TxK(name).mean())
