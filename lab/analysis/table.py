"""The table of analyses."""

from generators.foundation.kinds import Registry
from lab.analysis.analysis import Analysis, AnalysisResult
from lab.run.stored_run import StoredRun

SAMPLES = "samples"
"""The analysis that studies take of one run in order to show it."""
ANALYSES = Registry(
    "analysis",
    {
        "choice-points": "lab.analysis.choice_points:ChoicePointsAnalysis",
        "information": "lab.analysis.information:InformationAnalysis",
        "induction-heads": "lab.analysis.induction_heads:InductionHeadsAnalysis",
        "lookahead": "lab.analysis.lookahead:LookaheadAnalysis",
        "decoding": "lab.analysis.decoding:DecodingAnalysis",
        "items": "lab.analysis.items:ItemsAnalysis",
        "step": "lab.analysis.step:StepAnalysis",
        SAMPLES: "lab.analysis.samples:SamplesAnalysis",
    },
    Analysis,
    plural="analyses",
)


def analysis_name(word: str) -> str:
    """Returns the analysis that a metric names: "induction_heads" means "induction-heads"."""
    return next((name for name in ANALYSES.names if name.replace("-", "_") == word), word.replace("_", "-"))


def analysis_of(name: str, source: str) -> Analysis:
    """Returns the analysis of a name.

    Args:
        source: the file or command that asks, named in the error.

    Raises:
        UserError: there is no such analysis, or another package provides it and is broken.
    """
    analysis: Analysis = ANALYSES.find(name, source)()
    return analysis


def analyse(name: str, run: StoredRun) -> AnalysisResult:
    """Takes one analysis of one checkpoint of a run."""
    return analysis_of(name, f"run {run.folder.identity}").analyse(run)
