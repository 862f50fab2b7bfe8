"""The exhibits by name. Within a section, a page shows its exhibits in this order.

A new exhibit is a class in a file and a row here, or an entry point of another package in the group
`mtp_lab.exhibits`.
"""

from typing import Any

from generators.foundation.kinds import Registry
from generators.foundation.outside import note_once
from generators.foundation.settings import suggestion
from lab.analysis.table import ANALYSES
from reports.exhibits.exhibit import Exhibit


class ExhibitRegistry(Registry):
    """The registry of exhibits. An exhibit of an analysis has to name that analysis, or nothing would ever show it."""

    def defect(self, row: object, name: str) -> str | None:
        if defect := super().defect(row, name):
            return defect
        page, section = getattr(row, "page", ""), getattr(row, "section", "")
        if page == "analysis" and section not in ANALYSES.names:
            return f"has section = {section!r}, which is no analysis; {suggestion(section, ANALYSES.names)}"
        return None


EXHIBITS = ExhibitRegistry(
    "exhibit",
    {
        "score": "reports.exhibits.study.score:Score",
        "further-measures": "reports.exhibits.study.further_measures:FurtherMeasure",
        "contrasts": "reports.exhibits.study.contrasts:Contrasts",
        "share-solved": "reports.exhibits.study.share_solved:ShareSolved",
        "learning-steps": "reports.exhibits.study.learning_steps:LearningSteps",
        "learning-seconds": "reports.exhibits.study.learning_seconds:LearningSeconds",
        "drafts": "reports.exhibits.study.drafts:Drafts",
        "token-losses": "reports.exhibits.study.token_losses:TokenLosses",
        "tuning-budget": "reports.exhibits.study.method.tuning_budget:TuningBudget",
        "tuning-trials": "reports.exhibits.study.method.tuning_trials:TuningTrials",
        "expected-best": "reports.exhibits.study.method.expected_best:ExpectedBest",
        "signal-to-noise": "reports.exhibits.study.method.signal_to_noise:SignalToNoise",
        "parameters": "reports.exhibits.study.method.parameters:Parameters",
        "environment": "reports.exhibits.study.method.environment:Environment",
        "claims": "reports.exhibits.index.claims:AllClaims",
        "scoreboard": "reports.exhibits.index.scoreboard:Scoreboard",
        "matrix-solved": "reports.exhibits.matrix.solved:SolvedMap",
        "matrix-sooner": "reports.exhibits.matrix.sooner:SoonerMap",
        "matrix-counts": "reports.exhibits.matrix.counts:SolvedCounts",
        "matrix-tasks": "reports.exhibits.matrix.tasks:MatrixTasks",
        "matrix-improvement": "reports.exhibits.matrix.improvement:ImprovementFigure",
        "matrix-profiles": "reports.exhibits.matrix.profiles:Profiles",
        "matrix-ranks": "reports.exhibits.matrix.ranks:Ranks",
        "matrix-cost": "reports.exhibits.matrix.cost:CostAndGain",
        "compared-claims": "reports.exhibits.comparison.claims:ComparedClaims",
        "compared-effects": "reports.exhibits.comparison.effects:ComparedEffects",
        "differing-settings": "reports.exhibits.comparison.settings:DifferingSettings",
        "differing-environment": "reports.exhibits.comparison.environment:DifferingEnvironment",
        "choice-points": "reports.exhibits.analyses.choice_points:ChoicePointsFigure",
        "information": "reports.exhibits.analyses.information:InformationFigure",
        "induction-heads": "reports.exhibits.analyses.induction_heads:InductionHeadsFigure",
        "lookahead": "reports.exhibits.analyses.lookahead:LookaheadFigure",
        "decoding": "reports.exhibits.analyses.decoding:DecodingFigure",
        "items": "reports.exhibits.analyses.items:ItemsFigure",
        "step": "reports.exhibits.analyses.step:StepFigure",
        "samples": "reports.exhibits.analyses.samples:SamplesFigure",
    },
    Exhibit,
    plural="exhibits",
)
"""The registry of exhibits."""


def exhibits_on(page: str, source: Any) -> dict[str, list[Exhibit[Any]]]:
    """Returns section -> its exhibits, for every section of a page that has any.

    Exhibits of other packages that cannot be used are left out, and named on standard error.

    Args:
        page: the page, such as `study`.
        source: the data that the page shows.
    """
    classes, left_out = EXHIBITS.usable()
    for sentence in left_out:
        note_once(sentence)
    sections: dict[str, list[Exhibit[Any]]] = {}
    for exhibit in classes.values():
        if exhibit.page == page and (instances := exhibit.instances(source)):
            sections.setdefault(exhibit.section, []).extend(instances)
    return sections
