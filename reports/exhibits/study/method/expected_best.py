"""The expected best of k trials, by tuning budget, for every cell."""

from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from generators.foundation.numbers import signed_number
from generators.foundation.settings import Tree
from reports.drawing.layout import CellMark, cell_marks, panel_height, panels
from reports.drawing.marks import fit_score_axis
from reports.drawing.palette import PAPER
from reports.drawing.sheet import Sheet, open_sheet
from reports.drawing.tables import MISSING_VALUE, Column, Table, Value, columns_of, number
from reports.exhibits.cells import factor_columns, factor_values
from reports.exhibits.exhibit import StudyExhibit
from reports.exhibits.measure_exhibit import drawn_note
from reports.frames.method.expected_best import TuningTrial, complete_trials, expected_best, tuning_trials
from reports.frames.numbers import formatted, plural
from studies.declared.levels import short
from studies.declared.measures import main_measure
from studies.reading.judged import JudgedStudy

TRIALS_MINIMUM = 2
"""A cell with fewer complete trials has no curve."""
COLUMNS_MAXIMUM = 8
"""The summary shows every number of trials up to this one; beyond it, it shows powers of two and the last."""


class ExpectedBest(StudyExhibit):
    """Draws one curve for each cell, one panel for each level of the first factor."""

    section = "method"

    def __init__(self, source: JudgedStudy) -> None:
        super().__init__(source)
        self.measure = main_measure(self.study.declaration)
        self.trials = tuning_trials(self.results)
        self.ranked = {label: complete_trials(trials, self.measure.sign) for label, trials in self.trials.items()}
        self.curves = {
            label: expected_best([score for score, _ in ranked], self.measure.sign)
            for label, ranked in self.ranked.items()
        }
        values = [value for curve in self.curves.values() for value in curve]
        span = max(values, default=0.0) - min(values, default=0.0)
        self.decimals = len(signed_number(span).partition(".")[2])  # enough to tell the curves apart

    @classmethod
    def instances(cls, source: JudgedStudy) -> "Sequence[ExpectedBest]":
        """Returns the exhibit if a cell has at least two complete trials."""
        exhibit = cls(source)
        return [exhibit] if any(len(curve) >= TRIALS_MINIMUM for curve in exhibit.curves.values()) else []

    def title(self) -> str:
        return "The expected best of k trials, by tuning budget"

    def caption(self) -> str:
        seeds = self.study.declaration.tuning.seeds
        mean = f" The score of a trial is its mean over {seeds} tuning seeds." if seeds > 1 else ""
        return (
            "A point shows the best validation score to expect if only k of a cell's trials had run, averaged over all "
            "choices of k trials: the mean of the trials at k = 1, and the score of the best one at the end of the "
            "curve. If the order of the arms changes with k, the verdict may be one of tuning rather than of the "
            "objective. All trials count alike, although tuning proposes later ones in view of earlier ones."
            f"{mean}{self._left_out()}{drawn_note(self.results)}"
        )

    def _left_out(self) -> str:
        """Returns sentences that name the trials without a score; empty if every trial has one."""
        reasons: dict[str, list[str]] = {"failed": [], "did not run with all tuning seeds": []}
        for label, trials in self.trials.items():
            for trial in trials:
                if trial.score is None:
                    reason = "failed" if trial.failed else "did not run with all tuning seeds"
                    settings = ", ".join(f"{short(key)} = {value:z.4g}" for key, value in trial.settings.items())
                    reasons[reason].append(f"{label} at {settings}")
        sentences = [
            f" {plural(len(names), 'trial')} {reason} and {'is' if len(names) == 1 else 'are'} left out: "
            f"{'; '.join(names)}."
            for reason, names in reasons.items()
            if names
        ]
        return "".join(sentences)

    def figures(self) -> list[str]:
        svgs = []
        for index, (name, members) in enumerate(panels(cell_marks(self.study), by_x=True).items()):
            drawn = [mark for mark in members if len(self.curves.get(mark.cell.label, [])) >= TRIALS_MINIMUM]
            if drawn:
                with open_sheet(f"expected-best-{index}", panel_height(members)) as sheet:
                    svgs.append(self._panel(sheet, name, drawn))
        return svgs

    def summary(self) -> Table:
        """Returns the expected best of each cell, with one column for each number of trials."""
        most = max(map(len, self.curves.values()))
        counts = [k for k in range(1, most + 1) if most <= COLUMNS_MAXIMUM or k == most or k & (k - 1) == 0]
        titles = [plural(k, "trial") for k in counts]
        table = Table("Expected best of k trials", [*factor_columns(self.results), *columns_of("number", titles)])
        for cell in self.study.cells:
            curve = self.curves.get(cell.label, [])
            if curve:
                values = [number(curve[k - 1], self._form()) if k <= len(curve) else MISSING_VALUE for k in counts]
                table.rows.append([*factor_values(self.results, cell.label), *values])
        return table

    def table(self) -> Table:
        """Returns the complete trials of each cell from the best to the worst, with the expected best of as many
        trials; trials without a score stand last.
        """
        keys = list(self.study.declaration.tuning.search)
        titles = [
            "k",
            "expected best of k trials",
            "score of the k-th best trial",
            *(f"its {short(key)}" for key in keys),
        ]
        form = [*factor_columns(self.results), *columns_of("number", titles), self._run_column()]
        table = Table("Expected best of k trials, and the trials by rank", form)
        for cell in self.study.cells:
            levels = factor_values(self.results, cell.label)
            ranked = self.ranked.get(cell.label, [])
            for k, (best, (score, trial)) in enumerate(zip(self.curves.get(cell.label, []), ranked, strict=True), 1):
                table.rows.append(
                    [
                        *levels,
                        number(k, "d"),
                        number(best, self._form(1)),
                        number(score, self._form(1)),
                        *_trial_values(trial, keys),
                    ]
                )
            for trial in self.trials.get(cell.label, []):
                if trial.score is None:
                    table.rows.append([*levels, *[MISSING_VALUE] * 3, *_trial_values(trial, keys)])
        return table

    def _form(self, more: int = 0) -> str:
        """Returns the format of a score, with more decimals if needed."""
        return f".{self.decimals + more}f"

    def _run_column(self) -> Column:
        seeds = self.study.declaration.tuning.seeds
        return Column("its run", "code") if seeds == 1 else Column("its runs", "many")

    def _panel(self, sheet: Sheet, name: str, members: list[CellMark]) -> str:
        axes, descriptions, metric = sheet.axes, [], self.labels.metric(self.study.declaration.metric)
        curves = {mark.cell.label: self.curves[mark.cell.label] for mark in members}
        for mark in members:
            curve = curves[mark.cell.label]
            style: Tree = {"color": mark.colour, "ls": mark.dash, "lw": 2.4, "marker": mark.marker, "ms": 6}
            style |= {"mec": PAPER, "mew": 0.6}
            (line,) = axes.plot(range(1, len(curve) + 1), curve, **style, zorder=3)
            first, last = (formatted(value, self._form()) for value in (curve[0], curve[-1]))
            text = f"{mark.cell.label}: {first} with 1 trial, {last} with {len(curve)}"
            sheet.add_tooltip(line, text)
            sheet.add_legend(mark.hue_label, **style)
            descriptions.append(text)
        axes.set(xlabel="number of trials, k", ylabel=f"expected best {metric}")
        axes.set_xlim(0.8, max(map(len, curves.values())) + 0.2)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        sheet.heading = name
        fit_score_axis(sheet, [value for curve in self.curves.values() for value in curve], self.measure)
        title = f"Expected best {metric} on validation by number of trials, {name}".rstrip(", ")
        return sheet.svg(title, "; ".join(descriptions))


def _trial_values(trial: TuningTrial, keys: Sequence[str]) -> list[Value]:
    return [*(number(trial.settings.get(key), ".4g") for key in keys), Value(" ".join(trial.runs))]
