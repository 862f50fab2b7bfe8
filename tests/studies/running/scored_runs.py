"""An executor that trains nothing: a function of the spec scores each run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from generators.foundation.settings import Tree
from studies.running.executors.executor import Outcome
from studies.running.executors.here import InProcess

Scores = dict[str, dict[str, float]]
"""Split -> metric -> value."""


class ScoredRuns(InProcess[Any]):
    """Ends every run at once.

    Args:
        home: the lab's home.
        score: the scores of a run with this spec, or None for a run that diverges.
    """

    def __init__(self, home: Path, score: Callable[[Tree], Scores | None]) -> None:
        super().__init__(home)
        self.score = score

    def outcomes(self) -> Iterator[tuple[Any, Outcome]]:
        while self.waiting:
            key, request = self.waiting.popleft()
            scores = self.score(request.tree)
            if scores is None:
                yield key, Outcome({"status": "diverged", "reason": "the loss is not finite"})
            else:
                yield key, Outcome({"status": "complete", "scores": {"best": scores}})
