"""Studies: questions declared in a file, swept over seeds, and judged by exact tests.

The names below are the public ones: what a notebook or another package's kind of claim or executor imports.

    import studies

    studies.run_study(studies.declare("star-quick"))  # or: lab study run star-quick
    study = studies.load("star-quick")
    study.verdicts, study.runs, study.curves, study.scores("heads_are_sooner")
"""

from typing import TYPE_CHECKING

from generators.foundation.lazy import lazy_exports

if TYPE_CHECKING:
    from studies.declared.claims.claim import Claim, Grid
    from studies.declared.claims.comparison import Comparison
    from studies.declared.claims.difference import TwoLevels
    from studies.declared.levels import Level
    from studies.declared.loading import declare
    from studies.declared.measures import Measure
    from studies.declared.study import Cell, Study
    from studies.judging.from_ledger import judge_stored
    from studies.judging.judge import judge
    from studies.judging.judgement import Judgement, sentence
    from studies.ledger.archive import unpack
    from studies.ledger.declared_study import find_study
    from studies.reading.judged import JudgedStudy
    from studies.reading.loading import load
    from studies.reading.results import Results
    from studies.running.executors.attempt import attempt
    from studies.running.executors.executor import Executor, ExecutorContext, Outcome, RunRequest
    from studies.running.executors.here import InProcess
    from studies.running.run_study import run_study
    from studies.statistics.effects import Effect, LeadOfBest, WeightedMeans
    from studies.statistics.exact import Contrast
    from studies.statistics.forms.form import Form, Scores
    from studies.statistics.power import PValue
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "studies.declared.claims.claim": ("Claim", "Grid"),
            "studies.declared.claims.comparison": ("Comparison",),
            "studies.declared.claims.difference": ("TwoLevels",),
            "studies.declared.levels": ("Level",),
            "studies.declared.loading": ("declare",),
            "studies.declared.measures": ("Measure",),
            "studies.declared.study": ("Cell", "Study"),
            "studies.judging.judge": ("judge",),
            "studies.judging.judgement": ("Judgement", "sentence"),
            "studies.judging.from_ledger": ("judge_stored",),
            "studies.ledger.archive": ("unpack",),
            "studies.ledger.declared_study": ("find_study",),
            "studies.reading.judged": ("JudgedStudy",),
            "studies.reading.loading": ("load",),
            "studies.reading.results": ("Results",),
            "studies.running.executors.attempt": ("attempt",),
            "studies.running.executors.executor": ("Executor", "ExecutorContext", "Outcome", "RunRequest"),
            "studies.running.executors.here": ("InProcess",),
            "studies.running.run_study": ("run_study",),
            "studies.statistics.effects": ("Effect", "LeadOfBest", "WeightedMeans"),
            "studies.statistics.exact": ("Contrast",),
            "studies.statistics.forms.form": ("Form", "Scores"),
            "studies.statistics.power": ("PValue",),
        },
    )

__all__ = [
    "Cell",
    "Claim",
    "Comparison",
    "Contrast",
    "Effect",
    "Executor",
    "ExecutorContext",
    "Form",
    "Grid",
    "InProcess",
    "JudgedStudy",
    "Judgement",
    "LeadOfBest",
    "Level",
    "Measure",
    "Outcome",
    "PValue",
    "Results",
    "RunRequest",
    "Scores",
    "Study",
    "TwoLevels",
    "WeightedMeans",
    "attempt",
    "declare",
    "find_study",
    "judge",
    "judge_stored",
    "load",
    "run_study",
    "sentence",
    "unpack",
]
