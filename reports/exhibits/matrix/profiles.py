"""Performance profiles: the share of all runs that solved their task within each share of their budget."""

import numpy as np

from reports.drawing.sheet import open_sheet
from reports.drawing.tables import Column, Table, columns_of, number, word
from reports.exhibits.exhibit import MatrixExhibit
from reports.exhibits.matrix.look import look
from reports.frames.matrix.across_tasks import profile
from reports.frames.numbers import plural

SHARES = tuple(np.linspace(0, 1, 101))
SHOWN = (0.1, 0.25, 0.5, 0.75, 1.0)
OFFSET = 0.006
"""The distance between the curves of two objectives, so that equal ones are both seen."""


class Profiles(MatrixExhibit):
    """Draws one curve for each objective, over all tasks."""

    section = "across tasks"

    def title(self) -> str:
        return "Performance profiles"

    def caption(self) -> str:
        runs = plural(len(self.source.tasks) * self.source.seeds, "run")
        return (
            f"Each curve is the share of {runs} of an objective, over all tasks, that solved their task within a "
            "share of their operations. A curve above another is better at every budget. Curves are moved apart a "
            "little."
        )

    def figures(self) -> list[str]:
        with open_sheet("profiles", 380) as sheet:
            texts = []
            for place, (name, title) in enumerate(self.source.objectives.items()):
                heights, style = np.array(self._profile(name)), look(place)
                (line,) = sheet.axes.plot(
                    SHARES, heights + OFFSET * place, lw=2.2, ms=7, markevery=(3 * place, 25), **style
                )
                text = f"{title}: {heights[50]:z.2f} within half of the budget, {heights[-1]:z.2f} within all of it"
                sheet.add_tooltip(line, text)
                sheet.add_legend(title, lw=2.2, ms=7, **style)
                texts.append(text)
            top = 1.03 + OFFSET * len(texts)
            sheet.axes.set(xlim=(0, 1), ylim=(-0.03, top), xlabel="share of the budget", ylabel="share of runs solved")
            sheet.axes.set_yticks(np.linspace(0, 1, 6))
            return [sheet.svg(self.title(), "; ".join(texts))]

    def table(self) -> Table:
        """Returns the heights of the curves at a few shares."""
        form = [Column("objective", "word"), *columns_of("number", (f"{share:z.0%}" for share in SHOWN))]
        table = Table("Share of runs solved, by the share of the budget", form)
        for name, title in self.source.objectives.items():
            budgets, solved = self.source.budgets_TxK(name), self.source.solved_TxK(name)
            table.rows.append([word(title), *(number(height) for height in profile(budgets, solved, SHOWN))])
        return table

    def _profile(self, name: str) -> list[float]:
        return profile(self.source.budgets_TxK(name), self.source.solved_TxK(name), SHARES)
