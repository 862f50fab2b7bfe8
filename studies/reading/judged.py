"""A study's stored runs with the current verdicts on its claims."""

from dataclasses import dataclass
from pathlib import Path

from studies.declared.study import Study
from studies.judging.from_ledger import judge_ledger
from studies.judging.judgement import Judgement
from studies.reading.results import Results, read_results


@dataclass(frozen=True)
class JudgedStudy:
    """A study's stored runs, and the verdict on each of its claims."""

    results: Results
    judgements: list[Judgement]

    @property
    def study(self) -> Study:
        return self.results.study


def read_judged(home: Path, study: Study) -> JudgedStudy:
    """Reads a study and judges its claims from the scores stored so far.

    Raises:
        UserError: a file is damaged.
    """
    results = read_results(home, study)
    return JudgedStudy(results, judge_ledger(study, results.ledger))
