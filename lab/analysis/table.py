"""The table of analyses."""

import re

from generators.foundation.kinds import Registry
from generators.foundation.outside import PartFailed, guarded
from lab.analysis.analysis import Analysis, AnalysisResult
from lab.analysis.result_check import result_problem
from lab.run.stored_run import StoredRun

SAMPLES = "samples"
"""The analysis that studies take of one run in order to show it."""
NAME = "[a-z0-9][a-z0-9_-]*"
"""The form of a name, which files of results, archives and metrics contain."""


class AnalysisRegistry(Registry):
    """The registry of analyses. A metric writes "_" for "-" in a name, so two names may not differ in that alone."""

    def defect(self, row: object, name: str) -> str | None:
        if not re.fullmatch(NAME, name):
            return f"has the name {name!r}; should be lower-case letters, digits, - and _, as files and metrics have it"
        twin = next((other for other in self.names if other != name and metric_word(other) == metric_word(name)), None)
        if twin:
            return f"has the name {name!r}, which a metric cannot tell from that of the analysis {twin}"
        return super().defect(row, name)


def metric_word(name: str) -> str:
    """Returns the name of an analysis as a metric writes it: "induction_heads" for "induction-heads"."""
    return name.replace("-", "_")


ANALYSES = AnalysisRegistry(
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
"""The registry of analyses."""


def analysis_name(word: str) -> str:
    """Returns the analysis that a metric names: "induction_heads" means "induction-heads"."""
    return next((name for name in ANALYSES.names if metric_word(name) == word), word.replace("_", "-"))


def analysis_of(name: str, source: str) -> Analysis:
    """Returns the analysis of a name.

    Args:
        source: the file or command that asks, named in the error.

    Raises:
        UserError: there is no such analysis, or another package provides it and is broken.
        PartFailed: the analysis comes from another package, and creating it fails.
    """
    kind: type[Analysis] = ANALYSES.find(name, source)
    if name in ANALYSES.rows:
        return kind()
    with guarded(ANALYSES.subject(name)):
        return kind()


def analyse(name: str, run: StoredRun) -> AnalysisResult:
    """Analyses one checkpoint of a run.

    Raises:
        UserError: there is no such analysis, or the run lacks something that it needs.
        PartFailed: the analysis comes from another package, and raises an error or does not return a result.
    """
    analysis = analysis_of(name, f"run {run.folder.identity}")
    if name in ANALYSES.rows:
        return analysis.analyse(run)
    subject = ANALYSES.subject(name)
    with guarded(subject):
        result = analysis.analyse(run)
    if problem := result_problem(name, result):
        raise PartFailed(f"{subject} failed with TypeError: {problem}")
    return result
