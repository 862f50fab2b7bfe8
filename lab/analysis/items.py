"""The same held-out items asked twice of a run: to be generated, and to be chosen among options by likelihood.

Paper, section 4 and appendix: multiple choice does not gain from further heads, generation does (summaries, ROUGE-L).
Items come from `generators/material/items.py`, four options each, one for each test sample that can be asked about;
scores are those of `lab score --items`. Both use the next-token path alone. Of `induction` an answer is one token, so
that ROUGE-L adds nothing to exact match; of `text` it is a quarter of a window, which short runs seldom reproduce.

Intervals are 95% over items, Student's, which are taken for independent: those of one document are not quite.
"""

from collections.abc import Mapping
from typing import ClassVar

from generators.material.items import items
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo
from lab.analysis.estimators.intervals import t_interval
from lab.decoding.item_scores import item_scores
from lab.run.stored_run import StoredRun


class ItemsAnalysis(Analysis):
    """Puts held-out items to a run twice: to be generated, and to be chosen among options."""

    name = "items"
    summary = "held-out items generated, and the same chosen among options"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "generation_rouge_l": MeasureInfo("more", "F1"),
        "*": MeasureInfo("more", "share of items"),
    }

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Items of a stored run's task, put to it twice.

        Measures: `generation_exact_match`, `generation_rouge_l`, `choice_accuracy`, `choice_above_chance`.

        Raises:
            UserError: the task has no items, or not with four options.
        """
        task = run.parts.task
        posed = items(task, task.test_split)
        options, chance = posed.options.shape[1], 1 / posed.options.shape[1]
        findings = Findings()
        for posing, scores in item_scores(run.parts, posed).items():
            for name, scores_B in scores.items():
                value, low, high = t_interval(scores_B)
                against = {"chance": chance} if posing == "choice" else {}
                findings.add(posing, name, (value, low, high), **against)
                findings.measures[f"{posing}_{name}"] = value
                findings.lines.append(f"{posing:<11}{name.replace('_', ' '):<12}{value:.3f} [{low:.3f}, {high:.3f}]")
        findings.measures["choice_above_chance"] = findings.measures["choice_accuracy"] - chance
        findings.lines.append(
            f"{len(posed)} items of {options} options (chance {chance:.3f}), answers of {posed.answers.shape[1]} "
            "token(s); 95% intervals over items."
        )
        return self.result(findings)
